"""Requests on Anthropic's face, as its documentation bounds them."""

from marshmallow import fields

from app.schemas.base import BodySchema, QuerySchema, Text, WholeNumber

MAX_LIST = 1000
DEFAULT_LIST = 20
MAX_IDS = 100
ID_LENGTH = 256
HOUR_S = 3600
MAX_EXPIRY_S = 90 * 24 * HOUR_S


class Beta(QuerySchema):
    """What SDKs of the generation before send with each call of a beta API; it decides nothing."""

    beta = Text(load_default=None, max_length=16)


class UploadFile(BodySchema):
    """The form fields beside the file."""

    expires_in_seconds = WholeNumber(load_default=None, min=HOUR_S, max=MAX_EXPIRY_S)
    purpose = Text(load_default=None, max_length=64)  # Anthropic has none; some clients send it
    provider = Text(load_default=None, max_length=64)


class Page(Beta):
    """A page before or after an object."""

    limit = WholeNumber(min=1, max=MAX_LIST, load_default=DEFAULT_LIST)
    after_id = Text(load_default=None, max_length=ID_LENGTH)
    before_id = Text(load_default=None, max_length=ID_LENGTH)


class ListFiles(Page):
    """A page by its cursor, or (older clients) by an object."""

    page = Text(load_default=None, max_length=ID_LENGTH)


class CreateBatch(BodySchema):
    """All members except `requests`, which is read as a stream."""

    provider = Text(load_default=None, max_length=64)


class Identified(QuerySchema):
    """Files by their ids."""

    ids = fields.List(Text(max_length=ID_LENGTH), data_key="ids[]", load_default=None)
