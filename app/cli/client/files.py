"""`batchgate files list|show|upload|download|delete`: files of the key's project, over HTTP."""

import sys
from pathlib import Path
from typing import Any

import click

from app.cli.client import downloads, pages, uploads
from app.cli.client.http import Gateway, segment
from app.cli.client.options import Client, as_json, instant, show_fields, show_json, size
from app.cli.client.saving import safe_name
from app.cli.client.uploads import MAX_WHOLE_BYTES, Wish
from app.cli.client.watch import INTERRUPTED
from app.cli.shared import instants
from app.cli.shared.refusal import Refused
from app.cli.shared.text import is_terminal, plain

MIB = 2**20
MAX_PART_MIB = 64
MAX_PAGE = 1000
STDOUT = "-"
INPUT = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
LIST: pages.Shown = {
    "FILE": lambda file: file["id"],
    "SIZE": lambda file: size(file.get("bytes")),
    "PURPOSE": lambda file: file.get("purpose"),
    "CREATED": lambda file: instant(file.get("created_at")),
    "EXPIRES": lambda file: instant(file.get("expires_at")),
    "PROVIDER": lambda file: (file.get("extra_fields") or {}).get("provider"),
    "NAME": lambda file: file.get("filename"),
}
output_option = click.option(
    "--output", metavar="PATH", help="File or folder to write, or - for stdout.  [default: its name, in this folder]"
)
force_option = click.option("--force", is_flag=True, help="Replace the file if there is one.")


@click.command("list", cls=Client)
@click.option("--purpose", help="Only files for this purpose, such as batch or batch_output.")
@click.option("--provider", help="Only files for this provider.")
@pages.list_options
def list_(
    purpose: str | None,
    provider: str | None,
    limit: int,
    all_: bool,
    after: str | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """List the project's files, newest first.

    \b
    Examples:
      batchgate files list --purpose batch
      batchgate files list --all --json
    """
    query = {"purpose": purpose, "provider": provider}
    pages.show(
        gateway, "/files", LIST, query=query, limit=limit, all_=all_, after=after, as_json=as_json, max_page=MAX_PAGE
    )


@click.command(cls=Client)
@click.argument("file")
@as_json
def show(file: str, as_json: bool, gateway: Gateway) -> None:
    """Show FILE: name, size, purpose, times.

    \b
    Example:
      batchgate files show file-00061f...
    """
    found = gateway.call("GET", f"/files/{segment(file)}")
    if as_json:
        show_json(found)
    else:
        show_fields(_fields(found))


@click.command(cls=Client)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=INPUT)
@click.option("--purpose", default="batch", show_default=True, help="What the file is for.")
@click.option("--provider", help="Provider that will use it.  [default: the gateway's]")
@click.option(
    "--expires-after",
    metavar="DURATION",
    callback=instants.duration,
    help="When the file is deleted, such as 24h or 7d.  [default: never]",
)
@click.option(
    "--part-size",
    metavar="MIB",
    type=click.IntRange(1, MAX_PART_MIB),
    help=f"Send it in parts of this size.  [default: 32, of files over {MAX_WHOLE_BYTES // MIB} MiB]",
)
@as_json
def upload(
    paths: tuple[Path, ...],
    purpose: str,
    provider: str | None,
    expires_after: int | None,
    part_size: int | None,
    as_json: bool,
    gateway: Gateway,
) -> None:
    """Upload files, and print the id of each.

    Large files go in parts. When the connection or the command ends, run it again within an hour: parts that are there
    are not sent again, and the whole is checked.

    \b
    Examples:
      batchgate files upload questions.jsonl
      batchgate files upload manual.pdf --purpose user_data --expires-after 7d
    """
    gateway.greet()
    for path in paths:
        wish = Wish(path, purpose, provider, expires_after, part_size * MIB if part_size else None)
        try:
            made = uploads.upload(gateway, wish)
        except KeyboardInterrupt:
            click.echo("\nStopped. Run the same command again to go on.", err=True)
            raise SystemExit(INTERRUPTED) from None
        if as_json:
            show_json(made)
        else:
            click.echo(plain(made["id"]))


@click.command(cls=Client)
@click.argument("file")
@output_option
@force_option
@as_json
def download(file: str, output: str | None, force: bool, as_json: bool, gateway: Gateway) -> None:
    """Download the content of FILE, and check its SHA-256.

    The file appears when it is complete. When the connection or the command ends, run it again: it goes on.

    \b
    Examples:
      batchgate files download file-00061f... --output answers.jsonl
      batchgate files download file-00061f... --output - | head
    """
    path = f"/files/{segment(file)}"
    name = "" if _is_whole(output) else gateway.call("GET", path).get("filename")
    fetch(gateway, f"{path}/content", file, name=name, output=output, force=force, as_json=as_json)


@click.command(cls=Client)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@as_json
def delete(files: tuple[str, ...], as_json: bool, gateway: Gateway) -> None:
    """Delete files, also at their providers. One that an unfinished batch uses is refused.

    \b
    Example:
      batchgate files delete file-00061f...
    """
    for file in files:
        answer = gateway.call("DELETE", f"/files/{segment(file)}")
        if as_json:
            show_json(answer)
        else:
            click.echo(f"{plain(answer['id'])} is deleted.")


def fetch(
    gateway: Gateway, url_path: str, object_id: str, *, name: object, output: str | None, force: bool, as_json: bool
) -> None:
    """Downloads content as the options say; `name` is what the server calls it."""
    if output == STDOUT:
        if is_terminal():
            raise Refused("Content is not written to a terminal: redirect the output, or give --output a name.")
        downloads.stream(gateway, url_path, sys.stdout.buffer)
        return
    target = (
        Path(output)
        if output is not None and _is_whole(output)
        else Path(output or ".") / safe_name(name, instead=object_id)
    )
    try:
        saved = downloads.download(gateway, url_path, target, object_id=object_id, force=force)
    except KeyboardInterrupt:
        click.echo("\nStopped. Run the same command again to go on.", err=True)
        raise SystemExit(INTERRUPTED) from None
    if as_json:
        shown = {"path": str(saved.path), "bytes": saved.size, "sha256": saved.sha256, "checked": saved.is_checked}
        show_json(shown)
        return
    click.echo(plain(saved.path))
    if not saved.is_checked:
        click.echo("The gateway does not know its SHA-256: only its provider has it.", err=True)


def _is_whole(output: str | None) -> bool:
    """Returns True when `output` names the file itself, and not a folder for it."""
    return output is not None and (output == STDOUT or not (output.endswith("/") or Path(output).is_dir()))


def _fields(file: dict[str, Any]) -> dict[str, object]:
    extra = file.get("extra_fields") or {}
    return {
        "file": file["id"],
        "name": file.get("filename"),
        "size": f"{size(file.get('bytes'))} ({file.get('bytes')} bytes)",
        "purpose": file.get("purpose"),
        "status": file.get("status"),
        "provider": extra.get("provider"),
        "id there": extra.get("native_id"),
        "kept at": file.get("storage_backend"),
        "created": instant(file.get("created_at")),
        "expires": instant(file.get("expires_at")),
    }
