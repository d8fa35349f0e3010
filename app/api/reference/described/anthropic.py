"""Anthropic's face."""

from typing import Any

from app.api.reference.described.declared import BYTES, MULTIPART, Body, Described
from app.schemas import anthropic as requests
from app.schemas.answers import anthropic

TAG = "Anthropic"
FILE = {"file": {**BYTES, "description": "The file, with its name."}}
REQUESTS: dict[str, Any] = {
    "type": "array",
    "description": "The requests of the batch, which have one model.",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "custom_id": {
                "type": "string",
                "pattern": "^[a-zA-Z0-9_-]{1,64}$",
                "description": "Your id of the request.",
                "examples": ["1"],
            },
            "params": {"type": "object", "description": "The request, as for Messages.", "additionalProperties": True},
        },
        "required": ["custom_id", "params"],
        "additionalProperties": False,
    },
}
RESULTS = {"type": "string", "description": "One JSON object with `custom_id` and `result` in each line."}
RETRY = ("Retry-After",)
OPERATIONS = {
    "anthropic_file_upload": Described(
        TAG,
        anthropic.File,
        bodies=(Body(requests.UploadFile, MULTIPART, more=FILE, needs=("file",)),),
        refused=(400, 409),
        stores_bytes=True,
    ),
    "anthropic_file_list": Described(TAG, anthropic.FileList, refused=(400,)),
    "anthropic_file_retrieve": Described(TAG, anthropic.File, refused=(400,)),
    "anthropic_file_delete": Described(TAG, anthropic.AnthropicFileDeleted, refused=(400, 409)),
    "anthropic_file_content": Described(TAG, refused=(400,), is_content=True),
    "anthropic_batch_create": Described(
        TAG,
        anthropic.Batch,
        bodies=(Body(requests.CreateBatch, more={"requests": REQUESTS}, needs=("requests",)),),
        refused=(400, 402, 409),
        headers=RETRY,
        stores_bytes=True,
    ),
    "anthropic_batch_list": Described(TAG, anthropic.BatchList, refused=(400,)),
    "anthropic_batch_retrieve": Described(TAG, anthropic.Batch, refused=(400,), headers=RETRY),
    "anthropic_batch_cancel": Described(
        TAG,
        anthropic.Batch,
        bodies=(Body(requests.CancelBatch, is_required=False),),
        refused=(400, 409),
        headers=RETRY,
    ),
    "anthropic_batch_delete": Described(TAG, anthropic.AnthropicBatchDeleted, refused=(400, 409)),
    "anthropic_batch_results": Described(TAG, media={"application/x-jsonl": RESULTS}, refused=(400, 409)),
    "anthropic_model_list": Described(TAG, anthropic.ModelList, refused=(400,)),
    "anthropic_model_retrieve": Described(TAG, anthropic.Model, refused=(400,)),
}
