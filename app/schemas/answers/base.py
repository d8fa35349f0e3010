"""What the schemas of answers share: short names for fields, and the parts that most answers have."""

from collections.abc import Iterable
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app.schemas.base import about

OPTIONAL = "optional"
FILE_ID, BATCH_ID = "file-0198f0c2a7d34c5b", "batch_0198f0c2a7d34c5b"


class Answer(Schema):
    """An object of an answer. Its fields are always there, but for those that are `OPTIONAL`, and more may come."""

    class Meta:
        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Require the field: marshmallow's default is that it may be missing."""
        field_obj.required = OPTIONAL not in field_obj.metadata


def text(description: str, example: Any = None, *, null: bool = False, words: Iterable[str] = ()) -> fields.String:
    """Text, or one of `words`."""
    choices = validate.OneOf(tuple(words)) if words else None
    return fields.String(allow_none=null, validate=choices, metadata=about(description, example))


def kind(name: str) -> fields.String:
    """`object`: what the answer is."""
    return text("The kind of the object.", name, words=[name])


def number(description: str, example: Any = None, *, null: bool = False) -> fields.Integer:
    """A whole number."""
    return fields.Integer(allow_none=null, metadata=about(description, example))


def real(description: str, example: Any = None, *, null: bool = False) -> fields.Float:
    """A number that need not be whole."""
    return fields.Float(allow_none=null, metadata=about(description, example))


def flag(description: str, example: Any = None, *, null: bool = False) -> fields.Boolean:
    """True or false."""
    return fields.Boolean(allow_none=null, metadata=about(description, example))


def instant(description: str, *, null: bool = False) -> fields.Integer:
    """An instant in Unix seconds."""
    return number(f"{description} Unix seconds.", 1767225600, null=null)


def dollars(description: str, example: str = "12.50", *, null: bool = False) -> fields.String:
    """Money as decimal text."""
    return text(f"{description} Dollars, as decimal text.", example, null=null)


def one(schema: type[Schema], description: str, *, null: bool = False, **more: Any) -> fields.Nested:
    """An object of `schema`."""
    return fields.Nested(schema, allow_none=null, metadata={**about(description), **more})


def listed(schema: type[Schema], description: str) -> fields.List[Any]:
    """A list of objects."""
    return fields.List(fields.Nested(schema), metadata=about(description))


def texts(description: str, example: Any = None, *, null: bool = False) -> fields.List[Any]:
    """A list of texts."""
    return fields.List(fields.String(), allow_none=null, metadata=about(description, example))


def mapping(description: str, values: fields.Field[Any] | None, example: Any = None, *, null: bool = False) -> Any:
    """An object whose names are not fixed."""
    return fields.Dict(keys=fields.String(), values=values, allow_none=null, metadata=about(description, example))


def limits(description: str) -> Any:
    """Limits, or what has been used of them, by name."""
    return mapping(description, fields.Integer(), {"requests_per_minute": 600})


class CacheDebug(Answer):
    cache_hit = flag("Whether the gateway answered from its own store.", True)
    cache_id = text("The id of the file in the store.", FILE_ID)
    hit_type = text("How it was found.", "direct")
    requested_provider = text("The provider that also has the file.", "openai")
    requested_model = text("Always null.", null=True)
    provider_used = text("The provider that also has the file.", "openai")
    model_used = text("Always null.", null=True)
    input_tokens = number("Always null.", null=True)
    threshold = real("Always null.", null=True)
    similarity = real("Always null.", null=True)


class ExtraFields(Answer):
    """What the gateway adds to every object: where it is, and how long the answer took."""

    request_type = text("The operation.", "batch_create")
    provider = text("The provider of the object.", "openai", null=True)
    model_requested = text("The model that the request named.", "openai/gpt-4o-mini", null=True)
    model_deployment = text("The model that it stands for at the provider.", "gpt-4o-mini", null=True)
    latency = number("Milliseconds that the gateway took.", 12)
    chunk_index = number("Always 0.", 0)
    native_id = text("The provider's id of the object, accepted wherever the gateway's id is.", null=True)
    raw_request = fields.Raw(allow_none=True, metadata=about("Always null."))
    raw_response = fields.Raw(allow_none=True, metadata=about("Always null."))
    cache_debug = one(CacheDebug, "Set when the gateway answered in place of a provider that has the file.", null=True)


def extra(*, optional: bool = False) -> fields.Nested:
    """The field `extra_fields` of an object; `optional` if lists leave it out."""
    more = {OPTIONAL: True} if optional else {}
    return one(ExtraFields, "What the gateway adds.", **more)


class Page(Answer):
    """What all lists have, besides `data`."""

    object = kind("list")
    first_id = fields.Raw(allow_none=True, metadata=about("The id of the first object.", FILE_ID))
    last_id = fields.Raw(allow_none=True, metadata=about("The id of the last object, to send as `after`.", FILE_ID))
    has_more = flag("Whether more objects follow.", False)
    extra_fields = extra()


def deleted(name: str) -> dict[str, fields.Field[Any]]:
    """The fields of the answer to a deletion."""
    return {
        "id": text("The id of what was deleted."),
        "object": kind(name),
        "deleted": flag("Always true.", True),
        "extra_fields": extra(),
    }
