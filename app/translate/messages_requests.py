"""Requests of Anthropic's Messages, read and written (contracts: providers, 28.1)."""

from collections.abc import Mapping
from typing import Any

from app.translate.errors import TranslationError
from app.translate.neutral import Request


def read(body: Mapping[str, Any]) -> Request:
    """The request of a message. Raises TranslationError naming the field that is wrong."""
    raise TranslationError("url", "is not read yet")
