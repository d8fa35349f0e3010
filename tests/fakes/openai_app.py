"""The semantics of an OpenAI-compatible server: deterministic answers that depend on the input."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import orjson

MODELS = ("fake-model", "fake-embedder")
VECTOR_SIZE = 8
# A chat whose last message holds this word is refused, so that tests can say which lines fail.
REFUSED = "refuse-this"
# One with this ends with the status that it names.
FAILING = re.compile(r"fail-with-([45][0-9][0-9])")
Body = dict[str, Any]


class Refusal(Exception):
    """A 4xx in OpenAI's envelope."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


class OpenAIApp:
    """A WSGI app. `responses=False` makes it an older server that has no `/v1/responses`.

    With `terse` set, chats depend on nothing but their last text, so that they are the same in whatever dialect the
    rest of them came. `stored` returns the bytes of a file by its id, None where there is no such file; `seen` are the
    bytes of all files that requests named or held.
    """

    terse = False

    @staticmethod
    def stored(_: str) -> bytes | None:
        """No file: servers like this one have none."""
        return None

    def __init__(self, *, responses: bool = True, api_key: str = "", models: Iterable[str] = MODELS) -> None:
        self.api_key = api_key
        self.models = tuple(models)
        self.seen: list[bytes] = []
        self.routes: dict[str, Callable[[Body], Body]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._completion,
            "/v1/embeddings": self._embeddings,
        }
        if responses:
            self.routes["/v1/responses"] = self._response

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, answer = 200, self._handle(environ)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        body = orjson.dumps(answer)
        request_id = f"req_{hashlib.sha256(body).hexdigest()[:12]}"
        start_response(f"{status} -", [("Content-Type", "application/json"), ("x-request-id", request_id)])
        return [body]

    def _handle(self, environ: dict[str, Any]) -> Body:
        if self.api_key and environ.get("HTTP_AUTHORIZATION") != f"Bearer {self.api_key}":
            given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
            raise Refusal(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if (method, path) == ("GET", "/v1/models"):
            data = [
                {"id": model, "object": "model", "created": 1700000000, "owned_by": "fake"} for model in self.models
            ]
            return {"object": "list", "data": data}
        route = self.routes.get(path)
        if route is None:
            raise Refusal(404, f"Invalid URL ({method} {path})")
        if method != "POST":
            raise Refusal(405, f"Not allowed to {method} on {path}.", code="method_not_supported")
        return route(self._body(environ["wsgi.input"].read()))

    def _body(self, raw: bytes) -> Body:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error
        if not isinstance(body, dict):
            raise Refusal(400, "The body must be an object.")
        if "model" not in body:
            raise Refusal(400, "you must provide a model parameter", param="model")
        if self.models and body["model"] not in self.models:
            text = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise Refusal(404, text, param="model", code="model_not_found")
        return body

    def _chat(self, body: Body) -> Body:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refusal(400, "messages must be a list that is not empty.", param="messages")
        self._look_at_files(messages)
        if REFUSED in last_text(messages):
            raise Refusal(400, "The prompt was refused.")
        failing = FAILING.search(last_text(messages))
        if failing:
            raise Refusal(int(failing[1]), f"The prompt failed with {failing[1]}.")
        prompt = last_text(messages) if self.terse else orjson.dumps(messages).decode()
        message: Body = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        reason = "stop"
        if _must_call(body):
            function = body["tools"][0]["function"]["name"]
            arguments = orjson.dumps({"seed": _digest(prompt)}).decode()
            call = {"id": f"call_{_digest(prompt)}", "type": "function"}
            message["tool_calls"] = [{**call, "function": {"name": function, "arguments": arguments}}]
            reason = "tool_calls"
        else:
            limit = body.get("max_completion_tokens") or body.get("max_tokens")
            message["content"], reason = _text(prompt, last_text(messages), limit, body.get("response_format"))
        return {
            "id": f"chatcmpl-{_digest(prompt)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": {
                **_usage(prompt, message["content"] or "x"),
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def _look_at_files(self, value: Any) -> None:
        """Read the files that content names or holds. Raises Refusal for one that is not there."""
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._look_at_files(inner)
        if not isinstance(value, dict):
            return
        file_id = value.get("file_id")
        if isinstance(file_id, str):
            data = self.stored(file_id)
            if data is None:
                raise Refusal(400, f"No such File object: {file_id}", param="file_id")
            self.seen.append(data)
        for held in (value.get("url"), value.get("image_url"), value.get("file_data")):
            if isinstance(held, str):
                is_data, _, encoded = held.partition(";base64,")
                self.seen.append(base64.b64decode(encoded) if is_data.startswith("data:") else held.encode())

    def _completion(self, body: Body) -> Body:
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise Refusal(400, "prompt must be a string.", param="prompt")
        text, reason = _text(prompt, prompt, body.get("max_tokens"), None)
        return {
            "id": f"cmpl-{_digest(prompt)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}],
            "usage": _usage(prompt, text),
        }

    def _embeddings(self, body: Body) -> Body:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "input must be a string or a list of strings.", param="input")
        data = [{"object": "embedding", "index": n, "embedding": _vector(text)} for n, text in enumerate(texts)]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    def _response(self, body: Body) -> Body:
        given = body.get("input")
        if not isinstance(given, str | list) or not given:
            raise Refusal(400, "input must be a string or a list that is not empty.", param="input")
        self._look_at_files(given)
        prompt = orjson.dumps(given).decode()
        said = given if isinstance(given, str) else last_text(given)
        text, reason = _text(prompt, said, body.get("max_output_tokens"), None)
        complete = reason == "stop"
        content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        usage = _usage(prompt, text)
        return {
            "id": f"resp_{_digest(prompt)}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed" if complete else "incomplete",
            "error": None,
            "incomplete_details": None if complete else {"reason": "max_output_tokens"},
            "instructions": body.get("instructions"),
            "metadata": body.get("metadata") or {},
            "model": body["model"],
            "output": [
                {
                    "type": "message",
                    "id": f"msg_{_digest(prompt)}",
                    "status": "completed" if complete else "incomplete",
                    "role": "assistant",
                    "content": [content],
                }
            ],
            "parallel_tool_calls": True,
            "temperature": body.get("temperature", 1.0),
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            },
        }


def last_text(messages: list[Any]) -> str:
    """The text of the last message that has one; so tests can tell which answer belongs to which line."""
    for message in reversed(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        if content:
            return str(content)
    return ""


def _must_call(body: Body) -> bool:
    return bool(body.get("tools")) and body.get("tool_choice", "auto") not in ("auto", "none")


def _text(prompt: str, said: str, limit: Any, response_format: Any) -> tuple[str, str]:
    if isinstance(response_format, dict) and response_format.get("type") in ("json_object", "json_schema"):
        return orjson.dumps({"said": said[:200]}).decode(), "stop"
    words = f"{_digest(prompt)} you said: {said[:200]}".split(" ")
    if isinstance(limit, int) and len(words) > limit:
        return " ".join(words[:limit]), "length"
    return " ".join(words), "stop"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _vector(text: str) -> list[float]:
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:VECTOR_SIZE]]


def _usage(prompt: str, text: str) -> dict[str, int]:
    given, made = len(prompt.split()), len(text.split())
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
