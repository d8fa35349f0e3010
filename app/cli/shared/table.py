"""Formats tables as plain text."""

from collections.abc import Sequence

from app.cli.shared.text import plain


def columns(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Formats a table with one line for each row and no truncated values; control characters are escaped."""
    cells = [list(heads), *[["" if value is None else plain(value) for value in row] for row in rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
