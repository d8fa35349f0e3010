"""Containers and their files, at OpenAI and Azure."""

from contextlib import AbstractContextManager
from typing import Any

from app.connectors.contract.objects import Download, NativeContainer, NativeContainerFile, NewContainer, Page, Payload
from app.connectors.providers.openai import shapes
from app.connectors.providers.openai.connector import OpenAIShaped

CONTAINERS = "/v1/containers"


class OpenAIContainers(OpenAIShaped):
    """One account at a provider that also has containers."""

    def create_container(self, new: NewContainer) -> NativeContainer:
        """Create a container."""
        body: dict[str, Any] = {
            "name": new.name,
            "expires_after": {"anchor": "last_active_at", "minutes": new.expires_after_minutes},
            "memory_limit": new.memory_limit,
        }
        if new.network_policy is not None:
            body["network_policy"] = dict(new.network_policy)
        return shapes.container(self._api.post(self._at(CONTAINERS), body))

    def retrieve_container(self, native_id: str) -> NativeContainer:
        """The current state of a container."""
        return shapes.container(self._api.get(self._at(CONTAINERS, native_id)))

    def list_containers(self, *, after: str | None = None) -> Page[NativeContainer]:
        """A page of the account's containers, newest first."""
        return self._listed(after, shapes.container, CONTAINERS)

    def delete_container(self, native_id: str) -> None:
        """Delete a container. Raises MissingError if it is not there."""
        self._delete(CONTAINERS, native_id)

    def put_container_file(self, container_id: str, filename: str, payload: Payload) -> NativeContainerFile:
        """Upload bytes into a container."""
        path = self._at(CONTAINERS, container_id, "files")
        answer = self._api.upload(path, fields=[], file_field="file", filename=filename, payload=payload)
        return shapes.container_file(answer)

    def copy_container_file(self, container_id: str, file_id: str) -> NativeContainerFile:
        """Copy a file of the same account into a container."""
        answer = self._api.post(self._at(CONTAINERS, container_id, "files"), {"file_id": file_id})
        return shapes.container_file(answer)

    def list_container_files(self, container_id: str, *, after: str | None = None) -> Page[NativeContainerFile]:
        """A page of the files of a container, newest first."""
        return self._listed(after, shapes.container_file, CONTAINERS, container_id, "files")

    def retrieve_container_file(self, container_id: str, file_id: str) -> NativeContainerFile:
        """A file of a container."""
        return shapes.container_file(self._api.get(self._at(CONTAINERS, container_id, "files", file_id)))

    def read_container_file(self, container_id: str, file_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file of a container."""
        return self._api.download(self._at(CONTAINERS, container_id, "files", file_id, "content"))

    def delete_container_file(self, container_id: str, file_id: str) -> None:
        """Delete a file of a container. Does nothing if it is already deleted."""
        self._delete(CONTAINERS, container_id, "files", file_id, missing_ok=True)
