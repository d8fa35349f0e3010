"""Containers and their files at OpenAI and Azure: one part of the fake provider."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.openai_lists import json_of, page
from tests.fakes.provider_app import Body, Handler

MEMORY_LIMITS = ("1g", "4g", "16g", "64g")


@dataclass
class FakeContainer:
    """A container; `files` holds the bytes and the object of each file by its id."""

    id: str
    name: str
    created_at: int
    fields: Body
    status: str = "running"
    files: dict[str, tuple[bytes, Body]] = field(default_factory=dict)


class Containers:
    """To be mixed into a ProviderApp.

    Switches: `running_word`, what a live container's status is called; `says_deleted`, whether a deletion answers an
    object instead of nothing.
    """

    def __init__(self, **options: Any) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.running_word = "running"
        self.says_deleted = True
        super().__init__(**options)

    def container_routes(self, at: str) -> list[tuple[str, str, Handler]]:
        one = rf"{at}/containers/([^/]+)"
        return [
            ("POST", rf"{at}/containers", self._create_container),
            ("GET", rf"{at}/containers", self._list_containers),
            ("GET", one, lambda _, name: self.container_object(self.container(name))),
            ("DELETE", one, self._delete_container),
            ("POST", rf"{one}/files", self._create_container_file),
            ("GET", rf"{one}/files", self._list_container_files),
            ("GET", rf"{one}/files/([^/]+)", lambda _, name, file: self._container_file(name, file)[1]),
            ("GET", rf"{one}/files/([^/]+)/content", lambda _, name, file: self._container_file(name, file)[0]),
            ("DELETE", rf"{one}/files/([^/]+)", self._delete_container_file),
        ]

    def container(self, name: str) -> FakeContainer:
        if name not in self.containers:
            raise Refusal(404, f"Container with id '{name}' not found.")
        return self.containers[name]

    def expire(self, name: str) -> None:
        """The container's data is gone; what it was can still be read."""
        container = self.container(name)
        container.status = "expired"
        container.files.clear()

    def put(self, container_id: str, path: str, data: bytes, *, source: str = "assistant") -> Body:
        """A file in a container, as a model makes one."""
        container = self.container(container_id)
        found: Body = {
            "id": f"cfile_{uuid.uuid4().hex[:24]}",
            "object": "container.file",
            "created_at": int(time.time()),
            "bytes": len(data),
            "container_id": container.id,
            "path": path,
            "source": source,
        }
        container.files[found["id"]] = (data, found)
        return found

    def container_object(self, container: FakeContainer) -> Body:
        return {
            "id": container.id,
            "object": "container",
            "created_at": container.created_at,
            "name": container.name,
            "status": self.running_word if container.status == "running" else container.status,
            "last_active_at": container.created_at,
            **container.fields,
        }

    def _create_container(self, request: Request) -> Body:
        asked = json_of(request)
        name = asked.get("name")
        if not isinstance(name, str):
            raise Refusal(400, "Missing required parameter: 'name'.", param="name")
        expiry = asked.get("expires_after") or {"anchor": "last_active_at", "minutes": 20}
        memory = asked.get("memory_limit", "1g")
        policy = asked.get("network_policy") or {"type": "disabled"}
        if expiry.get("anchor") != "last_active_at" or not 1 <= expiry.get("minutes", 0) <= 20:
            raise Refusal(400, "Invalid 'expires_after'.", param="expires_after")
        if memory not in MEMORY_LIMITS:
            raise Refusal(400, "Invalid 'memory_limit'.", param="memory_limit")
        if policy.get("type") == "allowlist" and not policy.get("allowed_domains"):
            raise Refusal(400, "Invalid 'network_policy'.", param="network_policy.allowed_domains")
        shown = {key: value for key, value in policy.items() if key != "domain_secrets"}
        fields = {"expires_after": expiry, "memory_limit": memory, "network_policy": shown}
        container = FakeContainer(f"cntr_{uuid.uuid4().hex[:24]}", name, int(time.time()), fields)
        self.containers[container.id] = container
        for file_id in asked.get("file_ids") or []:
            self._copy(container.id, file_id)
        return self.container_object(container)

    def _list_containers(self, request: Request) -> Body:
        name = request.args.get("name")
        found = [container for container in self.containers.values() if name in (None, container.name)]
        return page(request, [self.container_object(container) for container in found], paged=True)

    def _delete_container(self, _: Request, name: str) -> Any:
        del self.containers[self.container(name).id]
        return {"id": name, "object": "container.deleted", "deleted": True} if self.says_deleted else b""

    def _create_container_file(self, request: Request, name: str) -> Body:
        self._alive(name)
        sent = request.files.get("file")
        if sent is not None:
            path = f"/mnt/data/{uuid.uuid4().hex[:8]}-{sent.filename}"
            return self.put(name, path, sent.read(), source="user")
        file_id = json_of(request).get("file_id")
        if not isinstance(file_id, str):
            raise Refusal(400, "Either 'file' or 'file_id' must be given.", param="file")
        return self._copy(name, file_id)

    def _copy(self, name: str, file_id: str) -> Body:
        file = self.file(file_id)
        return self.put(name, f"/mnt/data/{uuid.uuid4().hex[:8]}-{file.filename}", file.data, source="user")

    def _list_container_files(self, request: Request, name: str) -> Body:
        self._alive(name)
        return page(request, [found for _, found in self.container(name).files.values()], paged=True)

    def _container_file(self, name: str, file_id: str) -> tuple[bytes, Body]:
        container = self.container(name)
        if file_id not in container.files:
            raise Refusal(404, f"File {file_id} not found on container {name}.")
        return container.files[file_id]

    def _delete_container_file(self, _: Request, name: str, file_id: str) -> Any:
        self._container_file(name, file_id)
        del self.container(name).files[file_id]
        return {"id": file_id, "object": "container.file.deleted", "deleted": True} if self.says_deleted else b""

    def _alive(self, name: str) -> None:
        if self.container(name).status != "running":
            raise Refusal(400, "Container is expired.")
