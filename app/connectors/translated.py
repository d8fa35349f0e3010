"""What connectors share whose provider speaks a dialect of its own: lines sent one by one, and rows of results."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.connectors import answers
from app.connectors.base import Connector, LineAnswer, LineCall, Target, UpstreamServerError
from app.connectors.management import Api
from app.connectors.native import JobResult
from app.lib import json
from app.translate import dialects
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Request

BAD_ANSWER = "bad_answer"


@dataclass(frozen=True, slots=True)
class NativeCall:
    """One line as the provider takes it: where it goes, and what; `read` makes sense of the answer's JSON."""

    path: str
    body: Mapping[str, Any]
    read: Callable[[Any], Answer | EmbeddingAnswer]
    dropped: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Translated(Connector):
    """One account at such a provider. Subclasses make `_api` and say what a line becomes."""

    _api: Api

    def __init__(self, target: Target, api: Api) -> None:
        super().__init__(target)
        self._api = api

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return self._api.healthy

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        self._api.close()

    @abstractmethod
    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request`, which was read from `call`, as the provider takes it. Raises TranslationError."""

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. 2xx and final 4xx are answers, as is a line that cannot be translated.

        All else raises an UpstreamError.
        """
        try:
            request = (
                dialects.read_embedding(call.body)
                if call.endpoint == dialects.EMBEDDINGS
                else dialects.read_request(call.endpoint, call.body)
            )
            native = self.native_call(request, call)
        except TranslationError as error:
            return LineAnswer(400, "", refusal(error))
        told = self._api.line(native.path, native.body, headers=native.headers, timeout_s=call.timeout_s)
        if told.status >= 400:
            body = json.dumps(answers.error_body(told, secret=""))
            return LineAnswer(told.status, told.request_id, body)
        try:
            answer = native.read(json.loads(told.body))
        except (UnexpectedAnswerError, json.JSONDecodeError) as error:
            raise UpstreamServerError(str(error), status=told.status, code=BAD_ANSWER) from error
        return LineAnswer(told.status, told.request_id, b"", answer.usage, native.dropped, answer)


def refusal(error: TranslationError) -> bytes:
    """The body that a line is answered with which cannot be said in its provider's dialect; its status is 400."""
    told = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return json.dumps({"error": told})


def answered(custom_id: str, value: Any, read: Callable[[Any], Answer | EmbeddingAnswer]) -> JobResult:
    """A row with an answer in the provider's dialect; one that makes no sense ends its line with an error."""
    try:
        answer = read(value)
    except UnexpectedAnswerError as error:
        return JobResult(custom_id, error_code=BAD_ANSWER, message=str(error))
    return JobResult(custom_id, 200, answer.id if isinstance(answer, Answer) else "", usage=answer.usage, answer=answer)
