"""Authenticates callers by a provider's own key, if the operator allows it.

The key is verified at the provider, and stored sealed while work needs it. Each key has its own project, key row and
account, identified by a fingerprint under the gateway's pepper. Only this caller's work goes to that account, and this
caller's work goes to no other account.
"""

import hashlib
import hmac
from contextlib import closing
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from app.connectors.catalogue import registry
from app.connectors.catalogue.declarations import Provider
from app.connectors.contract.base import Target
from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamError
from app.connectors.contract.refusals import Kind
from app.data.access import accounts, keys, subjects
from app.data.access.accounts import AccountRow
from app.data.access.keys import CallerRow
from app.errors import UnavailableError
from app.services import provider_errors
from app.services.access import key_secrets, permissions
from app.services.access import keys as key_service
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

MIN_LENGTH, MAX_LENGTH = 16, 512
# A key that was verified so recently is accepted without another call to the provider.
TRUSTED_MS = 5 * 60 * 1000
VERIFY_TIMEOUT_S = 5.0
PROJECT_MARK_LENGTH, ACCOUNT_MARK_LENGTH = 40, 24


@dataclass(frozen=True, slots=True)
class _Bearer:
    """A credential that may be a valid provider key. `mark` is its fingerprint."""

    entry: Provider
    base_url: str
    mark: str
    credential: str = field(repr=False)

    @property
    def issuer(self) -> str:
        return f"provider-key:{self.entry.name}"

    @property
    def project(self) -> str:
        return f"provider-key-{self.mark[:PROJECT_MARK_LENGTH]}"

    @property
    def account(self) -> str:
        # Objects at one base URL do not exist at another, so each base URL has an account of its own.
        return f"caller-{hashlib.sha256(f'{self.mark} {self.base_url}'.encode()).hexdigest()[:ACCOUNT_MARK_LENGTH]}"


def authenticate(
    gateway: Gateway, credential: str, *, request_id: str, provider: str | None, address: str | None = None
) -> Caller:
    """Returns the caller who holds `credential`, a key of `provider`, which the request must name.

    Raises AuthenticationError, always the same one, for any invalid key; the GatewayError that matches the provider's
    failure when a new key cannot be verified; UnavailableError when too many keys are being verified.
    """
    bearer = _bearer(gateway, credential, provider)
    if bearer is None or gateway.attempts.was_refused(bearer.mark):
        raise key_service.refused()
    with gateway.database.read() as connection:
        key, account = _rows(connection, bearer)
        is_recent = account is not None and accounts.is_recent(connection, account.id, within_ms=TRUSTED_MS)
    if key is not None and key.revoked_at is not None:
        raise key_service.refused()  # without a call to the provider
    if key is None or account is None or not is_recent:
        _verify(gateway, bearer, is_known=key is not None and account is not None)
        gateway.database.run(lambda connection: _keep(connection, gateway, bearer, request_id, address))
        with gateway.database.read() as connection:
            key, account = _rows(connection, bearer)
    if key is None or account is None or account.disabled_at is not None:
        raise key_service.refused()
    if gateway.accounts.by_id(account.id) is None:
        gateway.accounts.reread()
    caller = key_service.admit(gateway, key, request_id=request_id, address=address)
    name = bearer.entry.name
    return replace(caller, own_account=account.id, default_provider=name, providers=_within(caller.providers, name))


def _within(allowed: object, provider: str) -> list[str]:
    """Returns the key's provider as the only one allowed, or none if the key row excludes it."""
    return [provider] if not isinstance(allowed, list) or provider in allowed else []


def _bearer(gateway: Gateway, credential: str, provider: str | None) -> _Bearer | None:
    """Returns None when `credential` cannot be a key of `provider`, or the provider's keys are not accepted here."""
    entry = registry.find(provider or "")
    is_word = MIN_LENGTH <= len(credential) <= MAX_LENGTH and all(0x21 <= ord(letter) <= 0x7E for letter in credential)
    if entry is None or not entry.callers_keys or not is_word or credential.startswith("{"):
        return None
    text = f"provider-key\0{entry.name}\0{credential}"
    mark = hmac.digest(gateway.pepper(), text.encode(), "sha256").hex()
    return _Bearer(entry, registry.base_url(entry, gateway.settings.environment), mark, credential)


def _rows(connection: Connection, bearer: _Bearer) -> tuple[CallerRow | None, AccountRow | None]:
    """Returns the key row and the account of the bearer."""
    key = subjects.find(connection, issuer=bearer.issuer, subject=bearer.mark, project=bearer.project)
    account = accounts.find(connection, provider=bearer.entry.name, name=bearer.account)
    return key, account if account is not None and account.source == accounts.CALLER else None


def _verify(gateway: Gateway, bearer: _Bearer, *, is_known: bool) -> None:
    """Raises AuthenticationError when the provider rejects the key. Holds no database connection during the call.

    A key that was verified before stays valid while its provider is unavailable.
    """
    name = bearer.entry.name
    target = Target(provider=name, base_url=bearer.base_url, credential=bearer.credential)
    try:
        with gateway.attempts.place() as may_ask:
            if not may_ask and is_known:
                return
            if not may_ask:
                raise UnavailableError("Too many new keys are being verified. Try again.", retry_after_s=2)
            with closing(gateway.accounts.loader.connector(target, max_s=VERIFY_TIMEOUT_S)) as connector:
                connector.check()
    except RefusedError as error:
        if error.kind is Kind.AGAIN and is_known:
            return
        if error.kind is Kind.AGAIN:
            raise provider_errors.caller_error(error, provider=name) from None
        gateway.attempts.refused(bearer.mark)
        gateway.log.info("provider_key.refused", provider=name, status=error.status, reason=error.message)
        raise key_service.refused() from None
    except ConfigurationError as error:
        gateway.log.error("provider_key.not_verified", provider=name, reason=type(error).__name__)
        raise key_service.refused() from None
    except UpstreamError as error:
        gateway.log.warning("provider_key.not_verified", provider=name, status=error.status, reason=error.message)
        # A known key counts as verified now: otherwise each of its requests would wait for the provider.
        if not is_known:
            raise provider_errors.caller_error(error, provider=name) from None


def _keep(connection: Connection, gateway: Gateway, bearer: _Bearer, request_id: str, address: str | None) -> None:
    """Inserts project, key row and account of a key that was just verified, if absent."""
    vault, name = gateway.accounts.vault, bearer.entry.name
    project_id = keys.ensure_project(connection, bearer.project)
    public_id = key_secrets.new_public_id()
    is_new = subjects.insert(
        connection,
        kind=subjects.PROVIDER,
        issuer=bearer.issuer,
        subject=bearer.mark,
        project_id=project_id,
        public_id=public_id,
        name=f"key of {name}",
        role=permissions.MEMBER,
    )
    account_id = accounts.ensure(
        connection, provider=name, name=bearer.account, base_url=bearer.base_url, source=accounts.CALLER
    )
    filled = accounts.fill(
        connection,
        account_id,
        sealed_credential=vault.seal(bearer.credential, account_id=account_id),
        fingerprint=vault.fingerprint(bearer.credential),
        verified_at=True,
    )
    accounts.verified(connection, [account_id], older_ms=0)
    actor = Actor(name=public_id, source=record.API, request_id=request_id, address=address)
    if is_new:
        detail = {"kind": subjects.PROVIDER, "provider": name}
        record.record_act(
            connection, operation="key_create", object_id=public_id, detail=detail, actor=actor, project_id=project_id
        )
    if filled:
        record.record_act(
            connection,
            operation="account_add",
            object_id=f"{name}/{bearer.account}",
            detail={"source": accounts.CALLER},
            actor=actor,
            project_id=project_id,
        )
