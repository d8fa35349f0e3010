"""`batchgate docs`: the pages that are made from the code."""

from collections.abc import Callable
from pathlib import Path

import click

import app as batchgate
from app.cli import access_document, dialects_document, providers_document, schema_document, settings_document
from app.cli.shared.context import Refused

FOLDER = Path(batchgate.__file__).resolve().parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "access.md": access_document.render,
    "dialects.md": dialects_document.render,
    "providers.md": providers_document.render,
    "schema.md": schema_document.render,
    "settings.md": settings_document.render,
}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a page is not current.")
def docs(check: bool) -> None:
    """Write the pages of docs/ that are made from the code, for people who work on Batchgate.

    \b
    Example:
      batchgate docs --check
    """
    if not FOLDER.is_dir():
        raise Refused("There is no folder docs/: this works in a clone of the repository.")
    stale = [name for name, render in PAGES.items() if not _is_current(name, render())]
    if check and stale:
        raise click.ClickException(f"Not current: {', '.join(stale)}. Run `make docs`.")
    for name in stale:
        (FOLDER / name).write_text(PAGES[name](), "utf-8")
        click.echo(f"docs/{name}")


def _is_current(name: str, text: str) -> bool:
    path = FOLDER / name
    return path.is_file() and path.read_text("utf-8") == text
