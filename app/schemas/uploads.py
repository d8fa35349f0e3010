"""The requests about uploads in parts."""

from marshmallow import fields, validate

from app.schemas.base import BodySchema, Text, WholeNumber, one_of
from app.schemas.files import PURPOSES, ExpiresAfter

MAX_PARTS = 10_000
MAX_ID_LENGTH = 256


class CreateUpload(BodySchema):
    filename = Text(required=True, max_length=4096)
    purpose = Text(required=True, validate=one_of(*PURPOSES))
    bytes = WholeNumber(required=True, min=1, max=2**53)
    mime_type = Text(required=True, max_length=255)
    expires_after = fields.Nested(ExpiresAfter, allow_none=True, load_default=None)
    provider = Text(allow_none=True, load_default=None, max_length=64)


class AddPart(BodySchema):
    """The form fields of a part, besides its bytes."""

    provider = Text(load_default=None, max_length=64)


class CompleteUpload(BodySchema):
    part_ids = fields.List(
        Text(max_length=MAX_ID_LENGTH),
        required=True,
        validate=validate.Length(min=1, max=MAX_PARTS, error=f"must list 1 to {MAX_PARTS} parts."),
    )
    md5 = Text(allow_none=True, load_default=None, max_length=32)
    provider = Text(allow_none=True, load_default=None, max_length=64)


class CancelUpload(BodySchema):
    provider = Text(allow_none=True, load_default=None, max_length=64)
