"""Generate docs/schema.md from the tables."""

from sqlalchemy import Table

from app.data.store import views
from app.data.tables import metadata

HEAD = """# The store

The tables and views of the database. Generated from the code by `make docs`. `make sql` opens a read-only SQL prompt.

Times (`*_at`, `lease_until`, `pause_until`) are Unix milliseconds in UTC; the views show them as text. Sizes are in
bytes. Integer ids are internal; clients see `public_id`.

## Views

"""


def render() -> str:
    """Render the page as Markdown."""
    parts = [HEAD, "".join(f"- `{name}`\n" for name in views.NAMES), "\n## Tables\n"]
    parts += [_table(table) for table in sorted(metadata.tables.values(), key=lambda table: table.name)]
    return "".join(parts)


def _table(table: Table) -> str:
    lines = [f"\n### {table.name}\n", f"\n{table.comment}\n", "\n| column | type | |\n|---|---|---|\n"]
    for column in table.columns:
        notes = []
        if column.primary_key:
            notes.append("primary key")
        notes += [f"-> {key.target_fullname}" for key in column.foreign_keys]
        if not column.nullable and not column.primary_key:
            notes.append("not null")
        lines.append(f"| {column.name} | {column.type!s} | {', '.join(notes)} |\n")
    indexes = sorted(", ".join(column.name for column in index.columns) for index in table.indexes)
    if indexes:
        lines.append("\nIndexes: " + "; ".join(f"({index})" for index in indexes) + ".\n")
    return "".join(lines)
