"""Containers at providers: made once, looked at now and then, deleted there and here."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeContainer
from app.connectors.contract.objects import NewContainer as NewNativeContainer
from app.connectors.http.redaction import Redaction
from app.data.containers import containers, intents
from app.data.containers.containers import EXPIRED, RUNNING, Container
from app.data.store.database import Database
from app.errors import GatewayError, NotFoundError, UnavailableError, UnsupportedOperationError
from app.lib import failpoints
from app.services import provider_errors
from app.services.accounts import choose
from app.services.accounts.directory import Account
from app.services.containers import sources as container_sources
from app.services.containers.backend import NewContainer, values
from app.services.containers.native_files import NativeFiles
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle

# Shorter ones occur in any text.
MIN_SECRET_LENGTH = 4
# The provider's clock and ours differ by less, so a look after this time finds what idled out there.
OVERDUE_MS = 60_000
# An overdue container whose provider could not be asked is not looked at again within this time.
LOOK_AGAIN_MS = 300_000
MAX_LOOKS = 200


@dataclass(frozen=True, slots=True)
class Native(NativeFiles):
    """The back end of native containers; methods as `Backend` describes them."""

    def create(self, caller: Caller, new: NewContainer, *, settle: Settle[Container] | None) -> Container:
        """Intent, call, copies, confirmation.

        After a failure nobody has seen the container, and it is deleted at the provider. One that the provider may
        have made although it did not answer is left to the reconciler.
        """
        gateway = self.gateway
        account = self._account_for(caller, new)
        sources = container_sources.find_sources(gateway, caller, account, new.file_ids)
        with gateway.database.write() as connection:
            intent = containers.insert_container(connection, values(caller, new, account_id=account.id))
        native = self._call(account, intent, new)
        try:
            self._keep_on(intent, native_id=native.id)
            for source in sources:
                container_sources.send(gateway, account, native.id, source)
                self._keep_on(intent)
            failpoints.hit("container.before_confirm")
            with gateway.database.write() as connection:
                return _confirm(connection, caller, intent, native, settle)
        except BaseException:
            self._give_up(account, intent, native)
            raise

    def refresh(self, container: Container) -> Container | None:
        """Asks the provider, once in a few seconds for any number of callers.

        When the provider fails, or does not find it, the container is returned as it was last seen.
        """
        stale_ms = int(self.gateway.settings.refresh_s * 1000)
        if not container.is_running or (container.unseen_ms or 0) < stale_ms:
            return container
        account, native_id = self.account_of(container), container.native_id
        if account is None or native_id is None:
            return container
        if account.abilities.support("container_retrieve") is not Support.NATIVE:
            return container
        with self.gateway.database.write() as connection:
            if not containers.take_look(connection, container.id, stale_ms=stale_ms):
                return container
        try:
            native = account.connector.retrieve_container(native_id)
        except MissingError:
            return None if self.missed(container, account) else container
        except UpstreamError as error:
            self.gateway.log.warning("container.refresh_failed", container=container.public_id, reason=error.message)
            return container
        else:
            self._observe(container, native)
        return None

    def use(self, container: Container) -> Container | None:
        """Work on files asks the provider anyway, and records what it says of the container."""
        return container

    def delete(self, container: Container) -> bool:
        """Deletes it there, then here. One that the provider does not find is hidden, and looked for again."""
        place = self.place(container, "container_delete")
        try:
            with provider_errors.translated(self.gateway, provider=container.provider, account=place.account.name):
                place.account.connector.delete_container(place.id)
        except NotFoundError as error:
            if not isinstance(error.__cause__, MissingError):
                raise
            with self.gateway.database.write() as connection:
                if intents.disown(connection, container.id):
                    return True
        return bury(self.gateway.database, container.id)

    def _account_for(self, caller: Caller, new: NewContainer) -> Account:
        """An account that can make containers, if possible one that has the files already.

        Raises as `choose.account_for`, and UnsupportedOperationError when the caller may use none of them.
        """
        able: Collection[int] = choose.able(self.gateway, new.provider, "container_create")
        holding = container_sources.holders(self.gateway, caller, new.file_ids)
        prefer = [account_id for account_id in holding if account_id in able] or able
        account = choose.account_for(self.gateway, caller, new.provider, prefer=prefer)
        if account.id not in able:
            raise UnsupportedOperationError(new.provider, "container_create")
        return account

    def _call(self, account: Account, intent: Container, new: NewContainer) -> NativeContainer:
        """Ask the provider to make the container. When it certainly did not, the intent is deleted."""
        failpoints.hit("container.before_create")
        try:
            with provider_errors.translated(self.gateway, provider=account.provider, account=account.name):
                native = _create(account, new)
        except GatewayError as error:
            if not _may_be_made(error.__cause__):
                bury(self.gateway.database, intent.id)
            raise
        failpoints.hit("container.after_create")
        return native

    def _keep_on(self, intent: Container, *, native_id: str | None = None) -> None:
        with self.gateway.database.write() as connection:
            if not intents.keep_on(connection, intent.id, native_id=native_id):
                raise _given_up()

    def _give_up(self, account: Account, intent: Container, native: NativeContainer) -> None:
        with self.gateway.database.write() as connection:
            if not intents.give_up(connection, intent.id):
                return  # The reconciler was first, or the transaction that failed here was committed after all.
        try:
            account.connector.delete_container(native.id)
        except UpstreamError as error:
            # The intent stays, with the native id, and the reconciler retries.
            self.gateway.log.warning("container.not_deleted", container=intent.public_id, reason=error.message)
            return
        bury(self.gateway.database, intent.id)

    def _observe(self, container: Container, native: NativeContainer) -> None:
        status = EXPIRED if native.status in (EXPIRED, "deleted") else RUNNING
        with self.gateway.database.write() as connection:
            containers.observe(connection, container.id, status=status, last_active_at=native.last_active_at)


def look_at_overdue(gateway: Gateway) -> int:
    """Ask about containers that should have idled out, so that lists are right; returns how many were looked at.

    Looking at a container that a model has used meanwhile may keep it alive; it is not looked at again until it is
    overdue once more.
    """
    backend = Native(gateway)
    with gateway.database.read() as connection:
        overdue = containers.overdue(connection, margin_ms=OVERDUE_MS, unseen_ms=LOOK_AGAIN_MS, limit=MAX_LOOKS)
    return sum(1 for container in overdue if backend.refresh(container) is None)


def bury(database: Database, container_id: int) -> bool:
    """Record that a container is gone at its provider, or was never made. False when another request was first."""
    with database.write() as connection:
        return containers.bury(connection, container_id)


def _create(account: Account, new: NewContainer) -> NativeContainer:
    """The container as the provider made it. An error never repeats a secret of a domain."""
    native_new = NewNativeContainer(new.name, new.expires_after_minutes, new.memory_limit, new.network_policy)
    try:
        return account.connector.create_container(native_new)
    except UpstreamError as error:
        for secret in (new.network_policy or {}).get("domain_secrets", ()):
            if len(secret["value"]) >= MIN_SECRET_LENGTH:
                error.message = Redaction(secret["value"], least=MIN_SECRET_LENGTH).text(error.message)
        raise


def _confirm(
    connection: Connection,
    caller: Caller,
    intent: Container,
    native: NativeContainer,
    settle: Settle[Container] | None,
) -> Container:
    if not intents.confirm(connection, intent.id, last_active_at=native.last_active_at, native_id=native.id):
        raise _given_up()
    container = containers.find(connection, project_id=caller.project_id, public_id=intent.public_id)
    if container is None:
        raise _given_up()
    if settle is not None:
        settle(connection, container)
    return container


def _may_be_made(error: BaseException | None) -> bool:
    """True when the provider may have made the container although it did not say so."""
    return isinstance(error, UpstreamError) and provider_errors.may_be_done(error)


def _given_up() -> UnavailableError:
    """The error when the reconciler took a slow request for a dead one."""
    return UnavailableError("Making the container took too long; send the request again.", retry_after_s=1)
