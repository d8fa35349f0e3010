"""What all request schemas share: strict fields, and one way to turn validation errors into the API's own."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from app.errors import InvalidRequestError

MAX_SHOWN_NAME = 100
MAX_INSTANT_S = 253_402_300_799  # the end of the year 9999
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_LENGTH = 64
MAX_METADATA_VALUE_LENGTH = 512


# What to do about fields that clients of other APIs send.
HINTS = {
    "custom_llm_provider": "name the provider as provider",
    "target_model_names": "name the provider as provider, and the model in each line",
    "litellm_metadata": "batches have metadata",
    "skills": "the gateway passes no skills on; put what the container needs into it as files",
    "input_blob": "upload the input, and name it as input_file_id",
    "output_folder": "results are files of the gateway: output_file_id and error_file_id of the batch",
    "callback_url": "name it as webhook, with a secret",
}


class QuerySchema(Schema):
    """A query. Unknown names are ignored: SDKs and proxies add names of their own, such as `api-version`."""

    class Meta:
        unknown = EXCLUDE


class BodySchema(Schema):
    """A body. Unknown fields are refused by name: otherwise a typing error would silently mean a default."""

    class Meta:
        unknown = RAISE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = sorted(field.data_key or name for name, field in self.fields.items())
        hint = f"the known fields are {', '.join(known)}" if known else "no fields are accepted"
        self.error_messages = {**self.error_messages, "unknown": f"is not known here; {hint}."}


class Text(fields.String):
    """A string without control characters: PostgreSQL rejects NUL, logs and headers the others."""

    def __init__(self, *, max_length: int = 1024, min_length: int = 1, multiline: bool = False, **kwargs: Any) -> None:
        length = validate.Length(min=min_length, max=max_length)
        given = kwargs.pop("validate", None)
        checks = [length] if given is None else [length, given]
        super().__init__(validate=checks, **kwargs)
        self._allowed = "\t\n\r" if multiline else ""
        # For the API's description: what is checked below, but for lone surrogates.
        self.pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$" if multiline else r"^[^\x00-\x1f]*$"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a string, not {type(value).__name__}.")
        if any((ord(char) < 32 or 0xD800 <= ord(char) < 0xE000) and char not in self._allowed for char in value):
            raise ValidationError("must not contain control characters.")
        return value


class WholeNumber(fields.Integer):
    """A whole number between two bounds; accepts text of a query, rejects true and 1.5."""

    def __init__(self, *, min: int, max: int, **kwargs: Any) -> None:  # noqa: A002 - marshmallow's names
        bounds = validate.Range(min=min, max=max, error=f"must be between {min} and {max}.")
        super().__init__(validate=bounds, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = value.strip() if isinstance(value, str) else value
        if isinstance(text, str) and len(text) <= 20 and text.lstrip("-").isascii() and text.lstrip("-").isdigit():
            return int(text)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValidationError(f"must be a whole number, not {_shown(value)}.")


class Instant(fields.Field[int]):
    """An instant as Unix seconds or in ISO 8601 with its UTC offset; loaded as Unix milliseconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INSTANT_S:
            return value * 1000
        try:
            parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
            at_ms = None if parsed is None or parsed.tzinfo is None else int(parsed.timestamp() * 1000)
        except (ValueError, OverflowError):
            at_ms = None
        if at_ms is None or not 0 <= at_ms <= MAX_INSTANT_S * 1000:
            hint = "must be Unix seconds, or an instant such as 2027-01-31T18:00:00Z"
            raise ValidationError(f"{hint}, not {_shown(value)}.")
        return at_ms


class Metadata(fields.Dict):
    """At most 16 pairs of strings: keys of up to 64 characters, values of up to 512."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            keys=Text(max_length=MAX_METADATA_KEY_LENGTH),
            values=Text(max_length=MAX_METADATA_VALUE_LENGTH, min_length=0, multiline=True),
            validate=validate.Length(max=MAX_METADATA_PAIRS, error=f"must have at most {MAX_METADATA_PAIRS} pairs."),
            **kwargs,
        )


def about(description: str, example: Any = None) -> dict[str, Any]:
    """The `metadata` of a field: what the API's description says of it."""
    return {"description": description} if example is None else {"description": description, "examples": [example]}


def one_of(*values: str) -> validate.OneOf:
    """A validator whose message lists the allowed values."""
    return validate.OneOf(values, error=f"must be one of {', '.join(values)}, not {{input!r}}.")


def load(schema: type[Schema], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as loaded by `schema`. Raises InvalidRequestError that names the first invalid field."""
    try:
        loaded: dict[str, Any] = _instance(schema).load(data)
    except ValidationError as error:
        param, message = _first(error.normalized_messages())  # type: ignore[no-untyped-call]
        if param in HINTS:
            message = f"is not known here; {HINTS[param]}."
        raise InvalidRequestError(f"{param}: {message}" if param else message, param=param or None) from error
    return loaded


@cache
def _instance(schema: type[Schema]) -> Schema:
    # Loading does not change it, and making one copies every field, which costs more than a small load.
    return schema()


def _first(messages: Any, path: str = "") -> tuple[str, str]:
    while isinstance(messages, dict):
        key = next(iter(messages))
        messages = messages[key]
        if key == "_schema" or (path and key in ("key", "value")):
            continue
        name = _name(key)
        path = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{name}" if path else name
    return path, str(messages[0] if isinstance(messages, list) else messages)[:500]


def _name(key: Any) -> str:
    """The name of a field as it may be shown: one that is unknown is whatever the client likes."""
    text = str(key)[:MAX_SHOWN_NAME] or "(a field without a name)"
    return text if text.isprintable() else ascii(text)[1:-1]


def _shown(value: Any) -> str:
    return repr(value)[:60]
