"""Read requests and write answers in the dialect of each endpoint."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.translate import embeddings
from app.translate.chat import answers, requests
from app.translate.errors import AbortedAnswerError, TranslationError
from app.translate.messages import answers as messages_answers
from app.translate.messages import requests as messages_requests
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Json, Request, Written
from app.translate.responses.answers import from_chat
from app.translate.responses.requests import DROPPED, to_chat

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
# Endpoints whose requests translate to a chat and whose answers translate back from one.
CHAT_LIKE = frozenset({CHAT, MESSAGES, RESPONSES})
# Values of /v1/responses fields that request the default behaviour. `include` is honoured, so it is never dropped.
DEFAULTS: Json = {"truncation": "disabled", "service_tier": "auto"}


def read_request(endpoint: str, body: Mapping[str, Any]) -> Request:
    """Read a line's body, as sent to a CHAT_LIKE endpoint. Raises TranslationError that names the invalid field."""
    if endpoint == CHAT:
        return requests.read(body)
    if endpoint == MESSAGES:
        return messages_requests.read(body)
    if endpoint == RESPONSES:
        request = requests.read(to_chat(body))
        request.dropped += _dropped(body)
        return request
    raise TranslationError("url", f"{endpoint} has no equivalent in another dialect", code="invalid_url")


def read_embedding(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Read a line's body for /v1/embeddings. Raises TranslationError that names the invalid field."""
    return embeddings.read(body)


def as_chat(endpoint: str, body: Mapping[str, Any]) -> Written:
    """Convert a CHAT_LIKE line's body to a Chat Completions body. Raises TranslationError."""
    if endpoint == CHAT:
        return Written(dict(body))
    if endpoint == RESPONSES:
        return Written(to_chat(body), _dropped(body))
    return requests.write(read_request(endpoint, body))


def write_answer(
    endpoint: str,
    answer: Answer | EmbeddingAnswer,
    *,
    request: Mapping[str, Any],
    answer_id: str,
    model: str,
    now_s: int,
) -> Json:
    """Write the answer to `request` (a line's body) in the dialect of `endpoint`.

    `answer_id` (letters, digits, _), `model` and `now_s` (Unix seconds) replace values the provider does not return.
    Raises UnexpectedAnswerError, which is an AbortedAnswerError if the model gave up.
    """
    if isinstance(answer, EmbeddingAnswer):
        return embeddings.write_answer(answer, request=request, model=model)
    for choice in answer.choices:
        if choice.aborted:
            answer = _without_aborted(answer)
            break
    if endpoint == MESSAGES:
        return messages_answers.write(answer, answer_id=answer_id, model=model)
    chat = answers.write(answer, answer_id=answer_id, model=model, now_s=now_s)
    if endpoint == RESPONSES:
        return from_chat(chat, request=request, response_id=f"resp_{answer_id}", now_s=now_s)
    return chat


def _without_aborted(answer: Answer) -> Answer:
    """Return the answer with the choices that are one. Raises AbortedAnswerError if none is."""
    choices = [choice for choice in answer.choices if not choice.aborted]
    if not choices:
        raise AbortedAnswerError(*answer.choices[0].aborted)
    return replace(answer, choices=choices)


def _dropped(body: Mapping[str, Any]) -> list[str]:
    """Return the non-default fields of a /v1/responses body that Chat Completions cannot express."""
    return [
        name
        for name, value in body.items()
        if value and name in DROPPED and name != "include" and value != DEFAULTS.get(name)
    ]


def needs_request(endpoint: str) -> bool:
    """True when an answer in this endpoint's dialect repeats or depends on fields of its request."""
    return endpoint in (RESPONSES, EMBEDDINGS)
