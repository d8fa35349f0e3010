"""docs/schema.md, made from the tables."""

from sqlalchemy import Table

from app.data.store import views
from app.data.tables import metadata

HEAD = """# The store

Made from the tables by `make docs`; a test checks that it is current. `make sql` opens a prompt on the store.

Instants (`*_at`, `lease_until`, `pause_until`) are Unix milliseconds in UTC; the views show them as text. Sizes are
bytes. Integer ids stay inside; `public_id` is what clients see.

## Views

"""


def render() -> str:
    """The document as Markdown."""
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
