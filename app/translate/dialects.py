"""Which dialect an endpoint speaks: requests read from it, answers written in it."""

from collections.abc import Mapping
from typing import Any

from app.translate import embeddings
from app.translate.chat import answers, requests
from app.translate.errors import TranslationError
from app.translate.messages import answers as messages_answers
from app.translate.messages import requests as messages_requests
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Json, Request, Written
from app.translate.responses.answers import from_chat
from app.translate.responses.requests import DROPPED, to_chat

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
# Endpoints whose lines can be put as chats, and answers to these as their own.
CHAT_LIKE = frozenset({CHAT, MESSAGES, RESPONSES})
# Values of fields of /v1/responses that ask for what happens anyway; what `include` asks for is given.
NOTHING: dict[str, Any] = {"truncation": "disabled", "service_tier": "auto"}


def read_request(endpoint: str, body: Mapping[str, Any]) -> Request:
    """The request in a line of a CHAT_LIKE endpoint. Raises TranslationError naming the field that is wrong."""
    if endpoint == CHAT:
        return requests.read(body)
    if endpoint == MESSAGES:
        return messages_requests.read(body)
    if endpoint == RESPONSES:
        request = requests.read(to_chat(body))
        request.dropped += _left_out(body)
        return request
    raise TranslationError("url", f"{endpoint} has no other dialect", code="invalid_url")


def read_embedding(body: Mapping[str, Any]) -> EmbeddingRequest:
    """The request in a line of /v1/embeddings. Raises TranslationError naming the field that is wrong."""
    return embeddings.read(body)


def as_chat(endpoint: str, body: Mapping[str, Any]) -> Written:
    """The body of a line of a CHAT_LIKE endpoint as a chat completion's. Raises TranslationError."""
    if endpoint == CHAT:
        return Written(dict(body))
    if endpoint == RESPONSES:
        return Written(to_chat(body), _left_out(body))
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
    """The answer to `request`, the body of a line of `endpoint`.

    `answer_id` (letters, digits, _), `model` and `now_s` (Unix seconds) stand in for what the provider does not tell.
    Raises UnexpectedAnswerError.
    """
    if isinstance(answer, EmbeddingAnswer):
        return embeddings.write_answer(answer, request=request, model=model)
    if endpoint == MESSAGES:
        return messages_answers.write(answer, answer_id=answer_id, model=model)
    chat = answers.write(answer, answer_id=answer_id, model=model, now_s=now_s)
    if endpoint == RESPONSES:
        return from_chat(chat, request=request, response_id=f"resp_{answer_id}", now_s=now_s)
    return chat


def _left_out(body: Mapping[str, Any]) -> list[str]:
    """Fields of a line of /v1/responses that ask for something that no chat is asked for."""
    return [
        name
        for name, value in body.items()
        if value and name in DROPPED and name != "include" and value != NOTHING.get(name)
    ]


def needs_request(endpoint: str) -> bool:
    """True when an answer in this endpoint's dialect repeats, or depends on, what was asked."""
    return endpoint in (RESPONSES, EMBEDDINGS)
