"""What became of a batch, in a few lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.lib import json

MOST_ERRORS = 5
TEXT_LENGTH = 160


def show(batch: dict[str, Any], *, written: list[Path]) -> int:
    """Print counts, usage, files and the first errors; returns the command's exit status."""
    counts = batch["request_counts"]
    complete = batch["status"] == "completed" and counts["completed"] == counts["total"]
    click.echo(_headline(batch))
    if usage := _usage(batch):
        click.echo(usage)
    for path in written:
        click.echo(f"  {path}")
    for line in _errors(batch, written):
        click.echo(f"  {line}", err=True)
    return 0 if complete else 1


def estimate(found: dict[str, Any]) -> str:
    """What the gateway says that a batch of a file would take."""
    models = ", ".join(f"{entry['model']} ({entry['lines']} lines)" for entry in found["models"])
    told = [f"{found['lines']} lines, {found['invalid_lines']} of them not valid; models: {models or 'none'}"]
    told.append(f"  about {found['input_tokens']} tokens in, at most {found['output_tokens']} out")
    if unlimited := found["lines_without_max_output_tokens"]:
        default = found["default_output_tokens"]
        told.append(f"  {unlimited} lines set no limit on their answers: each counts as {default} tokens of answer")
    told.append(_cost(found))
    return "\n".join(told)


def _cost(found: dict[str, Any]) -> str:
    where = found["extra_fields"]["provider"]
    if found["estimated_cost"] is not None:
        return f"  at most about ${found['estimated_cost']} at {where}"
    unknown = [entry["model"] for entry in found["models"] if entry["estimated_cost"] is None]
    named = f" for {', '.join(unknown[:MOST_ERRORS])}" if unknown else ""
    return f"  cost unknown: there is no price{named} at {where}"


def _headline(batch: dict[str, Any]) -> str:
    counts = batch["request_counts"]
    told = [f"{counts['completed']} of {counts['total']} lines completed"]
    told += [f"{counts[name]} {name}" for name in ("failed", "expired", "canceled") if counts.get(name)]
    ended = batch.get(f"{batch['status']}_at")
    took = f" in {ended - batch['created_at']} s" if ended else ""
    return f"{batch['id']} {batch['status']}{took}: {', '.join(told)}"


def _usage(batch: dict[str, Any]) -> str:
    usage = batch.get("usage") or {}
    if not usage.get("total_tokens"):
        return ""
    return f"  {usage['total_tokens']} tokens ({usage['input_tokens']} in, {usage['output_tokens']} out)"


def _errors(batch: dict[str, Any], written: list[Path]) -> Iterator[str]:
    """The first few things that went wrong: with the input as a whole, else with its lines."""
    for error in ((batch.get("errors") or {}).get("data") or [])[:MOST_ERRORS]:
        where = f"line {error['line']}: " if error.get("line") else ""
        yield f"{where}{error.get('message')}"
    if not batch["error_file_id"] or not written:
        return
    with written[-1].open("rb") as file:
        for _, line in zip(range(MOST_ERRORS), file, strict=False):
            failed = json.loads(line)
            yield f"{failed.get('custom_id')}: {_reason(failed)[:TEXT_LENGTH]}"


def _reason(failed: dict[str, Any]) -> str:
    """Why a line of an error file failed: the gateway's reason, or the provider's answer."""
    if error := failed.get("error"):
        return str(error.get("message") or error.get("code"))
    response = failed.get("response") or {}
    body = response.get("body")
    error = body.get("error") if isinstance(body, dict) else body
    message = error.get("message") if isinstance(error, dict) else error
    return f"HTTP {response.get('status_code')} {message}"
