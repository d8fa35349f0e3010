"""JSON answers that may be huge: spooled to disk, then read element by element."""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from app.connectors.http.api import Api
from app.connectors.shared.parsing import bad_answer
from app.lib.json_stream import JsonStreamError, Member, nested_members
from app.lib.json_stream import members as members_of

# The answer to one line is never larger, and neither is everything around the answers.
MAX_ELEMENT_BYTES = 64 * 2**20
MAX_OTHER_BYTES = 4 * 2**20
JSON = {"Accept": "application/json"}


def members(
    api: Api, path: str, *, array: str, query: Mapping[str, str | int | None] | None = None
) -> Iterator[Member]:
    """The members of the JSON object that a GET answers; those of the list `array` one by one.

    The answer is spooled to disk before the first member is yielded, so the connection never waits for the reader.
    Raises what `Api.download` raises, and UpstreamServerError if the answer is not such an object.
    """
    with _spooled(api, path, query) as spool:
        yield from members_of(spool, array=array, element_bytes=MAX_ELEMENT_BYTES, other_bytes=MAX_OTHER_BYTES)


def nested(
    api: Api, path: str, *, arrays: Collection[tuple[str, ...]], query: Mapping[str, str | int | None] | None = None
) -> Iterator[Member]:
    """The elements of `arrays` (see `json_stream.nested_members`) one by one, then the rest of a GET's answer.

    Otherwise as `members`.
    """
    with _spooled(api, path, query) as spool:
        yield from nested_members(spool, arrays=arrays, element_bytes=MAX_ELEMENT_BYTES, other_bytes=MAX_OTHER_BYTES)


@contextmanager
def _spooled(api: Api, path: str, query: Mapping[str, str | int | None] | None) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as spool:
        with api.download(path, query=query, headers=JSON) as download:
            for chunk in download.chunks:
                spool.write(chunk)
        spool.seek(0)
        try:
            yield spool
        except JsonStreamError as error:
            where = (error.member or "the answer")[:60]
            raise bad_answer(f"{where} {error.message.rstrip('.')}") from error
