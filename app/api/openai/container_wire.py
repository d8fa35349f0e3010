"""Containers and the files in them on the wire, in OpenAI's shape."""

from typing import Any

from app.services.containers.containers import Container
from app.services.containers.files import ContainerFile


def render(container: Container) -> dict[str, Any]:
    """The Container object without its `extra_fields`."""
    return {
        "id": container.public_id,
        "object": "container",
        "name": container.name,
        "created_at": container.created_at // 1000,
        "status": container.status,
        "expires_after": {"anchor": "last_active_at", "minutes": container.expires_after_minutes},
        "last_active_at": container.last_active_at // 1000,
        "memory_limit": container.memory_limit,
        "network_policy": container.network_policy,
        "metadata": container.metadata,
    }


def render_file(row: ContainerFile, *, container_id: str) -> dict[str, Any]:
    """The Container File object without its `extra_fields`."""
    return {
        "id": row.public_id,
        "object": "container.file",
        "container_id": container_id,
        "path": row.path,
        "bytes": row.bytes,
        "created_at": row.created_at // 1000,
        "source": row.source,
    }
