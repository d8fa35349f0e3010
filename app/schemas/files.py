"""The requests about files."""

from marshmallow import fields

from app.schemas.base import BodySchema, QuerySchema, Text, WholeNumber, about, one_of

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

    anchor = Text(
        required=True, validate=one_of("created_at"), metadata=about("What the time runs from.", "created_at")
    )
    seconds = WholeNumber(
        required=True, min=MIN_EXPIRY_S, max=MAX_EXPIRY_S, metadata=about("When the file expires, in seconds.", 604800)
    )


class UploadFile(BodySchema):
    """The form fields of an upload, besides the file and `storage_config`."""

    purpose = Text(required=True, validate=one_of(*PURPOSES), metadata=about("What the file is for.", "batch"))
    provider = Text(
        load_default=None,
        max_length=64,
        metadata=about("The provider to use; else the default of the project or the gateway.", "openai"),
    )
    expires_after = fields.Nested(
        ExpiresAfter,
        load_default=None,
        metadata=about(
            "When the file expires; never unless it is given. Also as fields `expires_after[anchor]` and `[seconds]`."
        ),
    )


class ListFiles(QuerySchema):
    """The query of a list of files."""

    purpose = Text(
        load_default=None, max_length=64, metadata=about("Only files with this purpose.", "batch")
    )  # no file has an unknown one
    limit = WholeNumber(load_default=MAX_LIST, min=1, max=MAX_LIST, metadata=about("How many to return at most."))
    after = Text(
        load_default=None,
        max_length=64,
        metadata=about("The id of the last object of the page before: the list goes on after it."),
    )
    order = Text(
        load_default="desc",
        validate=one_of("asc", "desc"),
        metadata=about("By time of creation: `asc` from the oldest, `desc` from the newest."),
    )
