"""`python -m tools.vendor_types`: what in the types of the vendors' SDKs the gateway's checks let pass unseen.

Run it after an SDK has changed. A member that it prints is refused by `app/services/lines/owned_ids.py`, checked by
`app/services/lines/models.py`, or listed with a reason in `tools/vendor_types/reviewed.py`.
"""

import click

from tools.vendor_types.passing import report


@click.command(help=__doc__)
def main() -> None:
    """Print what passes; exit with 1 if anything does."""
    lines = list(report())
    for line in lines:
        click.echo(line)
    if lines:
        raise click.ClickException(f"{len(lines)} members pass that nobody has looked at.")


if __name__ == "__main__":
    main()
