"""What translation between dialects can run into."""

from typing import Any

SHOWN_CHARS = 40


class TranslationError(ValueError):
    """A request that the other dialect cannot express; `param` is the field, such as `tools[1].type`."""

    def __init__(self, param: str, message: str, *, code: str = "unsupported_parameter") -> None:
        super().__init__(f"{param}: {message}")
        self.param = param
        self.code = code


class UnexpectedAnswerError(ValueError):
    """An answer that is not what its dialect promises."""


def shown(value: Any) -> str:
    """A value of the caller's for a message, short however big or deep it is."""
    if isinstance(value, str):
        return repr(value[:SHOWN_CHARS])
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"
