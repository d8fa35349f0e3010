"""Errors of translation between dialects."""

from typing import Any

MAX_SHOWN_CHARS = 40


class TranslationError(ValueError):
    """The target dialect cannot express this request; `param` is the field, such as `tools[1].type`."""

    def __init__(self, param: str, message: str, *, code: str = "unsupported_parameter") -> None:
        super().__init__(f"{param}: {message}")
        self.param = param
        self.code = code


class UnexpectedAnswerError(ValueError):
    """The provider's answer does not match its dialect."""


def describe(value: Any) -> str:
    """Format a caller's value for an error message: short, however large or deeply nested it is."""
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN_CHARS])
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"
