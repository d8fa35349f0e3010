"""`batchgate doctor`: looks at everything that an operator would."""

import os
from pathlib import Path

import click

from app import migrate
from app.cli.shared import context, profile
from app.cli.shared.refusal import Refused
from app.cli.shared.text import plain, plain_json
from app.data.store.database import Database
from app.lib import json
from app.services.doctor import checks, permissions
from app.services.doctor.findings import FAIL, OK, WARN, Finding, worst
from app.settings import Settings, SettingsError

STATUS = {OK: 0, WARN: 1, FAIL: 2}
COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}


@click.command()
@click.option("--url", help="Also ask the gateway at this URL, as its clients reach it: through nginx.")
@click.option("--api-key", help="Virtual key for that.  [default: $BATCHGATE_API_KEY, or the one of `make run`]")
@click.option("--offline", is_flag=True, help="Call no provider.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of all findings.")
def doctor(url: str | None, api_key: str | None, offline: bool, as_json: bool) -> None:
    """Check everything that an operator would, and say what to do.

    That is settings, permissions, migrations, store, key ring, blobs, disk, clock, workers and accounts, each of which
    makes one read-only call to its provider, unless --offline.

    With --url the command also asks a running gateway, and looks at what nginx makes of its answers: headers, the size
    of bodies, downloads, forwarded addresses, and clocks. With a key, a small file is uploaded, fetched and deleted for
    that. How long nginx waits cannot be seen from outside: compare its time-outs with deploy/nginx.conf.

    Exit status: 0 if all is well, 1 if there are warnings, 2 if something is broken.

    \b
    Examples:
      batchgate doctor
      batchgate doctor --offline --json
      batchgate doctor --url https://batchgate.example.com
    """
    findings = _here(offline=offline)
    if url is not None:
        from app.cli.operate import front  # it needs requests, and nothing else here does

        seen = front.examine(profile.trimmed(url), key=_key(url, api_key), limit_bytes=_limit_bytes())
        findings += seen.findings
        if seen.request_id is not None:
            findings.append(_forwarded(seen.request_id, front.SPOOFED))
    if as_json:
        fields = ("check", "state", "message", "action")
        found = [{field: getattr(finding, field) for field in fields} for finding in findings]
        click.echo(plain_json(json.dumps(found)))
    else:
        for finding in findings:
            _show(finding)
    raise SystemExit(STATUS[worst(findings)])


def _here(*, offline: bool) -> list[Finding]:
    """What is found on this machine; later checks need what earlier ones look at."""
    try:
        settings = context.settings(quiet=True)
    except Refused as error:
        return [Finding("settings", FAIL, error.message, "Correct the setting: docs/settings.md")]
    os.environ.setdefault("BATCHGATE_LOG_LEVEL", "error")  # findings say what the log would
    findings = permissions.check(settings, dotenv=Path(".env"))
    try:
        with context.plain_errors():
            findings.append(_migrations(settings))
        if findings[-1].state == FAIL:
            return findings
        with context.gateway(is_closed=True) as gateway:
            selected = checks.LOCAL if offline else (*checks.LOCAL, checks.providers)
            return findings + [finding for check in selected for finding in checks.run(gateway, check)]
    except Refused as error:
        return [*findings, Finding("store", FAIL, error.message, "See DATABASE_URL and BATCHGATE_SECRET_KEY.")]


def _migrations(settings: Settings) -> Finding:
    if context.is_absent(settings):
        return Finding("migrations", FAIL, "There is no store yet.", "batchgate db upgrade")
    newest = migrate.newest_revision()
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            current = migrate.current_revision(connection)
    finally:
        database.dispose()
    if current == newest:
        return Finding("migrations", OK, f"The store is at revision {newest}, the newest.")
    if current is not None and current > newest:
        text = f"The store is at revision {current}, which this release ({newest}) does not know."
        return Finding("migrations", FAIL, text, "Run the release that migrated it, or a later one.")
    return Finding(
        "migrations",
        FAIL,
        f"The store is at revision {current}, and this release needs {newest}.",
        "batchgate db upgrade",
    )


def _forwarded(request_id: str, spoofed: str) -> Finding:
    """What address the gateway wrote down of the request, if it uses this store."""
    try:
        with context.gateway(is_closed=True) as gateway:
            return checks.forwarded(gateway, request_id, spoofed=spoofed)
    except Refused as error:
        return Finding("address", WARN, f"What address the gateway sees is not known: {error.message}")


def _key(url: str, given: str | None) -> str | None:
    """The key for a URL; that of `make run` is for its own gateway only."""
    try:
        return profile.find(base_url=url, api_key=given).api_key
    except Refused:
        return None


def _limit_bytes() -> int:
    try:
        return context.settings(quiet=True).max_file_bytes
    except (Refused, SettingsError):
        return 0


def _show(finding: Finding) -> None:
    state = click.style(f"{finding.state:<4}", fg=COLOURS[finding.state])
    click.echo(f"{state}  {finding.check}: {plain(finding.message)}")
    if finding.action:
        click.echo(f"      -> {plain(finding.action)}")
