"""Requests about batches."""

from typing import Any

from marshmallow import fields

from app.lib.states import TERMINAL
from app.schemas.base import BodySchema, Instant, Metadata, QuerySchema, Text, WholeNumber, one_of
from app.schemas.webhooks import Webhook

ID_LENGTH = 256
NATIVE_ID_LENGTH = 512
MODEL_LENGTH = 256
HOUR_S = 3600
DAY_S = 24 * HOUR_S
OPENAI = "openai"
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
    anchor = Text(required=True, validate=one_of("created_at"))
    seconds = WholeNumber(min=HOUR_S, max=30 * DAY_S, required=True)


class Priority(WholeNumber):
    """The highest goes first among the batches of a project."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=-10, max=10, **kwargs)


class Concurrency(WholeNumber):
    """How many requests of a batch may be at the provider at once; of one that the provider runs, how many jobs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=1, max=1_000_000, **kwargs)


class CreateBatch(BodySchema):
    """All members except `requests`, which is read as a stream."""

    model = Text(allow_none=True, load_default=None, max_length=MODEL_LENGTH)
    provider = Text(allow_none=True, load_default=None, max_length=64)
    input_file_id = Text(allow_none=True, load_default=None, max_length=NATIVE_ID_LENGTH)
    endpoint = Text(allow_none=True, load_default=None, max_length=64)
    completion_window = Text(allow_none=True, load_default=None, max_length=16)
    metadata = Metadata(allow_none=True, load_default=None)
    output_expires_after = fields.Nested(OutputExpiresAfter, allow_none=True, load_default=None)
    execution = Text(allow_none=True, load_default=None, validate=one_of(*EXECUTIONS))
    priority = Priority(allow_none=True, load_default=None)
    concurrency = Concurrency(allow_none=True, load_default=None)
    finish_by = Instant(allow_none=True, load_default=None)
    not_before = Instant(allow_none=True, load_default=None)
    webhook = Webhook(allow_none=True, load_default=None)


class UpdateBatch(BodySchema):
    """What may be changed of a batch that is not over. null takes a limit or an instant away."""

    provider = Text(allow_none=True, load_default=None, max_length=64)
    priority = Priority()
    concurrency = Concurrency(allow_none=True)
    finish_by = Instant(allow_none=True)
    not_before = Instant(allow_none=True)


class Estimate(QuerySchema):
    """Fields of the batch that is estimated."""

    model = Text(load_default=None, max_length=MODEL_LENGTH)
    execution = Text(load_default=None, validate=one_of(*EXECUTIONS))


class CancelBatch(BodySchema):
    """Nothing but the provider, which must be the batch's. To pause and to resume a batch takes the same."""

    provider = Text(allow_none=True, load_default=None, max_length=64)


class RetryBatch(BodySchema):
    """Fields of the new batch; it takes the others from the first one. At another `provider` lines are translated."""

    provider = Text(allow_none=True, load_default=None, max_length=64)
    model = Text(allow_none=True, load_default=None, max_length=MODEL_LENGTH)
    execution = Text(allow_none=True, load_default=None, validate=one_of(*EXECUTIONS))
    completion_window = Text(allow_none=True, load_default=None, max_length=16)
    metadata = Metadata(allow_none=True, load_default=None)
    priority = Priority(allow_none=True, load_default=None)
    concurrency = Concurrency(allow_none=True, load_default=None)
    finish_by = Instant(allow_none=True, load_default=None)
    not_before = Instant(allow_none=True, load_default=None)


class ListBatches(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20)
    after = Text(load_default=None, max_length=ID_LENGTH)
    status = Text(load_default=None, validate=one_of(*STATUSES))


class ResultsFormat(QuerySchema):
    """`openai`: lines of OpenAI's output format; `raw`: the provider's own."""

    format = Text(required=True, validate=one_of(OPENAI, RAW))


class StreamResults(QuerySchema):
    """Results as JSONL: all of them, or at most `limit`."""

    limit = WholeNumber(min=1, max=2**53, load_default=None)
    after = Text(load_default=None, max_length=ID_LENGTH)


class PageResults(QuerySchema):
    """Results as one JSON document."""

    limit = WholeNumber(min=1, max=10_000, load_default=1000)
    after = Text(load_default=None, max_length=ID_LENGTH)


class ListLines(QuerySchema):
    limit = WholeNumber(min=1, max=1000, load_default=100)
    after = Text(load_default=None, max_length=ID_LENGTH)
    state = Text(load_default=None, validate=one_of(*LINE_STATES))
