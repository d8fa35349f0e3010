"""Takes the secrets of one connector out of everything that leaves it in an error."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

from app.connectors.contract.errors import UpstreamError
from app.connectors.http.wire import Answer

REDACTED = "[redacted]"
MAX_MESSAGE = 4096
MAX_WORD = 256
MAX_QUOTED_BYTES = 4096


@lru_cache(maxsize=64)
def _spellings(secret: str) -> re.Pattern[bytes]:
    """`secret` in JSON, also in JSON within a text of JSON."""
    return re.compile(b"".join(map(_spelling, secret)))


def _spelling(character: str) -> bytes:
    units = character.encode("utf-16-be", "surrogatepass")
    codes = b"".join(rb"\\+[uU](?i:%b)" % units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    plain = re.escape(character.encode("utf-8", "surrogatepass"))
    return rb"(?:\\*%b|%b)" % (plain, codes) if character in '/"\\' else rb"(?:%b|%b)" % (plain, codes)


class Redaction:
    """The secrets of one connector; made once, shared by its clients, safe to share between threads.

    Each argument is a secret, or a list that is read anew at every use: tokens come and go. Always redact before
    cutting, because a cut could leave part of a secret.
    """

    def __init__(self, *secrets: str | Sequence[str]) -> None:
        self._secrets = secrets

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in self._longest_first():
            text = text.replace(secret, REDACTED)
        return text

    def data(self, data: bytes) -> bytes:
        """`data` without the secrets, in whatever spelling JSON has for their characters."""
        secrets = self._longest_first()
        for secret in secrets:
            data = data.replace(secret.encode(), REDACTED.encode())
        if b"\\" in data:
            for secret in secrets:
                data = _spellings(secret).sub(REDACTED.encode(), data)
        return data

    def answer(self, answer: Answer) -> Answer:
        """`answer` with a body and headers that hold no secret."""
        headers = {name: self.text(value) for name, value in answer.headers.items()}
        return replace(answer, body=self.data(answer.body), headers=headers)

    def error(self, error: UpstreamError) -> UpstreamError:
        """`error` itself, with every text free of secrets and no longer than is worth keeping."""
        error.message = self.text(error.message)[:MAX_MESSAGE]
        error.code = self.text(error.code)[:MAX_WORD]
        error.param = None if error.param is None else self.text(error.param)[:MAX_WORD]
        error.request_id = self.text(error.request_id)[:MAX_WORD]
        error.body = self.data(error.body)[:MAX_QUOTED_BYTES]
        error.args = (error.message,)
        return error

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Redact each UpstreamError that leaves the block, and drop its cause, which may quote a secret."""
        try:
            yield
        except UpstreamError as error:
            raise self.error(error) from None

    def _longest_first(self) -> list[str]:
        """One secret may be part of another, so the longest goes first."""
        secrets: set[str] = set()
        for secret in self._secrets:
            secrets.update([secret] if isinstance(secret, str) else secret)
        return sorted(filter(None, secrets), key=len, reverse=True)
