"""Shared by connectors whose provider has a dialect of its own: lines sent one by one, and rows of results."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.connectors.contract.base import Connector, LineAnswer, LineCall, Target, WrittenLine
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.http import judging
from app.connectors.http.api import Api
from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote
from app.connectors.http.wire import Answer as HttpAnswer
from app.connectors.shared import parsing
from app.lib import json
from app.translate import dialects
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Request, Usage

BAD_ANSWER = "bad_answer"


@dataclass(frozen=True, slots=True)
class NativeCall:
    """One line in the provider's dialect: path and body of the POST; `read` makes sense of the answer's JSON."""

    path: str
    body: Mapping[str, Any]
    read: Callable[[Any], Answer | EmbeddingAnswer]
    dropped: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Translated(Connector):
    """One account at such a provider. Subclasses say what a line becomes.

    `remote` is its management API; `lines` is where its lines go, if that is elsewhere.
    """

    def __init__(self, target: Target, remote: Remote, *, lines: Remote | None = None) -> None:
        super().__init__(target)
        self._redaction = remote.redaction
        self._api = Api(target, remote)
        self._line_client = LineClient(
            lines or remote, connect_timeout_s=target.connect_timeout_s, max_idle=target.max_concurrency
        )

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return self._api.healthy

    def hide_text(self, text: str) -> str:
        """`text` without the secrets of the account."""
        return self._redaction.text(text)

    def hide_row(self, row: bytes) -> bytes:
        """A row of results without the secrets of the account."""
        return self._redaction.row(row)

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        self._api.close()
        self._line_client.close()

    @abstractmethod
    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request`, which was read from `call`, in the provider's dialect. Raises TranslationError."""

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. A 2xx and a final 4xx are answers, as is the refusal of a line that cannot be translated.

        Anything else raises an UpstreamError.
        """
        try:
            native = self._native(call)
            answer = self._post(native.path, native.body, call, headers=native.headers)
        except TranslationError as error:
            return LineAnswer(400, "", refusal(error))
        except json.JSONEncodeError:  # such as JSON within a text, which has its own depth
            too_deep = TranslationError("body", "is nested too deep for the provider's dialect.")
            return LineAnswer(400, "", refusal(too_deep))
        if answer.status >= 400:
            return self.refused(answer)
        try:
            value = native.read(json.loads(answer.body))
        except (UnexpectedAnswerError, json.JSONDecodeError) as error:
            raise UpstreamServerError(str(error), status=answer.status, code=BAD_ANSWER) from error
        return LineAnswer(answer.status, answer.request_id, b"", value.usage, native.dropped, value)

    def written_line(self, call: LineCall) -> WrittenLine:
        """What `run_line` would send. Raises TranslationError."""
        native = self._native(call)
        return WrittenLine(native.path, native.body)

    def run_in_pieces(self, call: LineCall, pieces: Iterable[list[str]]) -> LineAnswer:
        """Send a line of many texts in several calls, one after another: the vectors of all, or the first refusal."""
        deadline = time.monotonic() + call.timeout_s
        answers: list[LineAnswer] = []
        for piece in pieces:
            left = max(0.001, deadline - time.monotonic())
            answer = Translated.run_line(self, replace(call, body={**call.body, "input": piece}, timeout_s=left))
            if not isinstance(answer.answer, EmbeddingAnswer):
                return answer
            answers.append(answer)
        return _joined(answers)

    def refused(self, answer: HttpAnswer) -> LineAnswer:
        """A line that the provider refused."""
        return LineAnswer(answer.status, answer.request_id, json.dumps(self.hide(judging.error_body(answer))))

    def _native(self, call: LineCall) -> NativeCall:
        request = (
            dialects.read_embedding(call.body)
            if call.endpoint == dialects.EMBEDDINGS
            else dialects.read_request(call.endpoint, call.body)
        )
        return self.native_call(request, call)

    def _post(self, path: str, body: Any, call: LineCall, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """The answer to one line: a 2xx, or a 4xx that a retry would not change. Raises UpstreamError otherwise."""
        with self._redaction.in_errors():
            data = json.dumps(body)
            answer = self._line_client.post(path, data, headers=headers, timeout_s=call.timeout_s, room=call.room)
            judging.raise_unless_answered(answer, provider=self.target.provider)
            return answer


def refusal(error: TranslationError) -> bytes:
    """The body that answers a line which its provider's dialect cannot express; its status is 400."""
    fields = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return json.dumps({"error": fields})


def answered(custom_id: str, value: Any, read: Callable[[Any], Answer | EmbeddingAnswer]) -> JobResult:
    """A row with an answer in the provider's dialect; one that makes no sense ends its line with an error."""
    try:
        answer = read(parsing.unquoted(value))
    except UnexpectedAnswerError as error:
        return JobResult(custom_id, error_code=BAD_ANSWER, message=str(error))
    return JobResult(custom_id, 200, answer.id if isinstance(answer, Answer) else "", usage=answer.usage, answer=answer)


def _joined(answers: list[LineAnswer]) -> LineAnswer:
    """The answers to the pieces of one line as one."""
    parts = [part.answer for part in answers if isinstance(part.answer, EmbeddingAnswer)]
    tokens = sum(part.usage.input_tokens for part in answers)
    usage = Usage(input_tokens=tokens, total_tokens=tokens)
    vectors = [vector for part in parts for vector in part.vectors]
    return replace(answers[-1], usage=usage, answer=EmbeddingAnswer(vectors, usage, parts[0].model))
