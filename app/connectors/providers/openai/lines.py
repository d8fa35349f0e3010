"""Servers that speak OpenAI's inference dialect: vLLM, SGLang, Ollama, llama.cpp and the like."""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from app.connectors.contract.base import Connector, LineAnswer, LineCall, Target
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.http import judging
from app.connectors.http.api import Api
from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote, with_bearer
from app.connectors.http.wire import MAX_ANSWER_BYTES, Answer
from app.lib import ids, json
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.responses.answers import from_chat
from app.translate.responses.requests import to_chat

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MODELS = "/v1/models"
# How a server rejects a credential.
REJECTED = (401, 403)
VERSION_SEGMENT = re.compile(r"v\d+[a-z0-9]*")


class OpenAICompatible(Connector):
    """One such server: lines by the fast path, models by its management API.

    `remote` says how to call it; without one the credential is sent as a bearer. `api` is for providers whose
    management API lies elsewhere.
    """

    def __init__(
        self,
        target: Target,
        remote: Remote | None = None,
        *,
        api: Remote | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        super().__init__(target)
        remote = remote or with_bearer(target)
        self._redaction = remote.redaction
        self._line_client = LineClient(
            remote,
            connect_timeout_s=target.connect_timeout_s,
            max_idle=target.max_concurrency,
            max_answer_bytes=max_answer_bytes,
        )
        self._api = Api(target, api or remote)
        self._versioned = has_version(remote.base_url)
        # Learned once, from the server's answers.
        self._lacks_responses = threading.Event()

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line. A 2xx and a final 4xx are answers; anything else raises an UpstreamError."""
        with self._redaction.in_errors():
            if call.endpoint == RESPONSES:
                return self._respond(call)
            return self._finished(call.endpoint, self._post(call))

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models that the server lists, as it describes them. Raises UpstreamError."""
        with self._redaction.in_errors():
            answer = self._models(timeout_s)
            data = judging.json_object(answer, endpoint=MODELS).get("data")
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []

    def check(self) -> None:
        """Check the credential: list the models, and, since some servers do that for anyone, send an empty line."""
        self.list_models(timeout_s=self.target.call_timeout_s)
        if not self.target.credential:
            return
        with self._redaction.in_errors():
            answer = self._line_client.post(self._path(CHAT), b"{}", timeout_s=self.target.call_timeout_s)
            if answer.status in REJECTED:
                judging.raise_unless_success(answer, provider=self.target.provider)

    def hide_text(self, text: str) -> str:
        """`text` without the secrets of the account."""
        return self._redaction.text(text)

    def hide_row(self, row: bytes) -> bytes:
        """A row of results without the secrets of the account."""
        return self._redaction.row(row)

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        self._line_client.close()
        self._api.close()

    def _models(self, timeout_s: float) -> Answer:
        """The 2xx answer to a request for the models; asked once, whatever the breaker says."""
        answer = self._api.fetch(self._models_path(), timeout_s=timeout_s)
        judging.raise_unless_success(answer, provider=self.target.provider)
        return answer

    def _models_path(self) -> str:
        return self._path(MODELS)

    def _respond(self, call: LineCall) -> LineAnswer:
        deadline = time.monotonic() + call.timeout_s
        if not self._lacks_responses.is_set():
            answer = self._post(call, tolerate=(501,))
            if not lacks_route(answer):
                return self._finished(RESPONSES, answer)
        try:
            chat_body = to_chat(call.body)
        except TranslationError as error:
            return _refusal(error)
        answer = self._post(replace(call, endpoint=CHAT, body=chat_body, timeout_s=deadline - time.monotonic()))
        # Remembered only when chat is there: with a wrong base URL both are missing.
        if not lacks_route(answer):
            self._lacks_responses.set()
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

    def _post(self, call: LineCall, *, tolerate: tuple[int, ...] = ()) -> Answer:
        body = json.dumps(call.body)
        answer = self._line_client.post(self._path(call.endpoint), body, timeout_s=call.timeout_s, room=call.room)
        if answer.status not in tolerate:
            judging.raise_unless_answered(answer, provider=self.target.provider)
        return answer

    def _finished(self, endpoint: str, answer: Answer) -> LineAnswer:
        if answer.status >= 400:
            return LineAnswer(answer.status, answer.request_id, json.dumps(self.hide(judging.error_body(answer))))
        value = judging.json_object(answer, endpoint=endpoint)
        return LineAnswer(answer.status, answer.request_id, judging.one_line(answer.body), judging.usage_of(value))

    def _path(self, endpoint: str) -> str:
        return endpoint.removeprefix("/v1") if self._versioned else endpoint


def has_version(base_url: str) -> bool:
    """True if the base URL is complete, as OpenAI SDKs want it: a part of its path is a version (`/v1`)."""
    return any(VERSION_SEGMENT.fullmatch(part) for part in urlsplit(base_url).path.split("/"))


def lacks_route(answer: Answer) -> bool:
    """True if the server does not know the path, rather than the model or an object that the body names."""
    if answer.status in (405, 501):
        return True
    if answer.status != 404:
        return False
    error = judging.error_body(answer)["error"]
    names_object = error["param"] or error["code"] == "model_not_found"
    return not names_object and not re.search(r"\bmodel\b", error["message"], re.IGNORECASE)


def _refusal(error: TranslationError) -> LineAnswer:
    fields = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return LineAnswer(400, "", json.dumps({"error": fields}))
