"""Translating lines for providers that take another dialect, in jobs as well as in lines that the gateway sends."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.connectors.contract.objects import JobResult
from app.engine.outcomes import BAD_ANSWER
from app.lib import json
from app.translate import dialects
from app.translate.chat import answers
from app.translate.dialects import CHAT, CHAT_LIKE
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, Written

FINISH = b'"finish_reason"'
# A finish reason that is not OpenAI's. Quotes in texts are escaped, so nothing else looks like it.
ODD_FINISH = re.compile(
    rb'"finish_reason"\s*:\s*"(?!(?:stop|length|tool_calls|function_call|content_filter)")([^"\\]{1,64})"'
)
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")


def reachable(endpoints: frozenset[str]) -> frozenset[str]:
    """Endpoints of lines that can run at a provider that has `endpoints`."""
    return endpoints | CHAT_LIKE if CHAT in endpoints else endpoints


def spoken(endpoint: str, endpoints: frozenset[str]) -> str:
    """The one of the provider's `endpoints` that a line of `endpoint` goes to."""
    return CHAT if endpoint not in endpoints and endpoint in CHAT_LIKE and CHAT in endpoints else endpoint


def outgoing(endpoint: str, target: str, body: Mapping[str, Any], *, output_limit: str) -> Written:
    """Translate the body of a line from `endpoint` to `target`. Raises TranslationError.

    `output_limit` is the name of the provider's field for the limit of output tokens.
    """
    if endpoint == target:
        return Written(dict(body))
    written = dialects.as_chat(endpoint, body)
    for name in TOKEN_LIMITS:
        if name != output_limit and name in written.body:
            written.body[output_limit] = written.body.pop(name)
    return written


def refusal(error: TranslationError) -> bytes:
    """The body of the 400 for a line that its provider's dialect cannot express."""
    value = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return json.dumps({"error": value})


def needs_reading(body: bytes, endpoint: str, target: str) -> bool:
    """False of the body of a success that goes to the caller as it is."""
    return endpoint != target or (target == CHAT and _has_odd_finish(body))


def incoming(
    result: JobResult,
    *,
    endpoint: str,
    target: str,
    request: Callable[[], Mapping[str, Any]],
    answer_id: str,
    model: str,
    now_s: int,
) -> JobResult:
    """Translate the result of a line back to the dialect of `endpoint`; `request` returns the body of the line.

    An answer that cannot be read becomes the error of the line, with the tokens that it reports: those were used.
    """
    if result.status_code is None or result.status_code >= 400:
        return result
    usage = result.usage
    try:
        answer = result.answer
        if answer is None and needs_reading(result.body, endpoint, target):
            answer = _chat(result.body)
            if endpoint == target and not any(choice.aborted for choice in answer.choices):
                return replace(result, body=ODD_FINISH.sub(_mapped, result.body))
        if answer is None:
            return result
        usage = answer.usage
        original = request() if dialects.needs_request(endpoint) else {}
        body = dialects.write_answer(endpoint, answer, request=original, answer_id=answer_id, model=model, now_s=now_s)
        written = json.dumps(body)
    except (UnexpectedAnswerError, json.JSONEncodeError, json.JSONDecodeError) as error:
        code = error.code if isinstance(error, UnexpectedAnswerError) else BAD_ANSWER
        return JobResult(result.custom_id, error_code=code, message=str(error), usage=usage)
    return JobResult(result.custom_id, result.status_code, result.request_id, written, usage=answer.usage)


def _has_odd_finish(body: bytes) -> bool:
    """True if a chat completion has a finish reason that is not OpenAI's, such as one that says that it is none."""
    at = body.find(FINISH)
    while at >= 0:
        if ODD_FINISH.match(body, at) is not None:
            return True
        at = body.find(FINISH, at + len(FINISH))
    return False


def _mapped(found: re.Match[bytes]) -> bytes:
    return b'"finish_reason":"%b"' % answers.finish_of(found[1].decode("utf-8", "replace")).encode()


def _chat(body: bytes) -> Answer:
    return answers.read(json.loads(body))
