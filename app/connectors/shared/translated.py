"""What connectors share whose provider speaks a dialect of its own: lines sent one by one, and rows of results."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.connectors.contract.base import Connector, LineAnswer, LineCall, Target
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.http import judging
from app.connectors.http.api import Api
from app.lib import json
from app.translate import dialects
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Request, Usage

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
            told = self._api.line(native.path, native.body, headers=native.headers, timeout_s=call.timeout_s)
        except TranslationError as error:
            return LineAnswer(400, "", refusal(error))
        except json.JSONEncodeError:  # such as JSON within a text, which has its own depth
            deep = TranslationError("body", "is nested too deep to be said in the provider's dialect.")
            return LineAnswer(400, "", refusal(deep))
        if told.status >= 400:
            body = json.dumps(judging.error_body(told, secret=""))
            return LineAnswer(told.status, told.request_id, body)
        try:
            answer = native.read(json.loads(told.body))
        except (UnexpectedAnswerError, json.JSONDecodeError) as error:
            raise UpstreamServerError(str(error), status=told.status, code=BAD_ANSWER) from error
        return LineAnswer(told.status, told.request_id, b"", answer.usage, native.dropped, answer)

    def run_in_pieces(self, call: LineCall, pieces: Iterable[list[str]]) -> LineAnswer:
        """Send a line of many texts in several calls, one after another: the vectors of all, or the first refusal."""
        deadline = time.monotonic() + call.timeout_s
        told: list[LineAnswer] = []
        for piece in pieces:
            left = max(0.001, deadline - time.monotonic())
            answer = Translated.run_line(self, replace(call, body={**call.body, "input": piece}, timeout_s=left))
            if not isinstance(answer.answer, EmbeddingAnswer):
                return answer
            told.append(answer)
        return _joined(told)


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


def _joined(told: list[LineAnswer]) -> LineAnswer:
    """The answers to the pieces of one line as one."""
    parts = [part.answer for part in told if isinstance(part.answer, EmbeddingAnswer)]
    tokens = sum(part.usage.input_tokens for part in told)
    usage = Usage(input_tokens=tokens, total_tokens=tokens)
    vectors = [vector for part in parts for vector in part.vectors]
    return replace(told[-1], usage=usage, answer=EmbeddingAnswer(vectors, usage, parts[0].model))
