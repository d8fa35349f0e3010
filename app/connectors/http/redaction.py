"""Takes the secrets of one connector out of everything that leaves it in an error."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from app.connectors.contract.errors import UpstreamError
from app.connectors.http.wire import Answer
from app.lib import redact
from app.lib.redact import REDACTED

MAX_MESSAGE = 4096
MAX_WORD = 256
MAX_QUOTED_BYTES = 4096


@lru_cache(maxsize=256)
def _spellings(secret: str) -> re.Pattern[bytes]:
    """`secret` in JSON, also in JSON within a text of JSON."""
    return re.compile(redact.bounded_data(b"".join(map(_spelling, secret)), secret))


def _spelling(character: str) -> bytes:
    units = character.encode("utf-16-be", "surrogatepass")
    codes = b"".join(rb"\\+[uU](?i:%b)" % units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    plain = re.escape(character.encode("utf-8", "surrogatepass"))
    return rb"(?:\\*%b|%b)" % (plain, codes) if character in '/"\\' else rb"(?:%b|%b)" % (plain, codes)


class RedactedErrors:
    """The block of `Redaction.in_errors`. Not a generator: each line has two of them, and hardly one has an error."""

    __slots__ = ("_redaction",)

    def __init__(self, redaction: "Redaction") -> None:
        self._redaction = redaction

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, UpstreamError):
            raise self._redaction.error(error) from None


class Redaction:
    """The secrets of one connector; made once, shared by its clients, safe to share between threads.

    Each argument is a secret, or a list that is read anew at every use: tokens come and go. `least` is the length of
    the shortest that is one. Always redact before cutting, because a cut could leave part of a secret.
    """

    def __init__(self, *secrets: str | Sequence[str], least: int = redact.MIN_SECRET_LENGTH) -> None:
        self._secrets = secrets
        self._errors = RedactedErrors(self)
        self._least = least
        self._base_urls: tuple[str, ...] = ()

    def at(self, base_url: str) -> "Redaction":
        """This redaction for an API at `base_url`, which it takes out, too: it may be internal."""
        if base_url in self._base_urls:
            return self
        found = Redaction(*self._secrets, least=self._least)
        found._base_urls = (*self._base_urls, base_url)
        return found

    def text(self, text: str) -> str:
        """`text` without the secrets and base URLs."""
        text = redact.hidden(text, self._words(), least=self._least)
        for address in map(redact.address, self._base_urls):
            text = address.sub(REDACTED, text) if address else text
        return text

    def data(self, data: bytes) -> bytes:
        """`data` without the secrets, in whatever spelling JSON has for their characters, and without base URLs."""
        data = self.row(data)
        for address in map(redact.address_in_data, self._base_urls):
            data = address.sub(REDACTED.encode(), data) if address else data
        return data

    def row(self, data: bytes) -> bytes:
        """As `data`, for what may be an answer, in which the name of a public server is nothing to hide."""
        secrets = redact.longest_first(self._words(), least=self._least)
        for secret in secrets:
            data = redact.data_pattern(secret).sub(REDACTED.encode(), data)
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
        error.where = redact.hidden(error.where, self._words(), least=self._least)[:MAX_WORD]
        error.args = (error.message,)
        return error

    def in_errors(self) -> "RedactedErrors":
        """Redact each UpstreamError that leaves the `with` block, and drop its cause, which may quote a secret."""
        return self._errors

    def _words(self) -> list[str]:
        words: list[str] = []
        for secret in self._secrets:
            words += [secret] if isinstance(secret, str) else secret
        return words
