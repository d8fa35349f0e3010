"""Where in an operator's bucket a file goes, at accounts that keep files in one."""

import re
from dataclasses import dataclass

from app.errors import InvalidRequestError
from app.services.accounts import choose
from app.services.accounts.directory import Account
from app.services.gateway import Caller, Gateway

PARAM = "storage_config"
MAX_PREFIX_LENGTH = 200
# Characters that every such store takes as they are, and that no URL escapes.
PREFIX = re.compile(r"([-!_*'().a-z0-9A-Z]+/)*")
PARENTS = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Place:
    """The place that a caller names: a kind of store (s3, gcs); None leaves a detail to the account."""

    kind: str
    bucket: str | None = None
    region: str | None = None
    project: str | None = None
    prefix: str | None = None


def account_for(gateway: Gateway, caller: Caller, provider: str, place: Place | None) -> Account:
    """The account that a new file goes to: one with the bucket that `place` names, if there is one.

    Raises InvalidRequestError naming the field of storage_config that contradicts the account, and what
    `choose.account_for` raises.
    """
    if place is None:
        return choose.account_for(gateway, caller, provider)
    if gateway.accounts.abilities(provider).files.bucket != place.kind:
        text = f"{PARAM}: provider {provider} does not keep files in a bucket of kind {place.kind!r}."
        raise InvalidRequestError(text, param=PARAM)
    with_bucket = [account_id for account_id in gateway.accounts.ids() if _has(gateway, account_id, provider, place)]
    account = choose.account_for(gateway, caller, provider, prefer=with_bucket)
    for name in ("bucket", "region", "project"):
        _check_same(account, place, name)
    _prefix(account, place)
    return account


def folder(account: Account, place: Place | None, caller: Caller, file_id: str) -> str | None:
    """The folder of one file, which no other file shares; None at accounts without a bucket.

    Raises InvalidRequestError when the caller's prefix is not below the account's.
    """
    if account.abilities.files.bucket is None:
        return None
    return f"{_prefix(account, place)}{caller.project_id}/{file_id}/"


def _prefix(account: Account, place: Place | None) -> str:
    own = _slashed(_option(account, "prefix"))
    if place is None or place.prefix is None:
        return own
    prefix, param = _slashed(place.prefix), f"{PARAM}.{place.kind}.prefix"
    if not PREFIX.fullmatch(prefix) or len(prefix) > MAX_PREFIX_LENGTH or not PARENTS.isdisjoint(prefix.split("/")):
        allowed = "words of A-Z a-z 0-9 - _ . ! * ' ( ) with / between them"
        raise InvalidRequestError(f"{param}: must be {allowed}, at most {MAX_PREFIX_LENGTH} characters.", param=param)
    if not prefix.startswith(own):
        raise InvalidRequestError(f"{param}: must be below {own!r}, the prefix of this account.", param=param)
    return prefix


def _check_same(account: Account, place: Place, name: str) -> None:
    given, own = getattr(place, name), _option(account, name)
    # An account need not set its region or project: a bucket has only one of each, which the store knows.
    if given is not None and given != own and (own or name == "bucket"):
        param = f"{PARAM}.{place.kind}.{name}"
        raise InvalidRequestError(
            f"{param}: the account of {account.provider} does not have {given!r:.80}.", param=param
        )


def _has(gateway: Gateway, account_id: int, provider: str, place: Place) -> bool:
    account = gateway.accounts.by_id(account_id)
    return account is not None and account.provider == provider and _option(account, "bucket") == place.bucket


def _option(account: Account, name: str) -> str:
    return account.connector.target.options.get(name, "")


def _slashed(prefix: str) -> str:
    return "".join(f"{part}/" for part in prefix.split("/") if part)
