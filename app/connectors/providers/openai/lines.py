"""Servers that speak OpenAI's inference dialect: vLLM, SGLang, Ollama, llama.cpp and the like."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from app.connectors.contract.base import Connector, LineAnswer, LineCall, Target
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.http import judging
from app.connectors.http.lines import MAX_ANSWER_BYTES, Answer, HttpClient
from app.lib import ids, json
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.responses.answers import from_chat
from app.translate.responses.requests import to_chat

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MODELS = "/v1/models"
VERSION_SEGMENT = re.compile(r"v\d+[a-z0-9]*")


class OpenAICompatible(Connector):
    """One such server. It learns once whether the server has `/v1/responses`."""

    def __init__(self, target: Target, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        super().__init__(target)
        self._secret = target.credential
        self._http = HttpClient(
            target.base_url,
            headers=self.headers(),
            authorize=self.authorize,
            connect_timeout_s=target.connect_timeout_s,
            max_idle=target.max_concurrency,
            max_answer_bytes=max_answer_bytes,
        )
        self._versioned = has_version(target.base_url)
        self._lacks_responses = False

    def headers(self) -> dict[str, str]:
        """What every call carries. Many servers ask for no key; an empty bearer is refused by some that do not look."""
        return {"Authorization": f"Bearer {self._secret}"} if self._secret else {}

    @property
    def authorize(self) -> Callable[[], Mapping[str, str]] | None:
        """Gives what calls carry besides, where it changes with time; None where it does not."""
        return None

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. 2xx and final 4xx are answers; all else raises an UpstreamError."""
        if call.endpoint == RESPONSES:
            return self._respond(call)
        return self._finished(call.endpoint, self._post(call.endpoint, call.body, call.timeout_s))

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models that the server lists, as it describes them. Raises UpstreamError."""
        answer = self._http.get(self._path(MODELS), timeout_s=timeout_s)
        judging.raise_unless_final(answer, secret=self._secret)
        if answer.status >= 400:
            message = judging.error_body(answer, secret=self._secret)["error"]["message"]
            raise UpstreamServerError(message, status=answer.status, request_id=answer.request_id)
        data = judging.json_object(answer, endpoint=MODELS, secret=self._secret).get("data")
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        self._http.close()

    def _respond(self, call: LineCall) -> LineAnswer:
        deadline = time.monotonic() + call.timeout_s
        if not self._lacks_responses:
            answer = self._post(RESPONSES, call.body, call.timeout_s, tolerate=(501,))
            if not lacks_route(answer):
                return self._finished(RESPONSES, answer)
        try:
            chat_body = to_chat(call.body)
        except TranslationError as error:
            return _refusal(error)
        answer = self._post(CHAT, chat_body, deadline - time.monotonic())
        # Remembered only when chat is there: with a wrong base URL both are missing.
        self._lacks_responses = self._lacks_responses or not lacks_route(answer)
        return self._as_response(answer, call.body)

    def _as_response(self, answer: Answer, request: Mapping[str, Any]) -> LineAnswer:
        finished = self._finished(CHAT, answer)
        if finished.status_code >= 400:
            return finished
        try:
            body = from_chat(
                json.loads(answer.body), request=request, response_id=ids.new("resp_"), now_s=int(time.time())
            )
        except UnexpectedAnswerError as error:
            raise UpstreamServerError(str(error), status=answer.status, code="bad_answer") from error
        return LineAnswer(finished.status_code, finished.request_id, json.dumps(body), finished.usage)

    def _post(
        self, endpoint: str, body: Mapping[str, Any], timeout_s: float, *, tolerate: tuple[int, ...] = ()
    ) -> Answer:
        answer = self._http.post(self._path(endpoint), json.dumps(body), timeout_s=timeout_s)
        if answer.status not in tolerate:
            judging.raise_unless_final(answer, secret=self._secret)
        return answer

    def _finished(self, endpoint: str, answer: Answer) -> LineAnswer:
        if answer.status >= 400:
            body = json.dumps(judging.error_body(answer, secret=self._secret))
            return LineAnswer(answer.status, answer.request_id, body)
        value = judging.json_object(answer, endpoint=endpoint, secret=self._secret)
        return LineAnswer(answer.status, answer.request_id, judging.one_line(answer.body), judging.usage_of(value))

    def _path(self, endpoint: str) -> str:
        return endpoint.removeprefix("/v1") if self._versioned else endpoint


def has_version(base_url: str) -> bool:
    """True if the base URL is complete, as OpenAI SDKs want it: a part of its path is a version (`/v1`)."""
    return any(VERSION_SEGMENT.fullmatch(part) for part in urlsplit(base_url).path.split("/"))


def lacks_route(answer: Answer) -> bool:
    """True if the server does not know the path, rather than the model or an object named in the body."""
    if answer.status in (405, 501):
        return True
    if answer.status != 404:
        return False
    error = judging.error_body(answer, secret="")["error"]
    names_object = error["param"] or error["code"] == "model_not_found"
    return not names_object and not re.search(r"\bmodel\b", error["message"], re.IGNORECASE)


def _refusal(error: TranslationError) -> LineAnswer:
    fields = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return LineAnswer(400, "", json.dumps({"error": fields}))
