"""`batchgate batches list|show|pause|resume|cancel|retry`: batches of the key's project, over HTTP."""

from typing import Any

import click

from app.cli.client import pages
from app.cli.client.http import Gateway, segment
from app.cli.client.options import Client, as_json, instant, show_fields, show_json
from app.cli.client.watch import state

MAX_FINDINGS = 10
LIST: pages.Shown = {
    "BATCH": lambda batch: batch["id"],
    "STATUS": lambda batch: batch["status"],
    "DONE": lambda batch: _done(batch),
    "FAILED": lambda batch: batch["request_counts"]["failed"] or None,
    "PROVIDER": lambda batch: (batch.get("extra_fields") or {}).get("provider"),
    "MODEL": lambda batch: batch.get("model"),
    "CREATED": lambda batch: instant(batch["created_at"]),
    "WAITS FOR": lambda batch: (batch.get("waiting_on") or {}).get("reason"),
}


@click.command("list", cls=Client)
@click.option("--status", help="Only batches with this status, such as in_progress; `ended` is all that are over.")
@click.option("--provider", help="Only batches at this provider.")
@pages.list_options
def list_(
    status: str | None,
    provider: str | None,
    limit: int,
    all_: bool,
    after: str | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """List the project's batches, newest first.

    \b
    Examples:
      batchgate batches list
      batchgate batches list --status in_progress
      batchgate batches list --all --json
    """
    query = {"status": status, "provider": provider}
    pages.show(gateway, "/batches", LIST, query=query, limit=limit, all_=all_, after=after, as_json=as_json)


@click.command(cls=Client)
@click.argument("batch")
@as_json
def show(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Show BATCH: counts, times, files, tokens, and why it waits.

    \b
    Example:
      batchgate batches show batch_00061f...
    """
    found = gateway.call("GET", f"/batches/{segment(batch)}")
    show_batch(found, as_json=as_json)


@click.command(cls=Client)
@click.argument("batch")
@as_json
def cancel(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Cancel BATCH: no more lines are sent, and finished ones are kept.

    \b
    Example:
      batchgate batches cancel batch_00061f...
    """
    show_batch(gateway.call("POST", f"/batches/{segment(batch)}/cancel", json={}), as_json=as_json)


def show_batch(batch: dict[str, Any], *, as_json: bool) -> None:
    """Prints a batch, for people or as the gateway's own JSON."""
    if as_json:
        show_json(batch)
        return
    usage = batch.get("usage") or {}
    extra = batch.get("extra_fields") or {}
    waits = batch.get("waiting_on") or {}
    show_fields(
        {
            "batch": batch["id"],
            "state": state(batch),
            "waits for": waits.get("reason"),
            "": waits.get("message"),
            "waits until": instant(waits.get("until")),
            "provider": extra.get("provider"),
            "model": batch.get("model"),
            "endpoint": batch.get("endpoint"),
            "runs at": {"gateway": "the gateway, line by line", "provider": "the provider"}.get(
                str(batch.get("execution"))
            ),
            **_times(batch),
            "paused": instant(batch.get("paused_at")),
            "not before": instant(batch.get("not_before")),
            "finish by": instant(batch.get("finish_by")),
            "priority": batch.get("priority") or None,
            "concurrency": batch.get("concurrency"),
            "window": batch.get("completion_window"),
            "input file": batch.get("input_file_id"),
            "output file": batch.get("output_file_id"),
            "error file": batch.get("error_file_id"),
            "retry of": batch.get("retry_of"),
            "tokens": f"{usage['input_tokens']:,} in, {usage['output_tokens']:,} out"
            if usage.get("total_tokens")
            else None,
            "metadata": ", ".join(f"{name}={value}" for name, value in (batch.get("metadata") or {}).items()),
        }
    )
    for error in ((batch.get("errors") or {}).get("data") or [])[:MAX_FINDINGS]:
        where = f"line {error['line']}: " if error.get("line") else ""
        show_fields({"error": f"{where}{error.get('message')}"})


def _times(batch: dict[str, Any]) -> dict[str, str]:
    names = ("created", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    shown = {name.replace("_", " "): instant(batch.get(f"{name}_at")) for name in names}
    return shown | {"expires": instant(batch.get("expires_at"))}


def _done(batch: dict[str, Any]) -> str:
    counts = batch["request_counts"]
    return f"{counts['completed'] + counts['failed']:,}/{counts['total']:,}" if counts["total"] else ""
