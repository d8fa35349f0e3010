"""Cohere's result files: Avro, or lines of JSON (contracts: providers, 6 and 29.6)."""

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from app.connectors.contract.objects import Download
from app.connectors.http.spool import PIECE_BYTES, lines_of
from app.connectors.providers.cohere import avro
from app.connectors.shared import parsing
from app.lib import json


def rows(download: Download) -> Iterator[Any]:
    """The rows of one file, which is spooled to disk first. Raises UpstreamError."""
    with tempfile.TemporaryFile() as file:
        for chunk in download.chunks:
            file.write(chunk)
        file.seek(0)
        is_avro = file.read(len(avro.MAGIC)) == avro.MAGIC
        file.seek(0)
        yield from avro.records(file) if is_avro else _json_rows(file)


def json_line(row: Any) -> bytes:
    """A row as a line of JSON; one that never was JSON as it is.

    Raises UpstreamServerError if it is not an object, or cannot be expressed in JSON.
    """
    if isinstance(row, bytes):
        return row + b"\n"
    fields = parsing.fields(row, "a result")
    try:
        return json.dumps_line(
            {name: value.decode() if isinstance(value, bytes) else value for name, value in fields.items()}
        )
    except (json.JSONEncodeError, UnicodeDecodeError) as error:
        raise parsing.bad_answer("a result holds what JSON can't say") from error


def _json_rows(file: IO[bytes]) -> Iterator[Any]:
    for line in lines_of(iter(lambda: file.read(PIECE_BYTES), b"")):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            yield line  # as it is: it costs only itself
