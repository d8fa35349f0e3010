"""Adopts a container that only its provider knows into a project; what is in it stays where it is."""

from dataclasses import dataclass

from app.connectors.contract.abilities import Support
from app.connectors.contract.objects import NativeContainer
from app.data.access import keys
from app.data.containers import containers, intents
from app.data.containers.containers import EXPIRED, RUNNING, ContainerValues
from app.data.files import native_objects
from app.errors import ConflictError, InvalidRequestError, UnsupportedOperationError
from app.lib import ids
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.containers.backend import EXPIRES_AFTER_MINUTES, MEMORY_LIMIT, shown_policy
from app.services.gateway import Gateway

MAX_NAME_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Candidate:
    """A container at an account."""

    account: Account
    native: NativeContainer


def look(gateway: Gateway, *, provider: str, account: str | None, native_id: str) -> Candidate:
    """The container as its provider has it.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError where there are no containers, and
    the GatewayError that matches the provider's failure.
    """
    chosen = gateway.accounts.choose(provider, name=account)
    if chosen is None:
        which = "no account" if account is None else f"no account {account!r}"
        raise InvalidRequestError(f"Provider {provider} has {which} that can be used.")
    abilities = chosen.abilities
    with provider_errors.translated(gateway, provider=provider, account=chosen.name):
        if abilities.support("container_retrieve") is Support.NATIVE:
            return Candidate(chosen, chosen.connector.retrieve_container(native_id))
        if abilities.support("container_file_list") is not Support.NATIVE:
            raise UnsupportedOperationError(provider, "container_retrieve")
        # Where containers cannot be retrieved, listing the files in one shows that it exists.
        chosen.connector.list_container_files(native_id)
    return Candidate(chosen, NativeContainer(native_id, native_id, RUNNING))


def adopt(gateway: Gateway, candidate: Candidate, *, project: str) -> str:
    """Make a container of the project from it; returns its id. Raises ConflictError when the gateway has it already."""
    native, account = candidate.native, candidate.account
    public_id = ids.new(ids.CONTAINER)
    with gateway.database.write() as connection:
        native_objects.lock_account(connection, account.id)
        if native.id in intents.known_native_ids(connection, account_id=account.id):
            raise ConflictError(f"The gateway has the container {native.id} already.")
        row = containers.insert_container(
            connection,
            ContainerValues(
                public_id=public_id,
                project_id=keys.ensure_project(connection, project),
                key_id=None,
                provider=account.provider,
                account_id=account.id,
                name=native.name[:MAX_NAME_LENGTH],
                # What a provider does not say is shown as the default.
                expires_after_minutes=native.expires_after_minutes or EXPIRES_AFTER_MINUTES,
                memory_limit=native.memory_limit or MEMORY_LIMIT,
                network_policy=shown_policy(native.network_policy),
                metadata=None,
            ),
        )
        intents.confirm(
            connection,
            row.id,
            last_active_at=native.last_active_at,
            native_id=native.id,
            status=RUNNING if native.status == RUNNING else EXPIRED,
        )
    gateway.log.info("container.adopted", container=public_id, native_id=native.id, project=project)
    return public_id
