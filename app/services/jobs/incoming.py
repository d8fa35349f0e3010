"""What providers' own webhooks tell: no more than a hint to look at a job now, which a worker then does.

Nothing of a message is believed but which job it is about. It must be signed with the secret of the account at whose
URL it came, and be of now. Whoever sends anything else learns nothing from the answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.auth import signatures
from app.auth.secrets import SealError
from app.auth.signatures import BadSecretError
from app.data.access import accounts
from app.data.batches import jobs
from app.engine.parts import JOBS
from app.errors import InvalidRequestError
from app.lib import bounds, json
from app.services.accounts import admin
from app.services.events import record
from app.services.gateway import Actor, Gateway

MAX_BYTES = 64 * 1024
# Of one account's job, however many messages come.
LOOK_EVERY_MS = 5000
MAX_NAMES = 20
HEADERS = (signatures.ID, signatures.TIMESTAMP, signatures.SIGNATURE)
# Gemini names its batches with this prefix in some places, and without it in others.
PREFIX = "batches/"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came: headers with names in lower case."""

    headers: Mapping[str, str]
    body: bytes


def take(gateway: Gateway, provider: str, name: str, message: Message) -> bool:
    """Make the job that a message is about due now. False when nothing was done, for whatever reason."""
    if not provider.isprintable() or not name.isprintable():
        return False
    with gateway.database.read() as connection:
        found = accounts.webhook_secret(connection, provider=provider, name=name)
    if found is None or not _is_signed(gateway, f"{provider}/{name}", found, message):
        return False
    names = _names(message.body)
    if not names:
        return False
    with gateway.database.write() as connection:
        due = jobs.hint(connection, account_id=found.account_id, native_ids=names, every_ms=LOOK_EVERY_MS)
    if due:
        gateway.hints.send(JOBS)
    gateway.log.info("webhook.received", provider=provider, account=name, jobs=due)
    return due > 0


def set_secret(
    gateway: Gateway, *, provider: str, name: str, secret: str | None, actor: Actor = record.OPERATOR
) -> str:
    """Store the signing secret of an account's webhooks at its provider, or None to forget it; returns their URL.

    Raises NotFoundError, InvalidRequestError.
    """
    if secret is not None:
        try:
            signatures.key(secret)
        except BadSecretError as error:
            raise InvalidRequestError(f"This is no signing secret: {error}") from error
    with gateway.database.write() as connection:
        row = admin.existing(gateway, connection, provider, name)
        sealed = None if secret is None else gateway.ring.seal(secret.encode(), purpose=_purpose(row.id))
        accounts.set_webhook_secret(connection, row.id, sealed)
        record.record_act(
            connection,
            operation="account_webhook_set",
            object_id=f"{provider}/{name}",
            detail={"has_secret": secret is not None},
            actor=actor,
        )
    return f"{gateway.settings.public_url}/webhooks/{provider}/{name}"


def _is_signed(gateway: Gateway, account: str, found: accounts.WebhookSecret, message: Message) -> bool:
    try:
        secret = gateway.ring.open(found.sealed, purpose=_purpose(found.account_id)).decode()
    except SealError as error:
        gateway.log.error("webhook.not_opened", account=account, reason=str(error))
        return False
    return signatures.is_signed(secret, message.headers, message.body, now_s=gateway.clock.now_ms() / 1000)


def _purpose(account_id: int) -> str:
    return f"accounts.sealed_webhook_secret:{account_id}"


def _names(body: bytes) -> list[str]:
    """The native ids that a message may be about: texts in `data` of a batch's event."""
    try:
        event: Any = json.loads(body)
    except json.JSONDecodeError:
        return []
    if not isinstance(event, dict) or not str(event.get("type", "")).startswith("batch."):
        return []
    data = event.get("data")
    values = [value for value in data.values() if bounds.is_id(value)] if isinstance(data, dict) else []
    return [name for value in values[:MAX_NAMES] for name in _spellings(value)]


def _spellings(name: str) -> Iterator[str]:
    bare = name.removeprefix(PREFIX)
    yield bare
    yield PREFIX + bare
