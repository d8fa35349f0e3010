"""Files in containers. The caller has looked the container up first (`containers.retrieve_running`)."""

from dataclasses import dataclass

from app.data.containers.files import ContainerFile as ContainerFile  # what callers of this module get
from app.errors import InvalidRequestError
from app.services.blobs import IncomingBlob
from app.services.containers.backend import Content as Content
from app.services.containers.containers import Container, backend_of
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle


@dataclass(frozen=True, slots=True)
class ContainerFilePage:
    """A page of a list, and whether more follow."""

    items: list[ContainerFile]
    has_more: bool


def add(
    gateway: Gateway,
    caller: Caller,
    container: Container,
    blob: IncomingBlob,
    *,
    filename: str,
    path: str | None,
    settle: Settle[ContainerFile] | None = None,
) -> ContainerFile:
    """Put sealed bytes into the container, at `path` or at one made of `filename`; `settle` ends the transaction.

    Raises InvalidRequestError when the container has expired, ConflictError when the path is taken, RateLimitedError
    when the caller may not store as much, and the GatewayError that matches the provider's failure.
    """
    backend = backend_of(gateway, container)
    return backend.add_file(caller, container, blob, filename=filename, path=path, settle=settle)


def add_copy(
    gateway: Gateway,
    caller: Caller,
    container: Container,
    *,
    file_id: str,
    path: str | None,
    settle: Settle[ContainerFile] | None = None,
) -> ContainerFile:
    """Put a file of the project into the container. Raises as `add`, and InvalidRequestError for an unknown file."""
    backend = backend_of(gateway, container)
    return backend.copy_file(caller, container, file_id=file_id, path=path, settle=settle)


def list_(
    gateway: Gateway, container: Container, *, limit: int, descending: bool, after: str | None = None
) -> ContainerFilePage:
    """The files of the container by age. Raises InvalidRequestError on an unknown `after`."""
    backend = backend_of(gateway, container)
    rows = backend.list_files(container, after=after, descending=descending, limit=limit)
    if rows is None:
        raise InvalidRequestError(f"after: there is no file {after!r} in this container.", param="after")
    return ContainerFilePage(rows[:limit], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, container: Container, file_id: str) -> ContainerFile:
    """A file of the container. Raises NotFoundError."""
    return backend_of(gateway, container).retrieve_file(container, file_id)


def content(gateway: Gateway, container: Container, file_id: str) -> Content:
    """A file of the container and where its bytes are. Raises NotFoundError."""
    return backend_of(gateway, container).file_content(container, file_id)


def delete(gateway: Gateway, container: Container, file_id: str) -> ContainerFile:
    """Delete a file of the container. Raises NotFoundError."""
    return backend_of(gateway, container).delete_file(container, file_id)
