"""JSON answers that may be huge: spooled to disk, then read piece by piece."""

import tempfile
from collections.abc import Iterator, Mapping

from app.connectors.management import Api
from app.connectors.parsing import bad_answer
from app.lib.json_stream import JsonStreamError, Member
from app.lib.json_stream import members as members_of

# No answer to one line is larger; nor is all that surrounds the answers.
MAX_ELEMENT_BYTES = 64 * 2**20
MAX_OTHER_BYTES = 4 * 2**20


def members(
    api: Api, path: str, *, array: str, query: Mapping[str, str | int | None] | None = None
) -> Iterator[Member]:
    """The members of the object that a GET answers, those of the list named `array` one by one.

    The answer is on disk before the first piece is handed out, so that the connection never waits for the reader.
    Raises UpstreamError: what `Api.download` raises, and UpstreamServerError for what is no such object.
    """
    with tempfile.TemporaryFile() as spool:
        with api.download(path, query=query) as download:
            for chunk in download.chunks:
                spool.write(chunk)
        spool.seek(0)
        try:
            yield from members_of(spool, array=array, element_bytes=MAX_ELEMENT_BYTES, other_bytes=MAX_OTHER_BYTES)
        except JsonStreamError as error:
            where = (error.member or "the answer")[:60]
            raise bad_answer(f"{where} {error.message.rstrip('.')}") from error
