"""A container that only its provider knows: brought into a project, with what is in it left where it is."""

from dataclasses import dataclass

from app.connectors.contract.abilities import Support
from app.connectors.contract.objects import NativeContainer
from app.data.access import keys
from app.data.containers import containers, intents
from app.data.files import native_objects
from app.errors import ConflictError, InvalidRequestError, UnsupportedOperationError
from app.lib import ids
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.containers.containers import shown_policy
from app.services.gateway import Gateway

# What a container is said to be where its provider does not tell.
MINUTES = 20
MEMORY_LIMIT = "1g"


@dataclass(frozen=True, slots=True)
class Found:
    """A container at an account."""

    account: Account
    native: NativeContainer


def look(gateway: Gateway, *, provider: str, account: str | None, native_id: str) -> Found:
    """The container as its provider has it. Raises what the provider's failure is for a caller.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError where there are no containers.
    """
    chosen = gateway.accounts.choose(provider, name=account)
    if chosen is None:
        which = "no account" if account is None else f"no account {account!r}"
        raise InvalidRequestError(f"Provider {provider} has {which} that can be used.")
    abilities = chosen.abilities
    with provider_errors.told(gateway, provider=provider, account=chosen.name):
        if abilities.support("container_retrieve") is Support.NATIVE:
            return Found(chosen, chosen.connector.retrieve_container(native_id))
        if abilities.support("container_file_list") is not Support.NATIVE:
            raise UnsupportedOperationError(provider, "container_retrieve")
        # Where containers cannot be asked for, what is in one tells that it is there.
        chosen.connector.list_container_files(native_id)
    return Found(chosen, NativeContainer(native_id, native_id, "running"))


def adopt(gateway: Gateway, found: Found, *, project: str) -> str:
    """Make a container of the project that stands for it; returns its id. Raises ConflictError when one does."""
    native, account = found.native, found.account
    public_id = ids.new(ids.CONTAINER)
    with gateway.database.write() as connection:
        native_objects.lock_account(connection, account.id)
        if native.id in intents.known_native_ids(connection, account_id=account.id):
            raise ConflictError(f"The gateway has the container {native.id} already.")
        row = containers.insert_container(
            connection,
            public_id=public_id,
            project_id=keys.ensure_project(connection, project),
            key_id=None,
            provider=account.provider,
            account_id=account.id,
            name=native.name[:512],
            expires_after_minutes=native.expires_after_minutes or MINUTES,
            memory_limit=native.memory_limit or MEMORY_LIMIT,
            network_policy=shown_policy(native.network_policy),
            metadata=None,
        )
        intents.confirm(
            connection,
            row.id,
            last_active_at=native.last_active_at,
            native_id=native.id,
            status="running" if native.status == "running" else "expired",
        )
    gateway.log.info("container.adopted", container=public_id, native_id=native.id, project=project)
    return public_id
