"""`batchgate blobs`: shows where file contents are, and moves them to another store."""

import time
from collections import Counter

import click

from app.blobs import Address, checked
from app.blobs.address import AddressError
from app.cli.shared import context
from app.services.upkeep import moving
from app.services.upkeep.moving import FAILED, MOVED, THREADS

MIB = 2**20
SHOW_S = 1.0
MAX_SHOWN = 20


@click.group()
def blobs() -> None:
    """Show where file contents are, and move them."""


@blobs.command()
def stores() -> None:
    """List the stores, and what each one has.

    \b
    Example:
      batchgate blobs stores
    """
    with context.gateway() as gateway, context.plain_errors():
        found = moving.stores(gateway)
    rows = [
        (
            store.holding.store,
            store.holding.blobs,
            store.holding.bytes,
            "default" if store.is_default else "yes" if store.is_known else "NO: add it to BATCHGATE_BLOB_STORES",
        )
        for store in found
    ]
    click.echo(context.columns(("STORE", "BLOBS", "BYTES", "KNOWN HERE"), rows))


@blobs.command()
@click.option("--to", required=True, metavar="URL", help="Store to move to, as `batchgate blobs stores` lists it.")
@click.option("--threads", default=THREADS, show_default=True, type=click.IntRange(1, 32), help="Blobs moved at once.")
def move(to: str, threads: int) -> None:
    """Move all file contents to another store, while the gateway runs.

    Each one is copied, read back and compared, and only then deleted where it was. Stop it whenever you like: run
    again, it goes on. First make all processes know both stores (docs/object-stores.md).

    \b
    Example:
      batchgate blobs move --to s3://bucket/batchgate
    """
    try:
        url = checked(Address(to), name="--to").url
    except AddressError as error:
        raise context.Refused(str(error)) from error
    counts: Counter[str] = Counter()
    size = shown_failures = 0
    next_at = time.monotonic() + SHOW_S
    with context.gateway() as gateway, context.plain_errors():
        for outcome in moving.move(gateway, to=url, threads=threads):
            counts[outcome.state] += 1
            size += outcome.bytes if outcome.state == MOVED else 0
            if outcome.state == FAILED and shown_failures < MAX_SHOWN:
                shown_failures += 1
                click.echo(f"{outcome.key}: {outcome.reason}", err=True)
            if time.monotonic() >= next_at:
                click.echo(_summary(counts, size))
                next_at = time.monotonic() + SHOW_S
    click.echo(_summary(counts, size))
    if counts[FAILED]:
        raise context.Refused(f"{counts[FAILED]} could not be moved and are where they were; run this again.")


def _summary(counts: Counter[str], size: int) -> str:
    others = "".join(f", {count} {state}" for state, count in sorted(counts.items()) if state != MOVED)
    return f"{counts[MOVED]} moved ({size / MIB:.1f} MiB){others}"
