"""`python -m tools.docs`: generate the pages of docs/ that are derived from the code."""

import sys
from pathlib import Path

import click

from tools.docs.pages import PAGES

FOLDER = Path(__file__).resolve().parents[2] / "docs"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is out of date.")
def main(check: bool) -> None:
    """Generate the pages of docs/ that are derived from the code."""
    stale = [name for name, render in PAGES.items() if not _is_current(name, render())]
    if check and stale:
        raise click.ClickException(f"Out of date: {', '.join(stale)}. Run `make docs`.")
    for name in stale:
        (FOLDER / name).write_text(PAGES[name](), "utf-8")
        click.echo(f"docs/{name}")


def _is_current(name: str, text: str) -> bool:
    path = FOLDER / name
    return path.is_file() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
