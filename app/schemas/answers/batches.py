"""Batches, their lines and their results in answers."""

from typing import Any

from marshmallow import Schema, fields

from app.schemas.answers.base import (
    BATCH_ID,
    FILE_ID,
    Answer,
    Page,
    deleted,
    extra,
    flag,
    instant,
    kind,
    listed,
    mapping,
    number,
    one,
    real,
    text,
    texts,
)
from app.schemas.base import about

LINE_ID = "batch_req_0198f0c2a7d34c5b0000000000000001"
REASONS = (
    *("planning", "queue", "permits", "concurrency", "paused", "paused_by_user", "not_before", "off_peak", "retry"),
    *("account_disabled", "no_worker", "store_away", "budget", "provider", "finalizing"),
)
STATUSES = ("validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled")


class BatchFinding(Answer):
    code = text("A code that programs can test.", "invalid_json_line", null=True)
    message = text("What is wrong.", "This line is not valid JSON.")
    param = text("The field that is wrong.", null=True)
    line = number("The line, from 1.", 3, null=True)


class BatchErrors(Answer):
    object = kind("list")
    data = listed(BatchFinding, "Up to 100 findings.")


class RequestCounts(Answer):
    total = number("Lines.", 100)
    completed = number("Lines that succeeded.", 98)
    failed = number("Lines that ended without success.", 2)
    succeeded = number("As `completed`, in Anthropic's word.", 98)
    expired = number("Of the failed ones, those that never ran within the window.", 0)
    canceled = number("Of the failed ones, those that never ran before the batch was cancelled.", 0)
    pending = number("Lines that have not ended.", 0)


class InputDetails(Answer):
    cached_tokens = number("Of these, tokens that the provider had cached.", 0)


class OutputDetails(Answer):
    reasoning_tokens = number("Of these, tokens of reasoning.", 0)


class BatchUsage(Answer):
    input_tokens = number("Tokens of the input.", 1200)
    input_tokens_details = one(InputDetails, "More about the input.")
    output_tokens = number("Tokens of the output.", 3400)
    output_tokens_details = one(OutputDetails, "More about the output.")
    total_tokens = number("Both.", 4600)


class WaitingOn(Answer):
    """Why something waits."""

    reason = text("What it waits for.", "paused", words=REASONS)
    since = instant("Since when.", null=True)
    until = instant("Until when, if that is known.", null=True)
    message = text("The same in words, with what the provider said.")
    status_code = number("The provider's HTTP status.", 429, null=True)
    code = text("The provider's code.", "rate_limit_exceeded", null=True)


class BatchWaitingOn(WaitingOn):
    lines = number("How many lines wait to be sent again.", 3, null=True)
    refusals = number("How often a line was refused.", 2, null=True)
    ahead = number("How many batches come before it.", 1, null=True)
    in_flight = number("Lines of this account and model that are at the provider.", 64, null=True)
    ceiling = number("The most that may be there.", 64, null=True)
    learned_limit = number("The most that the provider bears now, as far as is known.", 32, null=True)
    jobs = mapping("Of a batch at a provider, how many jobs are in each state.", fields.Integer(), null=True)
    polled_at = instant("When the provider was last asked.", null=True)


class LineWaitingOn(BatchWaitingOn):
    """Why a line waits: for itself, or for what its batch waits for, which has more to say."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Require what a line that waits for itself has."""
        field_obj.required = field_name in (*WaitingOn._declared_fields, "refusals")


class Progress(Answer):
    lines_per_second = real("How fast lines end.", 4.5, null=True)
    eta = instant("When the last one may end.", null=True)


WEBHOOK = {
    "description": "What is told of the end: the id of a webhook endpoint, or the URL of the batch's own.",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
        {"type": "null"},
    ],
}


class Batch(Answer):
    """A batch."""

    id = text("The id.", BATCH_ID)
    object = kind("batch")
    endpoint = text("The endpoint of the lines.", "/v1/chat/completions")
    model = text("The model, if all lines have the same.", "gpt-4o-mini", null=True)
    input_file_id = text("The file with the lines.", FILE_ID, null=True)
    completion_window = text("How long the batch may take.", "24h")
    status = text("Where the batch is.", "completed", words=STATUSES)
    errors = one(BatchErrors, "Why the batch failed.", null=True)
    output_file_id = text("The file with the answers.", FILE_ID, null=True)
    error_file_id = text("The file with the lines that did not succeed.", FILE_ID, null=True)
    request_counts = one(RequestCounts, "Lines by how they ended.")
    usage = one(BatchUsage, "Tokens of the successful lines.")
    metadata = mapping("The pairs that the batch was created with.", fields.String(), {"job": "nightly"}, null=True)
    created_at = instant("When the batch was created.")
    in_progress_at = instant("When lines began to run.", null=True)
    expires_at = instant("When the window is over.", null=True)
    finalizing_at = instant("When the last line ended.", null=True)
    completed_at = instant("When the batch was completed.", null=True)
    failed_at = instant("When the batch failed.", null=True)
    expired_at = instant("When the batch expired.", null=True)
    cancelling_at = instant("When the batch was asked to stop.", null=True)
    cancelled_at = instant("When the batch was cancelled.", null=True)
    processing_status = text("The status in Anthropic's words.", words=("in_progress", "canceling", "ended"))
    results_url = text("Where the results are.", f"https://batchgate.example.com/v1/batches/{BATCH_ID}/results")
    operation_name = text("The provider's long-running operation, where it has such.", null=True)
    execution = text("Who runs the lines.", "gateway", words=("provider", "gateway"))
    retry_of = text("The batch whose failed lines this one runs again.", null=True)
    priority = number("Which batches of the project come first: from -10 to 10.", 0)
    concurrency = number("The most lines of the batch that may be at the provider at once.", null=True)
    finish_by = instant("The instant by which the batch is to end, if it was given.", null=True)
    not_before = instant("The batch begins no earlier.", null=True)
    off_peak = flag("Whether the batch waits for off-peak hours of its account.", False)
    paused_at = instant("When the batch was paused, if it is.", null=True)
    webhook = fields.Raw(allow_none=True, metadata=WEBHOOK)
    waiting_on = one(BatchWaitingOn, "Why the batch waits, if it does.", null=True)
    progress = one(Progress, "How fast the batch runs, while it does.", null=True)
    extra_fields = extra()


class BatchList(Page):
    """A page of batches."""

    data = listed(Batch, "The batches.")


BatchDeleted: type[Schema] = Answer.from_dict(deleted("batch"), name="BatchDeleted")


class LineResponse(Answer):
    status_code = number("The provider's HTTP status.", 200)
    request_id = text("The provider's id of the request.")
    body = fields.Raw(metadata=about("The answer, in the dialect of the line."))


class LineError(Answer):
    code = text("A code that programs can test.", "batch_expired")
    message = text("What happened.")


class BatchResult(Answer):
    """A line of results, in OpenAI's output format."""

    id = text("The id of the line.", LINE_ID)
    custom_id = text("The caller's id of the line.", "line-1")
    response = one(LineResponse, "What the provider answered.", null=True)
    error = one(LineError, "Why there is no answer.", null=True)


class BatchResults(Answer):
    """A page of results as one document."""

    batch_id = text("The batch.", BATCH_ID)
    results = listed(BatchResult, "The lines that have ended, in order.")
    has_more = flag("Whether more lines follow.", False)
    next_cursor = text("What to send as `after` for the next page.", LINE_ID, null=True)
    extra_fields = extra()


class BatchLine(Answer):
    """The state of a line."""

    id = text("The id of the line.", LINE_ID)
    object = kind("batch.line")
    line = number("The line, from 1.", 1)
    custom_id = text("The caller's id of the line.", "line-1")
    wire_id = text("What the provider gets in its place, if it would reject it.", null=True)
    state = text(
        "Where the line is.",
        "completed",
        words=("pending", "running", "completed", "failed", "expired", "cancelled"),
    )
    running_since = instant("Since when the line has been at the provider.", null=True)
    waiting_on = one(LineWaitingOn, "Why the line waits, if it does.", null=True)
    attempts = number("How often it was sent.", 1)
    unknown_attempts = number("Of these, attempts whose answer and cost are unknown.", 0)
    status_code = number("The provider's HTTP status.", 200, null=True)
    error_code = text("Why there is no answer.", null=True)
    latency_ms = number("How long the provider took.", 850, null=True)
    input_tokens = number("Tokens of the input.", 12, null=True)
    output_tokens = number("Tokens of the output.", 34, null=True)
    dropped_fields = texts("Fields that the provider's dialect lacks and that do not change the answer.", [])


class BatchLineList(Page):
    """A page of lines."""

    data = listed(BatchLine, "The lines.")
