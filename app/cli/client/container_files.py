"""`batchgate containers files ...`: the files in a container, over HTTP."""

from pathlib import Path

import click

from app.cli.client import files, pages
from app.cli.client.http import Gateway, segment
from app.cli.client.options import Client, as_json, instant, show_fields, show_json, size
from app.cli.shared.progress import Progress, Transfer
from app.cli.shared.text import plain

LIST: pages.Shown = {
    "FILE": lambda file: file["id"],
    "SIZE": lambda file: size(file.get("bytes")),
    "SOURCE": lambda file: file.get("source"),
    "CREATED": lambda file: instant(file.get("created_at")),
    "PATH": lambda file: file.get("path"),
}
in_container = click.argument("container")


@click.command("list", cls=Client)
@in_container
@pages.list_options
def list_(container: str, limit: int, all_: bool, after: str | None, as_json: bool, gateway: Gateway) -> None:
    """List the files in CONTAINER, newest first.

    \b
    Example:
      batchgate containers files list cntr_00061f...
    """
    path = f"/containers/{segment(container)}/files"
    pages.show(gateway, path, LIST, query={}, limit=limit, all_=all_, after=after, as_json=as_json)


@click.command(cls=Client)
@in_container
@click.argument("file")
@as_json
def show(container: str, file: str, as_json: bool, gateway: Gateway) -> None:
    """Show FILE in CONTAINER.

    \b
    Example:
      batchgate containers files show cntr_00061f... cfile_00061f...
    """
    found = gateway.call("GET", _path(container, file))
    if as_json:
        show_json(found)
        return
    shown = {"file": found["id"], "path": found.get("path"), "source": found.get("source")}
    show_fields({**shown, "size": size(found.get("bytes")), "created": instant(found.get("created_at"))})


@click.command(cls=Client)
@in_container
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=files.INPUT)
@as_json
def upload(container: str, paths: tuple[Path, ...], as_json: bool, gateway: Gateway) -> None:
    """Put files into CONTAINER, and print the id of each.

    \b
    Example:
      batchgate containers files upload cntr_00061f... table.csv
    """
    for path in paths:
        progress = Progress()
        sent = Transfer(progress, f"uploading {path.name}", path.stat().st_size)
        made = gateway.send_file(f"/containers/{segment(container)}/files", path, fields={}, sent=sent)
        progress.end()
        if as_json:
            show_json(made)
        else:
            click.echo(plain(made["id"]))


@click.command(cls=Client)
@in_container
@click.argument("file")
@files.output_option
@files.force_option
@as_json
def download(container: str, file: str, output: str | None, force: bool, as_json: bool, gateway: Gateway) -> None:
    """Download the content of FILE from CONTAINER, and check its SHA-256 where it is known.

    \b
    Example:
      batchgate containers files download cntr_00061f... cfile_00061f... --output chart.png
    """
    path = _path(container, file)
    name = gateway.call("GET", path).get("path")
    files.fetch(gateway, f"{path}/content", file, name=name, output=output, force=force, as_json=as_json)


@click.command(cls=Client)
@in_container
@click.argument("file_ids", metavar="FILE...", nargs=-1, required=True)
@as_json
def delete(container: str, file_ids: tuple[str, ...], as_json: bool, gateway: Gateway) -> None:
    """Delete files in CONTAINER.

    \b
    Example:
      batchgate containers files delete cntr_00061f... cfile_00061f...
    """
    for file in file_ids:
        answer = gateway.call("DELETE", _path(container, file))
        if as_json:
            show_json(answer)
        else:
            click.echo(f"{plain(answer['id'])} is deleted.")


def _path(container: str, file: str) -> str:
    return f"/containers/{segment(container)}/files/{segment(file)}"
