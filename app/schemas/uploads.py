"""The requests about uploads in parts."""

from marshmallow import fields, validate

from app.schemas.base import BodySchema, Text, WholeNumber, about, one_of
from app.schemas.files import PURPOSES, ExpiresAfter

MAX_PARTS = 10_000
MAX_ID_LENGTH = 256


class CreateUpload(BodySchema):
    filename = Text(required=True, max_length=4096, metadata=about("The name of the file.", "requests.jsonl"))
    purpose = Text(required=True, validate=one_of(*PURPOSES), metadata=about("What the file is for.", "batch"))
    bytes = WholeNumber(required=True, min=1, max=2**53, metadata=about("The size of the whole file.", 1048576))
    mime_type = Text(required=True, max_length=255, metadata=about("The type of the file.", "application/jsonl"))
    expires_after = fields.Nested(
        ExpiresAfter,
        allow_none=True,
        load_default=None,
        metadata=about("When the file expires; never unless it is given."),
    )
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The provider to use; else the default of the project or the gateway.", "openai"),
    )


class AddPart(BodySchema):
    """The form fields of a part, besides its bytes."""

    provider = Text(
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )


class CompleteUpload(BodySchema):
    part_ids = fields.List(
        Text(max_length=MAX_ID_LENGTH),
        required=True,
        validate=validate.Length(min=1, max=MAX_PARTS, error=f"must list 1 to {MAX_PARTS} parts."),
        metadata=about("The ids of the parts, in the order of the file.", ["part_0198f0c2a7d34c5b"]),
    )
    md5 = Text(
        allow_none=True,
        load_default=None,
        max_length=32,
        metadata=about("The MD5 of the whole file in hex, which is compared.", "9e107d9d372bb6826bd81d3542a419d6"),
    )
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )


class CancelUpload(BodySchema):
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )
