"""Checks all that web and worker need before they start, so that a release fails instead of them."""

from app.auth.secrets import SealError
from app.blobs import BlobError
from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.connectors.contract.errors import ConfigurationError
from app.data.access import accounts
from app.services.access import pepper
from app.services.gateway import Gateway


def require_ring(gateway: Gateway) -> None:
    """Raises SealError when the key ring does not belong to the store: nothing would work, and what is written would
    be lost for processes with the right one."""
    try:
        pepper.check(gateway.database, gateway.ring)
    except SealError as error:
        where = gateway.ring.file or "BATCHGATE_SECRET_KEY"
        raise SealError(
            f"The key ring in {where} does not belong to this store, since none of its keys opens the store's secrets: "
            "use the ring that the other processes have, or restore it from the backup."
        ) from error


def problems(gateway: Gateway) -> list[str]:
    """Returns what would keep web or worker from working, in words; empty if nothing would."""
    found: list[str] = []
    try:
        require_ring(gateway)
    except SealError as error:
        found.append(str(error))
    try:
        gateway.blobs.check()
    except BlobError as error:
        found.append(f"The blob store {gateway.settings.blob_url} cannot be used: {error}")
    # A provider is known by accounts, whose keys a wrong ring does not open.
    return found + of_settings(gateway, with_default=not found)


def of_settings(gateway: Gateway, *, with_default: bool = True) -> list[str]:
    """Returns what is wrong with accounts and the default provider that the settings name."""
    found: list[str] = []
    for entry in registry.configured(gateway.settings.environment):
        target = Target(entry.provider, entry.base_url, credential=entry.api_key, options=entry.options)
        try:
            gateway.accounts.loader.connector(target).close()
        except ConfigurationError as error:
            found.append(f"The account {entry.provider}/{entry.name} of the environment cannot be used: {error}")
    default = gateway.settings.default_provider
    if with_default and default and not found and not gateway.accounts.is_known(default):
        found.append(f"BATCHGATE_DEFAULT_PROVIDER names a provider that does not exist: {default!r:.80}.")
    return found


def unusable(gateway: Gateway) -> list[str]:
    """Returns the stored accounts that cannot be used; the log has said why. Other accounts are not affected."""
    with gateway.database.read() as connection:
        rows = accounts.kept(connection)
    return [f"{row.provider}/{row.name}" for row in rows if gateway.accounts.by_id(row.id) is None]
