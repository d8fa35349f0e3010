"""Reports how a batch ended, in a few lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.cli.client.batch_lines import reason
from app.cli.shared.text import plain
from app.lib import json

MAX_ERRORS = 5
TEXT_LENGTH = 160


def show(batch: dict[str, Any], *, written: list[Path]) -> int:
    """Prints counts, usage, files and the first errors; returns the command's exit status."""
    counts = batch["request_counts"]
    complete = batch["status"] == "completed" and counts["completed"] == counts["total"]
    click.echo(_headline(batch))
    if usage := _usage(batch):
        click.echo(usage)
    for path in written:
        click.echo(f"  {path}")
    for line in _errors(batch, written):
        click.echo(f"  {plain(line)}", err=True)
    return 0 if complete else 1


def estimate(body: dict[str, Any]) -> str:
    """Formats the gateway's estimate of what a batch would use and cost."""
    models = ", ".join(f"{entry['model']} ({entry['lines']} lines)" for entry in body["models"])
    lines = [f"{body['lines']} lines, {body['invalid_lines']} of them not valid; models: {models or 'none'}"]
    lines.append(f"  about {body['input_tokens']} tokens in, at most {body['output_tokens']} out")
    if unlimited := body["lines_without_max_output_tokens"]:
        default = body["default_output_tokens"]
        lines.append(f"  {unlimited} lines set no limit on their answers: each counts as {default} tokens of answer")
    lines.append(_cost(body))
    return "\n".join(lines)


def _cost(body: dict[str, Any]) -> str:
    where = body["extra_fields"]["provider"]
    if body["estimated_cost"] is not None:
        return f"  at most about ${body['estimated_cost']} at {where}"
    unknown = [entry["model"] for entry in body["models"] if entry["estimated_cost"] is None]
    named = f" for {', '.join(unknown[:MAX_ERRORS])}" if unknown else ""
    return f"  cost unknown: there is no price{named} at {where}"


def _headline(batch: dict[str, Any]) -> str:
    counts = batch["request_counts"]
    parts = [f"{counts['completed']} of {counts['total']} lines completed"]
    parts += [f"{counts[name]} {name}" for name in ("failed", "expired", "canceled") if counts.get(name)]
    ended = batch.get(f"{batch['status']}_at")
    took = f" in {ended - batch['created_at']} s" if ended else ""
    return f"{batch['id']} {batch['status']}{took}: {', '.join(parts)}"


def _usage(batch: dict[str, Any]) -> str:
    usage = batch.get("usage") or {}
    if not usage.get("total_tokens"):
        return ""
    return f"  {usage['total_tokens']} tokens ({usage['input_tokens']} in, {usage['output_tokens']} out)"


def _errors(batch: dict[str, Any], written: list[Path]) -> Iterator[str]:
    """Yields the first errors: those of the batch as a whole, then those of its lines."""
    for error in ((batch.get("errors") or {}).get("data") or [])[:MAX_ERRORS]:
        where = f"line {error['line']}: " if error.get("line") else ""
        yield f"{where}{error.get('message')}"
    if not batch["error_file_id"] or not written:
        return
    with written[-1].open("rb") as file:
        for _, line in zip(range(MAX_ERRORS), file, strict=False):
            failed = json.loads(line)
            yield f"{failed.get('custom_id')}: {reason(failed)[:TEXT_LENGTH]}"
