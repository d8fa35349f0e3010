"""Uploads and their parts on the wire, in OpenAI's shape."""

from typing import Any

from app.services.files.uploads import Part, Upload


def render(upload: Upload, *, file: dict[str, Any] | None) -> dict[str, Any]:
    """The Upload object without its `extra_fields`; `file` is the File object of a completed upload."""
    return {
        "id": upload.public_id,
        "object": "upload",
        "bytes": upload.bytes,
        "created_at": upload.created_at // 1000,
        "expires_at": upload.expires_at // 1000,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": file,
    }


def render_part(row: Part, *, upload_id: str) -> dict[str, Any]:
    """The Part object without its `extra_fields`."""
    return {
        "id": row.public_id,
        "object": "upload.part",
        "created_at": row.created_at // 1000,
        "upload_id": upload_id,
    }
