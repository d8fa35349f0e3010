"""Replaces the credential or base URL of an account, once they are known to reach what the account holds."""

from dataclasses import dataclass, field
from typing import Any

from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.connectors.contract.errors import ConfigurationError
from app.data.access import accounts
from app.data.access.accounts import AccountRow
from app.data.batches import capacity
from app.errors import ConflictError, InvalidRequestError, UnavailableError
from app.services.accounts import identity
from app.services.accounts.add import BASE_URL, RESERVED, check_length
from app.services.accounts.admin import existing
from app.services.accounts.identity import Verdict
from app.services.events import record
from app.services.gateway import Actor, Gateway


@dataclass(frozen=True, slots=True)
class Replacement:
    """What replaces the credential and the base URL of an account; None keeps what it has."""

    credential: str | None = field(default=None, repr=False)
    base_url: str | None = None


def replace(gateway: Gateway, new: Replacement, *, provider: str, name: str, actor: Actor = record.OPERATOR) -> None:
    """Gives an account a new credential or base URL. Running batches and jobs use it within seconds.

    Raises NotFoundError, InvalidRequestError, ConflictError when the provider does not show with the new ones what the
    account holds, and UnavailableError when the provider cannot be asked. Nothing is changed then.
    """
    if name == RESERVED:
        text = "Set the variables of this account in the environment of web and worker instead (docs/settings.md)."
        raise InvalidRequestError(text)
    gateway.accounts.providers()
    with gateway.database.read() as connection:
        row = existing(gateway, connection, provider, name)
        held = accounts.held(connection, row.id, limit=identity.CANDIDATES)
    target = _target(gateway, row, new)
    _require_same(gateway, row, target, held)
    vault = gateway.accounts.vault
    fingerprint = vault.fingerprint(target.credential)  # before the transaction, since it may insert the pepper
    detail: dict[str, Any] = {}
    if new.credential is not None:
        detail["key"] = "same" if fingerprint == row.fingerprint else "changed"
    if row.base_url != target.base_url:
        detail["base_url"] = {"from": row.base_url, "to": target.base_url}
    with gateway.database.write() as connection:
        capacity.start_over(connection, row.id)
        changed = accounts.change(
            connection,
            row.id,
            seen=row.changed_at or 0,
            sealed_credential=vault.seal(target.credential, account_id=row.id),
            fingerprint=fingerprint,
            base_url=target.base_url,
        )
        if not changed:
            raise ConflictError(f"Account {provider}/{name} was changed at the same time: try again.")
        record.record_act(
            connection, operation="account_change", object_id=f"{provider}/{name}", detail=detail, actor=actor
        )
    gateway.accounts.reread()
    gateway.log.info("account.changed", act="replace", provider=provider, account=name, changed=sorted(detail))


def _target(gateway: Gateway, row: AccountRow, new: Replacement) -> Target:
    credential = new.credential
    if credential is None and row.sealed_credential is not None:
        credential = gateway.accounts.vault.open(row.sealed_credential, account_id=row.id)
    try:
        base_url = row.base_url if new.base_url is None else registry.checked_url(BASE_URL, new.base_url)
    except ConfigurationError as error:
        raise InvalidRequestError(str(error)) from error
    if new.credential is not None:
        check_length(row.provider, new.credential, base_url=base_url)
    return Target(provider=row.provider, base_url=base_url, credential=credential or "", options=row.options or {})


def _require_same(gateway: Gateway, row: AccountRow, target: Target, held: list[tuple[str, str]]) -> None:
    # Also reports missing packages and invalid credentials now instead of at the next call.
    gateway.accounts.loader.connector(target, row.abilities).close()
    found = identity.find_out(gateway.accounts.loader, target, held, abilities=row.abilities)
    label = f"{row.provider}/{row.name}"
    if found.verdict is Verdict.OTHER:
        looked_for = " or ".join(f"{kind} {native_id}" for kind, native_id in held[: identity.CANDIDATES])
        raise ConflictError(
            f"With the new key or URL the provider does not show what {label} holds ({looked_for}), so it is another "
            "account, or the key lacks a permission. Nothing was changed. For another account, add it under another "
            f"--name and remove {label}, which then finishes its work."
        )
    if found.verdict is Verdict.UNREACHABLE:
        raise UnavailableError(
            f"{label} holds files, jobs or containers, and the provider cannot be asked for them now: {found.reason} "
            "Nothing was changed: try again."
        )
