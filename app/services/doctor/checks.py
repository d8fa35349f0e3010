"""What can be seen from the store: each check answers with findings, and none of them raises."""

from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from app.auth.secrets import SealError
from app.blobs import BlobError
from app.connectors.contract.errors import ConfigurationError, UpstreamError
from app.data.audit import events
from app.data.audit.events import Filters
from app.data.batches import pauses, work, workers
from app.errors import GatewayError, NotFoundError
from app.services.access import secret_rotation
from app.services.accounts import admin
from app.services.backups import fence
from app.services.doctor.findings import FAIL, OK, WARN, Finding
from app.services.gateway import Gateway
from app.services.upkeep import preflight

# A worker writes every few seconds; sweeping forgets silent ones later.
SILENT_MS = 60_000
# Leases run by the database's clock, so a worker's own may differ; signatures, tokens and windows of prices do not.
SKEW_WARN_MS, SKEW_FAIL_MS = 2_000, 30_000
# How many times its reserve a disk should have free.
ROOM = 2
MAX_NAMED = 10
# Among so many events the one of a moment ago is looked for.
EVENTS = 200
GIB = 2**30

Check = Callable[[Gateway], list[Finding]]


def store(gateway: Gateway) -> list[Finding]:
    """Whether the store is open, and answers."""
    found = fence.now(gateway.database)
    if found.state != fence.OPEN:
        state = WARN if found.state == fence.FENCED else FAIL
        return [Finding("store", state, fence.describe(found), "batchgate takeover")]
    gateway.database.run(lambda connection: workers.try_write(connection, name="doctor"))
    return [Finding("store", OK, "The store is open, and can be written.")]


def ring(gateway: Gateway) -> list[Finding]:
    """Whether the key ring opens what the store has sealed."""
    preflight.require_ring(gateway)
    status = secret_rotation.status(gateway)
    if status.unopened:
        text = f"No key of the ring opens {status.unopened} of the sealed values."
        return [Finding("key ring", FAIL, text, "batchgate secrets status shows which; add the key that sealed them.")]
    if status.outdated:
        text = f"{status.outdated} values are sealed under an old key."
        return [Finding("key ring", WARN, text, "batchgate secrets rotate")]
    return [Finding("key ring", OK, "The key ring opens all sealed values.")]


def blobs(gateway: Gateway) -> list[Finding]:
    """Whether a blob can be written, read and deleted."""
    gateway.blobs.check()
    return [Finding("blobs", OK, "The blob store can be written and read.")]


def disk(gateway: Gateway) -> list[Finding]:
    """Whether there is more room than the reserve, which uploads leave."""
    reserve, findings = gateway.settings.disk_reserve_bytes, []
    for name, free in (("blobs", gateway.blobs.free_bytes()), ("the SQLite file", gateway.database.free_bytes())):
        if free is not None and free < ROOM * reserve:
            state = FAIL if free < reserve else WARN
            effect = "uploads and new batches are refused" if free < reserve else "soon uploads will be refused"
            room = f"{free / GIB:.1f} GiB free, with a reserve of {reserve / GIB:.1f} GiB"
            text = f"The disk of {name} has {room}: {effect}."
            action = "Free some space, delete files, or keep them for a shorter time (docs/operations.md)."
            findings.append(Finding("disk", state, text, action))
    return findings or [Finding("disk", OK, "There is more room than the reserve.")]


def clock(gateway: Gateway) -> list[Finding]:
    """Whether this machine and the database agree about the time."""
    with gateway.database.read() as connection:
        before = gateway.clock.now_ms()
        theirs = workers.clock_ms(connection)
        after = gateway.clock.now_ms()
    skew_ms = max(before - theirs, theirs - after, 0)
    return [skew("clock", skew_ms, "the database")]


def skew(check: str, skew_ms: int, other: str) -> Finding:
    """Judges how far this machine's clock is from another's."""
    if skew_ms < SKEW_WARN_MS:
        return Finding(check, OK, f"This machine's clock agrees with that of {other}.")
    state = FAIL if skew_ms >= SKEW_FAIL_MS else WARN
    text = f"This machine's clock and that of {other} differ by {skew_ms / 1000:.0f} s."
    return Finding(check, state, text, "Synchronize both with NTP: timedatectl set-ntp true")


def live_workers(gateway: Gateway) -> list[Finding]:
    """Whether somebody runs batches."""
    with gateway.database.read() as connection:
        alive = workers.alive(connection, within_ms=SILENT_MS)
        faults = workers.faults(connection, within_ms=SILENT_MS)
        running = work.count_running(connection)
    if not alive:
        waiting = f"; {running} batches wait" if running else ""
        text = f"No worker was seen in the last {SILENT_MS // 1000} s{waiting}."
        return [Finding("workers", FAIL if running else WARN, text, "batchgate worker")]
    findings = [
        Finding("workers", FAIL, f"The worker {host}:{pid} cannot work: {fault}", "Mend this; the worker goes on then.")
        for host, pid, fault in faults
    ]
    return findings or [Finding("workers", OK, f"{len(alive)} workers are alive; {running} batches are not over.")]


def settings(gateway: Gateway) -> list[Finding]:
    """Whether what the settings name exists."""
    problems = preflight.of_settings(gateway)
    found = [Finding("settings", FAIL, text, "Correct the setting: docs/settings.md") for text in problems]
    return found or [Finding("settings", OK, "The settings can be used.")]


def accounts(gateway: Gateway) -> list[Finding]:
    """Whether stored accounts can be used, without a call."""
    unusable = preflight.unusable(gateway)
    findings = [
        Finding(
            "accounts",
            FAIL,
            f"The account {name} cannot be used.",
            f"batchgate accounts set {name.replace('/', ' ', 1)} --key-stdin",
        )
        for name in unusable
    ]
    listed = [f"{row.provider}/{row.name}" for row in admin.list_(gateway) if row.state == "disabled"]
    if listed:
        text = f"Disabled, so their batches wait: {', '.join(listed[:MAX_NAMED])}."
        findings.append(Finding("accounts", WARN, text, "batchgate accounts enable PROVIDER NAME"))
    return findings or [Finding("accounts", OK, "No stored account is disabled, and all can be used.")]


def providers(gateway: Gateway) -> list[Finding]:
    """Whether providers accept the keys of accounts: one read-only call for each."""
    try:
        trials = admin.try_out(gateway)
    except NotFoundError:
        return [Finding("providers", WARN, "There is no account to send lines to.", "batchgate accounts add --help")]
    failed = [
        Finding(
            "providers",
            FAIL,
            f"{trial.provider}/{trial.name}: {trial.error}",
            f"batchgate accounts set {trial.provider} {trial.name} --key-stdin, or see what the provider says",
        )
        for trial in trials
        if trial.error
    ]
    return failed or [Finding("providers", OK, f"{sum(trial.tried for trial in trials)} accounts answer.")]


def refusals(gateway: Gateway) -> list[Finding]:
    """What providers refuse at the moment."""
    with gateway.database.read() as connection:
        found = pauses.list_all(connection, limit=MAX_NAMED)
    findings = []
    for pause in found:
        what = f"{pause.provider}/{pause.account} {pause.model}".strip()
        said = f": {pause.message}" if pause.message else ""
        findings.append(
            Finding("pauses", WARN, f"{what} refuses lines ({pause.kind}){said}", "batchgate accounts pauses")
        )
    return findings or [Finding("pauses", OK, "No provider refuses lines.")]


def forwarded(gateway: Gateway, request_id: str, *, spoofed: str) -> Finding:
    """Whether the gateway wrote down who sent a request, and not the address `spoofed` that its client claimed."""
    with gateway.database.read() as connection:
        newest = events.of_ids(connection, Filters(), events.newest_ids(connection, EVENTS))
    address = next((event.address for event in newest if event.request_id == request_id), None)
    if address is None:
        return Finding("address", OK, "Not checked: the gateway at that URL does not use this store.")
    if address == spoofed:
        text = "The gateway believes addresses that clients write themselves, so networks of keys protect nothing."
        return Finding("address", FAIL, text, "Set BATCHGATE_TRUSTED_PROXIES to the number of proxies before it.")
    if gateway.settings.trusted_proxies == 0:
        return Finding(
            "address", OK, f"The gateway saw {address}. If that is a proxy's, set BATCHGATE_TRUSTED_PROXIES."
        )
    return Finding("address", OK, f"The gateway saw the address of its client: {address}.")


LOCAL: tuple[Check, ...] = (store, ring, blobs, disk, clock, settings, live_workers, accounts, refusals)


def run(gateway: Gateway, check: Check) -> list[Finding]:
    """Runs a check; what it raises is what it found."""
    try:
        return check(gateway)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        return [Finding(_name(check), FAIL, f"The database reported an error: {reason}", "See DATABASE_URL.")]
    except BlobError as error:
        action = "See BATCHGATE_BLOB_URL: is the disk mounted, the bucket there, the key valid?"
        return [Finding(_name(check), FAIL, f"The blob store cannot be used: {error}", action)]
    except SealError as error:
        return [Finding(_name(check), FAIL, str(error), "Restore the key ring: BATCHGATE_SECRET_KEY, or secret_key.")]
    except GatewayError as error:
        return [Finding(_name(check), FAIL, error.message)]
    except (UpstreamError, ConfigurationError) as error:
        return [Finding(_name(check), FAIL, str(error))]


def _name(check: Check) -> str:
    names = {"ring": "key ring", "live_workers": "workers", "refusals": "pauses"}
    return names.get(check.__name__, check.__name__)
