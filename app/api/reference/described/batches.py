"""Batches, their lines and their results."""

from typing import Any

from app.api.reference.described.declared import Body, Described
from app.schemas import batches as requests
from app.schemas.answers import batches

TAG = "Batches"
MESSAGES = [{"role": "user", "content": "Say hello."}]
LINE = {"custom_id": "line-1", "method": "POST", "url": "/v1/chat/completions"}
REQUESTS: dict[str, Any] = {
    "type": ["array", "null"],
    "description": "Lines in place of a file, as in a file of OpenAI's, or as Anthropic's `{custom_id, params}`.",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "custom_id": {"type": "string", "minLength": 1, "description": "Your id of the line.", "examples": ["1"]},
            "method": {"type": "string", "enum": ["POST"], "description": "Always POST."},
            "url": {"type": "string", "description": "The endpoint of the line.", "examples": [LINE["url"]]},
            "body": {"type": "object", "description": "The request of the line.", "additionalProperties": True},
            "params": {"type": "object", "description": "Anthropic's name of `body`.", "additionalProperties": True},
        },
        "required": ["custom_id"],
    },
}
EXAMPLES = {
    "file": {
        "summary": "On an uploaded file",
        "value": {
            "input_file_id": "file-0198f0c2a7d34c5b",
            "endpoint": LINE["url"],
            "completion_window": "24h",
            "metadata": {"job": "nightly"},
        },
    },
    "inline": {
        "summary": "Lines in the request",
        "value": {
            "requests": [{**LINE, "body": {"model": "gpt-4o-mini", "messages": MESSAGES}}],
            "endpoint": LINE["url"],
            "completion_window": "24h",
        },
    },
}
TEXT = {"type": "string", "description": "One JSON object (`BatchResult`) in each line."}
RAW = {"type": "string", "description": "With `format=raw`: the provider's own lines."}
OPERATIONS = {
    "batch_create": Described(
        TAG,
        batches.Batch,
        bodies=(Body(requests.CreateBatch, more={"requests": REQUESTS}, examples=EXAMPLES),),
        refused=(400, 402, 409, 413),
        stores_bytes=True,
    ),
    "batch_list": Described(TAG, batches.BatchList, refused=(400,)),
    "batch_retrieve": Described(TAG, batches.Batch, refused=(400,)),
    "batch_cancel": Described(
        TAG, batches.Batch, bodies=(Body(requests.CancelBatch, is_required=False),), refused=(400, 409, 413)
    ),
    "batch_update": Described(TAG, batches.Batch, bodies=(Body(requests.UpdateBatch),), refused=(400, 409)),
    "batch_pause": Described(
        TAG, batches.Batch, bodies=(Body(requests.CancelBatch, is_required=False),), refused=(400, 409)
    ),
    "batch_resume": Described(
        TAG, batches.Batch, bodies=(Body(requests.CancelBatch, is_required=False),), refused=(400, 409)
    ),
    "batch_delete": Described(TAG, batches.BatchDeleted, refused=(400, 409)),
    "batch_results": Described(
        TAG,
        batches.BatchResults,
        media={"application/x-ndjson": TEXT, "application/jsonl": RAW},
        refused=(400, 409),
    ),
    "batch_lines": Described(TAG, batches.BatchLineList, refused=(400,)),
    "batch_retry": Described(
        TAG,
        batches.Batch,
        bodies=(Body(requests.RetryBatch, is_required=False),),
        refused=(400, 402, 409, 413),
        stores_bytes=True,
    ),
    "batch_clone": Described(
        TAG,
        batches.Batch,
        bodies=(Body(requests.CloneBatch, is_required=False),),
        refused=(400, 402, 409, 413),
        stores_bytes=True,
    ),
}
