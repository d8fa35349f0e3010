"""What translation between dialects can run into."""


class TranslationError(ValueError):
    """A request that the other dialect cannot express; `param` is the field, such as `tools[1].type`."""

    def __init__(self, param: str, message: str, *, code: str = "unsupported_parameter") -> None:
        super().__init__(f"{param}: {message}")
        self.param = param
        self.code = code


class UnexpectedAnswerError(ValueError):
    """An answer that is not what its dialect promises."""
