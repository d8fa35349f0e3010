"""Files on the wire: OpenAI's File object, and where the bytes are."""

from typing import Any

from app.api.storage import where
from app.services.files.files import FileRow


def render(row: FileRow, *, backend: str) -> dict[str, Any]:
    """The File object without its `extra_fields`; `backend` is the kind of the gateway's store."""
    kept_as, uri = (backend, f"{backend}://{row.public_id}") if row.is_kept else where(row.native_id, row.home)
    return {
        "id": row.public_id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": row.created_at // 1000,
        "filename": row.filename,
        "purpose": row.purpose,
        "status": row.status,
        "status_details": row.status_details,
        "expires_at": None if row.expires_at is None else row.expires_at // 1000,
        "storage_backend": kept_as,
        "storage_uri": uri,
    }


def cache_debug(row: FileRow) -> dict[str, Any]:
    """What says that the gateway answered, without asking the provider that also has this file."""
    return {
        "cache_hit": True,
        "cache_id": row.public_id,
        "hit_type": "direct",
        "requested_provider": row.home,
        "requested_model": None,
        "provider_used": row.home,
        "model_used": None,
        "input_tokens": None,
        "threshold": None,
        "similarity": None,
    }
