"""Requests on Anthropic's face, as its documentation bounds them."""

from marshmallow import fields

from app.schemas.base import BodySchema, QuerySchema, Text, WholeNumber, about

MAX_LIST = 1000
DEFAULT_LIST = 20
MAX_IDS = 100
ID_LENGTH = 256
HOUR_S = 3600
MAX_EXPIRY_S = 90 * 24 * HOUR_S


class Beta(QuerySchema):
    """What SDKs of the generation before send with each call of a beta API; it decides nothing."""

    beta = fields.String(
        load_default=None, metadata=about("What older SDKs send with each call; it decides nothing.", "true")
    )


class UploadFile(BodySchema):
    """The form fields beside the file."""

    expires_in_seconds = WholeNumber(
        load_default=None,
        min=HOUR_S,
        max=MAX_EXPIRY_S,
        metadata=about("When the file expires; never unless it is given.", 604800),
    )
    purpose = Text(
        load_default=None, max_length=64, metadata=about("It decides nothing; some clients send it.", "user_data")
    )  # Anthropic has none; some clients send it
    provider = Text(
        load_default=None, max_length=64, metadata=about("The provider to use; else the default.", "anthropic")
    )


class Page(Beta):
    """A page before or after an object."""

    limit = WholeNumber(min=1, max=MAX_LIST, load_default=DEFAULT_LIST, metadata=about("How many to return at most."))
    after_id = Text(
        load_default=None, max_length=ID_LENGTH, metadata=about("The id of an object: the list goes on after it.")
    )
    before_id = Text(
        load_default=None, max_length=ID_LENGTH, metadata=about("The id of an object: the list ends before it.")
    )


class ListFiles(Page):
    """A page by its cursor, or (older clients) by an object."""

    page = Text(load_default=None, max_length=ID_LENGTH, metadata=about("The `next_page` of the page before."))


class CreateBatch(BodySchema):
    """All members except `requests`, which is read as a stream."""

    provider = Text(
        load_default=None,
        max_length=64,
        metadata=about("The provider to use; else that of the model, or the default.", "anthropic"),
    )


class CancelBatch(CreateBatch):
    """Nothing but the provider, which must be the batch's."""


class Identified(QuerySchema):
    """Files by their ids."""

    ids = fields.List(
        Text(max_length=ID_LENGTH), data_key="ids[]", load_default=None, metadata=about("Only files with these ids.")
    )
