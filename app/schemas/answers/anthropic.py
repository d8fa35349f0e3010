"""Answers on Anthropic's face."""

from typing import Any

from marshmallow import Schema, fields

from app.schemas.answers.base import Answer, flag, kind, listed, number, one, text
from app.schemas.base import about

FILE_ID, BATCH_ID = "file_0198f0c2a7d34c5b", "msgbatch_0198f0c2a7d34c5b"


def _time(description: str, *, null: bool = False) -> fields.String:
    return text(f"{description} RFC 3339.", "2026-01-31T12:00:00.000Z", null=null)


class ErrorBody(Answer):
    type = text("Anthropic's word for the kind of error.", "not_found_error")
    message = text("What is wrong, where, and what to do.")


class Error(Answer):
    """An error, as Anthropic's clients read it."""

    type = kind("error")
    error = one(ErrorBody, "The error.")
    request_id = text("The id of the request.", "req_0198f0c2a7d34c5b")


class File(Answer):
    """A file."""

    id = text("The id.", FILE_ID)
    type = kind("file")
    filename = text("The name.", "notes.txt")
    mime_type = text("The type, by the name.", "text/plain")
    size_bytes = number("The size.", 120)
    created_at = _time("When the file was uploaded.")
    downloadable = flag("Always true.", True)
    expires_at = _time("When the file expires; null for never.", null=True)


class Page(Answer):
    has_more = flag("Whether more objects follow.", False)
    first_id = text("The id of the first object.", null=True)
    last_id = text("The id of the last object.", null=True)


class FileList(Answer):
    """A page of files. One of files that were named by their ids has `data` and `next_page` only."""

    data = listed(File, "The files.")
    next_page = text("What to send as `page` for the next page.", null=True)
    has_more = fields.Boolean(metadata={**about("Whether more files follow."), "optional": True})
    first_id = fields.String(allow_none=True, metadata={**about("The id of the first file."), "optional": True})
    last_id = fields.String(allow_none=True, metadata={**about("The id of the last file."), "optional": True})


class RequestCounts(Answer):
    processing = number("Requests that have not ended; all of them until the batch ends.", 100)
    succeeded = number("Requests that succeeded.", 0)
    errored = number("Requests that failed.", 0)
    canceled = number("Requests that never ran before the batch was cancelled.", 0)
    expired = number("Requests that never ran within the window.", 0)


class Batch(Answer):
    """A batch."""

    id = text("The id.", BATCH_ID)
    type = kind("message_batch")
    processing_status = text("Where the batch is.", words=("in_progress", "canceling", "ended"))
    request_counts = one(RequestCounts, "Requests by how they ended.")
    created_at = _time("When the batch was created.")
    expires_at = _time("When the window is over.", null=True)
    ended_at = _time("When the batch ended.", null=True)
    cancel_initiated_at = _time("When the batch was asked to stop.", null=True)
    archived_at = _time("Always null.", null=True)
    results_url = text("Where the results are, once the batch has ended.", null=True)


class BatchList(Page):
    """A page of batches."""

    data = listed(Batch, "The batches.")


class Model(Answer):
    """A model."""

    id = text("The name to use in requests.", "claude-haiku-4-5")
    type = kind("model")
    display_name = text("The same.", "claude-haiku-4-5")
    created_at = _time("When the model was made.")
    lifecycle = text("Always `active`.", "active")


class ModelList(Page):
    """A page of models."""

    data = listed(Model, "The models.")


def _deleted(name: str, title: str) -> type[Schema]:
    made: dict[str, Any] = {"id": text("The id of what was deleted."), "type": kind(name)}
    return Answer.from_dict(made, name=title)


AnthropicFileDeleted = _deleted("file_deleted", "AnthropicFileDeleted")
AnthropicBatchDeleted = _deleted("message_batch_deleted", "AnthropicBatchDeleted")
