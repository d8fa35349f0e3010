"""Requests about batches."""

from typing import Any

from marshmallow import fields

from app.lib.states import TERMINAL
from app.schemas.base import BodySchema, Instant, Metadata, QuerySchema, Text, WholeNumber, about, one_of
from app.schemas.webhooks import Webhook

ID_LENGTH = 256
NATIVE_ID_LENGTH = 512
MODEL_LENGTH = 256
HOUR_S = 3600
DAY_S = 24 * HOUR_S
OPENAI = "openai"
OFF_PEAK = "off_peak"
RAW = "raw"
EXECUTIONS = ("auto", "provider", "gateway")
# Every status in the spellings of OpenAI's, Anthropic's and Bifrost's clients, and the statuses that it selects.
STATUSES = {
    "validating": ("validating",),
    "failed": ("failed",),
    "in_progress": ("in_progress",),
    "finalizing": ("finalizing",),
    "completed": ("completed",),
    "expired": ("expired",),
    "cancelling": ("cancelling",),
    "canceling": ("cancelling",),
    "cancelled": ("cancelled",),
    "canceled": ("cancelled",),
    "ended": TERMINAL,
}
LINE_STATES = {
    "pending": "pending",
    "completed": "completed",
    "succeeded": "completed",
    "failed": "failed",
    "errored": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}


class OutputExpiresAfter(BodySchema):
    anchor = Text(
        required=True, validate=one_of("created_at"), metadata=about("What the time runs from.", "created_at")
    )
    seconds = WholeNumber(
        min=HOUR_S,
        max=30 * DAY_S,
        required=True,
        metadata=about("When output and error files expire, in seconds.", 604800),
    )


class Priority(WholeNumber):
    """The highest goes first among the batches of a project."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=-10, max=10, **kwargs)


class Begin(Instant):
    """An instant, or `off_peak`: the off-peak hours of the account."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return value if value == OFF_PEAK else super()._deserialize(value, attr, data, **kwargs)


class Concurrency(WholeNumber):
    """How many requests of a batch may be at the provider at once; of one that the provider runs, how many jobs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=1, max=1_000_000, **kwargs)


class CreateBatch(BodySchema):
    """All members except `requests`, which is read as a stream."""

    model = Text(
        allow_none=True,
        load_default=None,
        max_length=MODEL_LENGTH,
        metadata=about("The model of lines that name none, as `model` or `provider/model`.", "openai/gpt-4o-mini"),
    )
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The provider to use; else the default of the project or the gateway.", "openai"),
    )
    input_file_id = Text(
        allow_none=True,
        load_default=None,
        max_length=NATIVE_ID_LENGTH,
        metadata=about(
            "The id of an uploaded file with purpose `batch`. Send either it or `requests`.", "file-0198f0c2a7d34c5b"
        ),
    )
    endpoint = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about(
            "The endpoint of all lines; needed with a file, read from inline requests otherwise.",
            "/v1/chat/completions",
        ),
    )
    completion_window = Text(
        allow_none=True,
        load_default=None,
        max_length=16,
        metadata=about(
            "How long the batch may take, such as `24h`; which windows there are depends on the provider.", "24h"
        ),
    )
    metadata = Metadata(
        allow_none=True,
        load_default=None,
        metadata=about("Up to 16 pairs of your own, returned with the batch.", {"job": "nightly"}),
    )
    output_expires_after = fields.Nested(
        OutputExpiresAfter,
        allow_none=True,
        load_default=None,
        metadata=about("When the files of results expire; never unless it is given."),
    )
    execution = Text(
        allow_none=True,
        load_default=None,
        validate=one_of(*EXECUTIONS),
        metadata=about(
            "Who runs the lines: the provider's batch API, the gateway line by line, or whichever works (`auto`).",
            "auto",
        ),
    )
    priority = Priority(
        allow_none=True,
        load_default=None,
        metadata=about("Which of the project's batches goes first: the highest, from -10 to 10.", 0),
    )
    concurrency = Concurrency(
        allow_none=True,
        load_default=None,
        metadata=about("The most lines at the provider at once; null for no limit.", 8),
    )
    finish_by = Instant(
        allow_none=True,
        load_default=None,
        metadata=about("The instant by which the batch is to end, in place of a window.", 1767225600),
    )
    not_before = Begin(allow_none=True, load_default=None, metadata=about("The batch begins no earlier.", 1767225600))
    webhook = Webhook(
        allow_none=True,
        load_default=None,
        metadata=about(
            "Where to tell of the end: the id of a webhook endpoint, or an endpoint of its own.", "wh_0198f0c2a7d34c5b"
        ),
    )


class UpdateBatch(BodySchema):
    """What may be changed of a batch that is not over. null takes a limit or an instant away."""

    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )
    priority = Priority(metadata=about("Which of the project's batches goes first: the highest, from -10 to 10.", 0))
    concurrency = Concurrency(
        allow_none=True, metadata=about("The most lines at the provider at once; null for no limit.", 8)
    )
    finish_by = Instant(
        allow_none=True, metadata=about("The instant by which the batch is to end, in place of a window.", 1767225600)
    )
    not_before = Begin(allow_none=True, metadata=about("The batch begins no earlier.", 1767225600))


class Estimate(QuerySchema):
    """Fields of the batch that is estimated."""

    model = Text(
        load_default=None, max_length=MODEL_LENGTH, metadata=about("The model of lines that name none.", "gpt-4o-mini")
    )
    execution = Text(
        load_default=None, validate=one_of(*EXECUTIONS), metadata=about("Who would run the lines.", "auto")
    )


class CancelBatch(BodySchema):
    """Nothing but the provider, which must be the batch's. To pause and to resume a batch takes the same."""

    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )


class CloneBatch(BodySchema):
    """Fields of the new batch; it takes the others from the first one. At another `provider` lines are translated."""

    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The provider to run at; the first batch's unless it is given.", "openai"),
    )
    model = Text(
        allow_none=True,
        load_default=None,
        max_length=MODEL_LENGTH,
        metadata=about("The model to run on; the first batch's unless it is given.", "gpt-4o-mini"),
    )
    execution = Text(
        allow_none=True, load_default=None, validate=one_of(*EXECUTIONS), metadata=about("Who runs the lines.", "auto")
    )
    completion_window = Text(
        allow_none=True, load_default=None, max_length=16, metadata=about("How long the new batch may take.", "24h")
    )
    metadata = Metadata(
        allow_none=True,
        load_default=None,
        metadata=about("Up to 16 pairs of your own, returned with the new batch.", {"job": "again"}),
    )
    priority = Priority(
        allow_none=True,
        load_default=None,
        metadata=about("Which of the project's batches goes first: the highest, from -10 to 10.", 0),
    )
    concurrency = Concurrency(
        allow_none=True,
        load_default=None,
        metadata=about("The most lines at the provider at once; null for no limit.", 8),
    )
    finish_by = Instant(
        allow_none=True,
        load_default=None,
        metadata=about("The instant by which the batch is to end, in place of a window.", 1767225600),
    )
    not_before = Begin(allow_none=True, load_default=None, metadata=about("The batch begins no earlier.", 1767225600))


class RetryBatch(CloneBatch):
    """As `CloneBatch`, of the lines that did not succeed."""

    error_code = Text(
        allow_none=True,
        load_default=None,
        max_length=128,
        metadata=about(
            "Only lines that failed with this code; all that did not succeed unless it is given.", "timeout"
        ),
    )


class ListBatches(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20, metadata=about("How many to return at most."))
    after = Text(
        load_default=None,
        max_length=ID_LENGTH,
        metadata=about("The id of the last object of the page before: the list goes on after it."),
    )
    status = Text(
        load_default=None,
        validate=one_of(*STATUSES),
        metadata=about("Only batches with this status, in the spelling of OpenAI, Anthropic or Bifrost.", "completed"),
    )


class ResultsFormat(QuerySchema):
    """`openai`: lines of OpenAI's output format; `raw`: the provider's own."""

    format = Text(
        load_default=OPENAI,
        validate=one_of(OPENAI, RAW),
        metadata=about("`openai`: lines of OpenAI's output format; `raw`: the provider's own lines.", "openai"),
    )


class StreamResults(QuerySchema):
    """Results as JSONL: all of them, or at most `limit`."""

    limit = WholeNumber(
        min=1,
        max=2**53,
        load_default=None,
        metadata=about("How many lines to return at most; all of them unless it is given.", 1000),
    )
    after = Text(load_default=None, max_length=ID_LENGTH, metadata=about("The id of a line: results go on after it."))


class PageResults(QuerySchema):
    """Results as one JSON document."""

    limit = WholeNumber(min=1, max=10_000, load_default=1000, metadata=about("How many lines to return at most.", 1000))
    after = Text(load_default=None, max_length=ID_LENGTH, metadata=about("The id of a line: results go on after it."))


class ListLines(QuerySchema):
    limit = WholeNumber(min=1, max=1000, load_default=100, metadata=about("How many to return at most."))
    after = Text(
        load_default=None,
        max_length=ID_LENGTH,
        metadata=about("The id of the last line of the page before: the list goes on after it."),
    )
    state = Text(
        load_default=None,
        validate=one_of(*LINE_STATES),
        metadata=about("Only lines in this state, in the spelling of OpenAI or Anthropic.", "failed"),
    )
