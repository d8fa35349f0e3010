"""Answers of Anthropic's Messages, read and written (contracts: providers, 28.1)."""

from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Json


def write(answer: Answer, *, answer_id: str, model: str) -> Json:
    """The answer as a message; `answer_id` and `model` stand in for what the provider does not tell."""
    raise UnexpectedAnswerError("is not written yet")
