"""What hosted and native containers have in common: the protocol of their back ends, values, and errors.

A hosted container is kept by the gateway itself (`hosted`), for providers that declare containers emulated. A native
one is at an account of its provider (`native`). `containers` and `files` choose the back end once for each request.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.data.containers.containers import Container, ContainerValues
from app.data.containers.files import ContainerFile
from app.errors import InvalidRequestError, NotFoundError
from app.lib import ids
from app.services.blobs import IncomingBlob
from app.services.copies.remote import Stream
from app.services.gateway import Caller
from app.services.idempotency import Settle

EXPIRES_AFTER_MINUTES = 20
MEMORY_LIMIT = "1g"


@dataclass(frozen=True, slots=True)
class NewContainer:
    """What a caller asks for. `network_policy` may hold secrets of domains, which only the provider gets."""

    name: str
    provider: str
    expires_after_minutes: int = EXPIRES_AFTER_MINUTES
    memory_limit: str = MEMORY_LIMIT
    network_policy: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] | None = None
    file_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """A file and where its bytes are: in a blob (`key`), or at the provider, from where `open` streams them."""

    file: ContainerFile
    key: str | None
    sha256: str | None
    open: Callable[[], Stream] | None = None


class Backend(Protocol):
    """Keeps containers and the files in them. Every method raises the GatewayError that the caller is to see.

    `settle`, where there is one, is called last in the transaction that makes the object.
    """

    def create(self, caller: Caller, new: NewContainer, *, settle: Settle[Container] | None) -> Container:
        """A running container with copies of `new.file_ids` in it: all of it or nothing."""
        ...

    def refresh(self, container: Container) -> Container | None:
        """The container as it is after a caller retrieved it; None when it has changed and is to be read again."""
        ...

    def use(self, container: Container) -> Container | None:
        """As `refresh`, for a container whose files a caller is about to work on."""
        ...

    def delete(self, container: Container) -> bool:
        """Delete a container and the files in it, whatever its status. False when another request was first."""
        ...

    def add_file(
        self,
        caller: Caller,
        container: Container,
        blob: IncomingBlob,
        *,
        filename: str,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        """Put sealed bytes into the container, at `path` or at one made of `filename`."""
        ...

    def copy_file(
        self,
        caller: Caller,
        container: Container,
        *,
        file_id: str,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        """Put a file of the project into the container, at `path` or at one made of its name."""
        ...

    def list_files(
        self, container: Container, *, after: str | None, descending: bool, limit: int
    ) -> list[ContainerFile] | None:
        """At most `limit` + 1 files of the container, in the order of lists; None when there is no file `after`."""
        ...

    def retrieve_file(self, container: Container, file_id: str) -> ContainerFile:
        """A file of the container. Raises NotFoundError."""
        ...

    def file_content(self, container: Container, file_id: str) -> Content:
        """A file of the container and where its bytes are. Raises NotFoundError."""
        ...

    def delete_file(self, container: Container, file_id: str) -> ContainerFile:
        """Delete a file of the container. Raises NotFoundError."""
        ...


def values(caller: Caller, new: NewContainer, *, account_id: int | None = None) -> ContainerValues:
    """The row of a new container."""
    return ContainerValues(
        public_id=ids.new(ids.CONTAINER),
        project_id=caller.project_id,
        key_id=caller.key_id,
        provider=new.provider,
        account_id=account_id,
        name=new.name,
        expires_after_minutes=new.expires_after_minutes,
        memory_limit=new.memory_limit,
        network_policy=shown_policy(new.network_policy),
        metadata=new.metadata,
    )


def shown_policy(policy: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A network policy without the secrets of its domains, which the gateway must not keep."""
    return None if policy is None else {name: policy[name] for name in ("type", "allowed_domains") if name in policy}


def not_found(public_id: str) -> NotFoundError:
    """The error for a container that is not there, or no longer."""
    return NotFoundError(f"Container with id '{public_id:.100}' not found.", param="container_id")


def expired(*, provider: str | None = None) -> InvalidRequestError:
    """The error for work on the files of a container that is over; `provider`: the one that said so."""
    return InvalidRequestError(
        "Container is expired.", param="container_id", code="container_expired", provider=provider
    )


def file_not_found(container: Container, file_id: str) -> NotFoundError:
    """The error for a file that is not in the container, or no longer."""
    return NotFoundError(f"File {file_id:.100} not found on container {container.public_id}.", param="file_id")
