"""The requests about files."""

from marshmallow import fields

from app.schemas.base import BodySchema, QuerySchema, Text, WholeNumber, one_of

PURPOSES = (
    "assistants",
    "assistants_output",
    "batch",
    "batch_output",
    "fine-tune",
    "fine-tune-results",
    "vision",
    "user_data",
    "evals",
    "responses",
)
MIN_EXPIRY_S = 3600
MAX_EXPIRY_S = 30 * 24 * 3600
MAX_LIST = 10_000


class ExpiresAfter(BodySchema):
    """`expires_after`: when a file expires."""

    anchor = Text(required=True, validate=one_of("created_at"))
    seconds = WholeNumber(required=True, min=MIN_EXPIRY_S, max=MAX_EXPIRY_S)


class UploadFile(BodySchema):
    """The form fields of an upload, besides the file and `storage_config`.

    `visibility` (Mistral's SDK) and `target_model_names` (LiteLLM) are sent by clients and have no meaning here.
    """

    visibility = fields.Raw(load_default=None)
    target_model_names = fields.Raw(load_default=None)
    purpose = Text(required=True, validate=one_of(*PURPOSES))
    provider = Text(load_default=None, max_length=64)
    expires_after = fields.Nested(ExpiresAfter, load_default=None)


class ListFiles(QuerySchema):
    """The query of a list of files."""

    purpose = Text(load_default=None, validate=one_of(*PURPOSES))
    limit = WholeNumber(load_default=MAX_LIST, min=1, max=MAX_LIST)
    after = Text(load_default=None, max_length=64)
    order = Text(load_default="desc", validate=one_of("asc", "desc"))
