"""Errors of translation between dialects."""

from typing import Any

MAX_SHOWN_CHARS = 40
MAX_DETAIL_CHARS = 500


class TranslationError(ValueError):
    """The target dialect cannot express this request; `param` is the field, such as `tools[1].type`."""

    def __init__(self, param: str, message: str, *, code: str = "unsupported_parameter") -> None:
        super().__init__(f"{param}: {message}")
        self.param = param
        self.code = code


class UnexpectedAnswerError(ValueError):
    """The provider's answer does not match its dialect."""

    code = "bad_answer"


class AbortedAnswerError(UnexpectedAnswerError):
    """The model gave up, so there is no answer, though the provider calls it a success.

    `reason` is the provider's word for it, such as MALFORMED_FUNCTION_CALL.
    """

    code = "aborted_answer"

    def __init__(self, reason: str, detail: str = "") -> None:
        text = f"The model ended with {reason[:MAX_DETAIL_CHARS]} instead of an answer"
        super().__init__(f"{text}: {detail[:MAX_DETAIL_CHARS]}" if detail else f"{text}.")
        self.reason = reason


def describe(value: Any) -> str:
    """Format a caller's value for an error message: short, however large or deeply nested it is."""
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN_CHARS])
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"
