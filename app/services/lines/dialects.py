"""Lines of one dialect at providers that take another: the same for jobs and for lines that the gateway sends."""

from collections.abc import Callable, Mapping
from typing import Any

from app.connectors.contract.objects import JobResult
from app.lib import json
from app.translate import dialects
from app.translate.chat import answers
from app.translate.dialects import CHAT, CHAT_LIKE
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, Written

TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
BAD_ANSWER = "bad_answer"


def reachable(endpoints: frozenset[str]) -> frozenset[str]:
    """Endpoints of lines that can be run where `endpoints` are spoken."""
    return endpoints | CHAT_LIKE if CHAT in endpoints else endpoints


def spoken(endpoint: str, endpoints: frozenset[str]) -> str:
    """Of `endpoints`, the one that a line of `endpoint` goes to."""
    return CHAT if endpoint not in endpoints and endpoint in CHAT_LIKE and CHAT in endpoints else endpoint


def outgoing(endpoint: str, target: str, body: Mapping[str, Any], *, output_limit: str) -> Written:
    """The body of a line of `endpoint` as one of `target`, whose chats have `output_limit`. Raises TranslationError."""
    if endpoint == target:
        return Written(dict(body))
    said = dialects.as_chat(endpoint, body)
    for name in TOKEN_LIMITS:
        if name != output_limit and name in said.body:
            said.body[output_limit] = said.body.pop(name)
    return said


def refusal(error: TranslationError) -> bytes:
    """The body that a line is answered with which cannot be said in its provider's dialect; its status is 400."""
    told = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": error.code}
    return json.dumps({"error": told})


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
    """What came of a line, with the body in the dialect of `endpoint`; `request` gives the body of the line.

    An answer that cannot be read becomes the line's error; the tokens that it tells were used all the same.
    """
    if result.status_code is None or result.status_code >= 400:
        return result
    try:
        answer = result.answer if result.answer is not None or endpoint == target else _chat(result.body)
        if answer is None:
            return result
        asked = request() if dialects.needs_request(endpoint) else {}
        body = dialects.write_answer(endpoint, answer, request=asked, answer_id=answer_id, model=model, now_s=now_s)
        written = json.dumps(body)
    except (UnexpectedAnswerError, json.JSONEncodeError) as error:
        usage = result.usage if result.answer is None else result.answer.usage
        return JobResult(result.custom_id, error_code=BAD_ANSWER, message=str(error), usage=usage)
    return JobResult(result.custom_id, result.status_code, result.request_id, written, usage=answer.usage)


def _chat(body: bytes) -> Answer:
    return answers.read(json.loads(body))
