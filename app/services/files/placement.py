"""Where in an operator's bucket a file is put, at accounts whose files lie in one: as its caller asks, in bounds."""

import re
from dataclasses import dataclass

from app.errors import InvalidRequestError
from app.services.accounts import choose
from app.services.accounts.directory import Account
from app.services.gateway import Caller, Gateway

PARAM = "storage_config"
MAX_PREFIX = 200
# What every store of this kind takes as it is, and what no URL changes.
PREFIX = re.compile(r"([-!_*'().a-z0-9A-Z]+/)*")
CLIMBING = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Place:
    """What a caller says: the kind of store (s3, gcs) and what it is to be there. None: the account's own."""

    kind: str
    bucket: str | None = None
    region: str | None = None
    project: str | None = None
    prefix: str | None = None


def account_for(gateway: Gateway, caller: Caller, provider: str, place: Place | None) -> Account:
    """The account that a new file goes to: one with the bucket that `place` names, if there is one.

    Raises InvalidRequestError naming the field of storage_config that is not the account's, and what
    `providers.account_for` raises.
    """
    if place is None:
        return choose.account_for(gateway, caller, provider)
    if gateway.accounts.abilities(provider).files.bucket != place.kind:
        text = f"{PARAM}: provider {provider} keeps no files in a bucket of kind {place.kind!r}."
        raise InvalidRequestError(text, param=PARAM)
    having = [account_id for account_id in gateway.accounts.ids() if _has(gateway, account_id, provider, place)]
    account = choose.account_for(gateway, caller, provider, prefer=having)
    for name in ("bucket", "region", "project"):
        _check_same(account, place, name)
    _prefix(account, place)
    return account


def folder(account: Account, place: Place | None, caller: Caller, file_id: str) -> str | None:
    """The folder of one file, which no other file is put into; None at accounts without a bucket.

    Raises InvalidRequestError when the caller's prefix is not below the account's.
    """
    if account.abilities.files.bucket is None:
        return None
    return f"{_prefix(account, place)}{caller.project_id}/{file_id}/"


def _prefix(account: Account, place: Place | None) -> str:
    own = _slashed(_option(account, "prefix"))
    if place is None or place.prefix is None:
        return own
    wanted, param = _slashed(place.prefix), f"{PARAM}.{place.kind}.prefix"
    if not PREFIX.fullmatch(wanted) or len(wanted) > MAX_PREFIX or not CLIMBING.isdisjoint(wanted.split("/")):
        text = f"{param}: words of A-Z a-z 0-9 - _ . ! * ' ( ) with / between them, {MAX_PREFIX} characters at most."
        raise InvalidRequestError(text, param=param)
    if not wanted.startswith(own):
        raise InvalidRequestError(f"{param}: files of this account lie below {own!r}.", param=param)
    return wanted


def _check_same(account: Account, place: Place, name: str) -> None:
    given, own = getattr(place, name), _option(account, name)
    # An account need not say its region or project: the store knows them, and a bucket has but one.
    if given is not None and given != own and (own or name == "bucket"):
        param = f"{PARAM}.{place.kind}.{name}"
        raise InvalidRequestError(
            f"{param}: it is not {given!r:.80} at the account of {account.provider}.", param=param
        )


def _has(gateway: Gateway, account_id: int, provider: str, place: Place) -> bool:
    account = gateway.accounts.by_id(account_id)
    return account is not None and account.provider == provider and _option(account, "bucket") == place.bucket


def _option(account: Account, name: str) -> str:
    return account.connector.target.options.get(name, "")


def _slashed(prefix: str) -> str:
    return "".join(f"{word}/" for word in prefix.split("/") if word)
