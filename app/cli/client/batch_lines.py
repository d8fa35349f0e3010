"""`batchgate batches lines|errors|results`: the lines of a batch, and what became of them."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from app.cli.client import pages
from app.cli.client.http import PIECE_BYTES, Gateway, Sent, patiently, read, segment
from app.cli.client.options import Client, as_json, instant, show_json
from app.cli.client.saving import whole_file
from app.cli.shared.progress import Progress, Transfer
from app.cli.shared.table import columns
from app.cli.shared.text import is_terminal, plain_json, shortened
from app.lib import json

PAGE = 1000
STATES = ("pending", "completed", "failed", "expired", "cancelled")
NOT_WELL = ("failed", "expired", "cancelled")
# Reading on for the words of a rare error ends here.
MAX_READ_BYTES = 64 * 2**20
TEXT_LENGTH = 160
OUTPUT = click.Path(dir_okay=False, path_type=Path)
SHOWN: pages.Shown = {
    "LINE": lambda line: line.get("line"),
    "CUSTOM ID": lambda line: line.get("custom_id"),
    "STATE": lambda line: line.get("state"),
    "STATUS": lambda line: line.get("status_code"),
    "CODE": lambda line: line.get("error_code"),
    "TRIES": lambda line: line.get("attempts") or None,
    "MS": lambda line: line.get("latency_ms"),
    "TOKENS": lambda line: (line.get("input_tokens") or 0) + (line.get("output_tokens") or 0) or None,
    "WAITS": lambda line: _waits(line),
}


@click.command(cls=Client)
@click.argument("batch")
@click.option("--state", type=click.Choice(STATES), help="Only lines in this state.")
@pages.list_options
def lines(
    batch: str,
    state: str | None,
    limit: int,
    all_: bool,
    after: str | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """List the lines of BATCH, in order: state, tries, tokens, and why those wait that do.

    \b
    Examples:
      batchgate batches lines batch_00061f... --state failed
      batchgate batches lines batch_00061f... --all --json
    """
    path = f"/batches/{segment(batch)}/lines"
    pages.show(
        gateway,
        path,
        SHOWN,
        query={"state": state},
        limit=limit,
        all_=all_,
        after=after,
        as_json=as_json,
        max_page=PAGE,
    )


@click.command(cls=Client)
@click.argument("batch")
@as_json
def errors(batch: str, as_json: bool, gateway: Gateway) -> None:
    """Count the lines of BATCH that have no response, by state and code, with the words of one of each.

    \b
    Example:
      batchgate batches errors batch_00061f...
    """
    groups = _groups(gateway, batch)
    if groups:
        _add_words(gateway, batch, groups)
    found = sorted(groups.values(), key=lambda group: -group["lines"])
    if as_json:
        show_json(found)
        return
    rows = [
        (group["lines"], group["state"], group["code"], group["status_code"], group["custom_id"], group["message"])
        for group in found
    ]
    click.echo(columns(("LINES", "STATE", "CODE", "STATUS", "FIRST", "MESSAGE"), rows))


@click.command(cls=Client)
@click.argument("batch")
@click.option("--output", type=OUTPUT, help="File to write; it appears when it is complete.  [default: stdout]")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option("--raw", is_flag=True, help="Each line as the provider wrote it, of a batch that is over.")
def results(batch: str, output: Path | None, force: bool, raw: bool, gateway: Gateway) -> None:
    """Write the results of BATCH as JSONL, in the order of its input: all lines that have ended so far.

    \b
    Examples:
      batchgate batches results batch_00061f... --output answers.jsonl
      batchgate batches results batch_00061f... | jq .response.body
    """
    path = f"/batches/{segment(batch)}/results"
    params = {"format": "raw"} if raw else {}
    if output is None:
        _print(gateway, path, params)
        return
    gateway.greet()
    progress = Progress()
    sent = Transfer(progress, f"writing {output.name}", None)
    with whole_file(output, force=force) as target:
        patiently(lambda: _append(gateway, path, params, target, sent))
        size = target.tell()
    progress.end()
    click.echo(f"{output}: {size:,} bytes", err=True)


def _append(gateway: Gateway, path: str, params: dict[str, str], target: BinaryIO, sent: Sent) -> None:
    """Writes the results to a file: after a stream that was cut off those that follow the last whole line."""
    after = _last_id(target) if "format" not in params else None
    if after is None:
        target.seek(0)
        target.truncate()
    with gateway.open(path, params=params | ({"after": after} if after else {})) as response:
        for piece in read(response):
            target.write(piece)
            sent(len(piece))


def _last_id(target: BinaryIO) -> str | None:
    """Cuts off the line that is not whole, and returns the id of the one before; None if there is none."""
    end = _newline_before(target, target.seek(0, 2))
    if end is None:
        return None
    start = _newline_before(target, end)
    target.seek(0 if start is None else start + 1)
    found = json.loads(target.read(end - target.tell()))
    target.truncate(end + 1)
    target.seek(end + 1)
    return str(found["id"])


def _newline_before(target: BinaryIO, position: int) -> int | None:
    while position > 0:
        begin = max(0, position - PIECE_BYTES)
        target.seek(begin)
        found = target.read(position - begin).rfind(b"\n")
        if found >= 0:
            return begin + found
        position = begin
    return None


def _print(gateway: Gateway, path: str, params: dict[str, str]) -> None:
    """Copies the stream to standard output; what a terminal gets has its control characters escaped."""
    target = sys.stdout.buffer
    with gateway.open(path, params=params) as response:
        if not is_terminal():
            target.writelines(read(response))
            target.flush()
            return
        for line in _lines(read(response)):
            click.echo(plain_json(line))


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        held.append(first)
        if others:
            yield b"".join(held)
            held = [others.pop()]
            yield from others
    if rest := b"".join(held):
        yield rest


def _groups(gateway: Gateway, batch: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Counts lines without a response by state and code, page by page."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for state in NOT_WELL:
        for line in pages.items(gateway, f"/batches/{segment(batch)}/lines", {"state": state}, page=PAGE):
            key = (state, str(line.get("error_code") or ""))
            counts[key] += 1
            if key not in groups:
                groups[key] = {
                    "state": state,
                    "code": line.get("error_code"),
                    "status_code": line.get("status_code"),
                    "custom_id": line.get("custom_id"),
                    "message": None,
                }
    for key, group in groups.items():
        group["lines"] = counts[key]
    return groups


def _add_words(gateway: Gateway, batch: str, groups: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Adds the message of the line that stands for its group, from the error file that a batch has when it is over."""
    file_id = gateway.call("GET", f"/batches/{segment(batch)}").get("error_file_id")
    if not file_id:
        return
    missing = {group["custom_id"]: group for group in groups.values()}
    taken = 0
    with gateway.open(f"/files/{segment(file_id)}/content") as response:
        for line in _lines(read(response)):
            taken += len(line)
            failed = json.loads(line)
            group = missing.pop(failed.get("custom_id"), None)
            if group is not None:
                group["message"] = shortened(reason(failed), TEXT_LENGTH)
            if not missing or taken > MAX_READ_BYTES:
                return


def reason(failed: dict[str, Any]) -> str:
    """Returns why a line of an error file failed: the gateway's reason, or the provider's response."""
    if error := failed.get("error"):
        return str(error.get("message") or error.get("code"))
    response = failed.get("response") or {}
    body = response.get("body")
    error = body.get("error") if isinstance(body, dict) else body
    message = error.get("message") if isinstance(error, dict) else error
    return f"HTTP {response.get('status_code')} {message}"


def _waits(line: dict[str, Any]) -> str:
    waits = line.get("waiting_on")
    if not waits:
        return f"runs since {instant(line['running_since'])}" if line.get("running_since") else ""
    until = f" until {instant(waits['until'])}" if waits.get("until") else ""
    return f"{waits['reason']}{until}"
