"""Validates the fields of a key, in the same way for HTTP and the command line."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, TypedDict, cast

from app.connectors.catalogue.declarations import CHAT, ENDPOINT
from app.data.access.keys import KeyValues
from app.errors import InvalidRequestError
from app.services.access import permissions
from app.services.gateway import Gateway
from app.services.limits import limits

ROLES = (permissions.ADMIN, permissions.MEMBER, permissions.VIEWER)
NAME_LENGTH = 64
DESCRIPTION_LENGTH = 256
MODEL_LENGTH = 256
MAX_ENTRIES = 200
ACCOUNT = re.compile(r"([a-z][a-z0-9-]{0,63}/)?[a-z0-9][a-z0-9._-]{0,47}")


class KeyFields(TypedDict, total=False):
    """Fields of a new key. A list that is None or empty allows all; `expires_at` is Unix milliseconds or None."""

    description: str | None
    role: str
    accounts: Sequence[str] | None
    providers: Sequence[str] | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    limits: Mapping[str, int] | None
    expires_at: int | None


class KeyChanges(KeyFields, total=False):
    """Fields of a key that can be changed."""

    name: str


def checked(gateway: Gateway, fields: KeyChanges) -> KeyValues:
    """Returns the columns for `fields`. Raises InvalidRequestError, which names the field and how to fix it."""
    columns: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in _CHECKS:
            raise InvalidRequestError(f"{name:.40}: a key has no such field.", param=name[:40])
        columns[name] = _CHECKS[name](gateway, name, value)
    return cast(KeyValues, columns)


def _name(_gateway: Gateway, name: str, value: object) -> str:
    return _text(name, value, max_length=NAME_LENGTH)


def _description(_gateway: Gateway, name: str, value: object) -> str | None:
    return _text(name, value, max_length=DESCRIPTION_LENGTH) or None if value is not None else None


def _role(_gateway: Gateway, name: str, value: object) -> str:
    if value not in ROLES:
        raise _wrong(name, f"must be {', '.join(ROLES[:-1])} or {ROLES[-1]}, not {value!r:.40}.")
    return str(value)


def _accounts(_gateway: Gateway, name: str, value: object) -> list[str] | None:
    hint = "is not the name of an account, such as team-a or PROVIDER/team-a."
    return _list(name, value, lambda entry: ACCOUNT.fullmatch(entry) is not None, hint)


def _providers(gateway: Gateway, name: str, value: object) -> list[str] | None:
    return _list(name, value, gateway.accounts.is_known, "is not a provider that this gateway knows.")


def _models(_gateway: Gateway, name: str, value: object) -> list[str] | None:
    def is_pattern(entry: str) -> bool:
        return 1 <= len(entry) <= MODEL_LENGTH and entry.isprintable()

    return _list(name, value, is_pattern, "is neither a model nor a pattern such as gpt-5* or PROVIDER/*.")


def _endpoints(_gateway: Gateway, name: str, value: object) -> list[str] | None:
    hint = f"is not an endpoint, such as {CHAT}."
    return _list(name, value, lambda entry: ENDPOINT.fullmatch(entry) is not None, hint)


def _networks(_gateway: Gateway, name: str, value: object) -> list[str] | None:
    hint = "is not a network, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32."
    networks = _list(name, value, permissions.is_network, hint)
    return None if networks is None else [str(ip_network(entry, strict=False)) for entry in networks]


def _limits(_gateway: Gateway, name: str, value: object) -> dict[str, int] | None:
    if value is not None and not isinstance(value, Mapping):
        raise _wrong(name, "must be an object that maps names to whole numbers.")
    return limits.validate(value) or None if value else None


def _expires_at(gateway: Gateway, name: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**62:
        raise _wrong(name, "must be an instant in Unix milliseconds.")
    if value <= gateway.clock.now_ms():
        raise _wrong(name, "must be in the future; to end a key now, expire or revoke it.")
    return value


def _text(name: str, value: object, *, max_length: int) -> str:
    if not isinstance(value, str) or len(value.strip()) > max_length or not value.strip().isprintable():
        raise _wrong(name, f"must be at most {max_length} printable characters.")
    return value.strip()


def _list(name: str, value: object, is_valid: Callable[[str], bool], hint: str) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(name, "must be a list of strings.")
    if len(value) > MAX_ENTRIES:
        raise _wrong(name, f"must have at most {MAX_ENTRIES} entries.")
    for entry in value:
        if not isinstance(entry, str) or not is_valid(entry):
            raise _wrong(name, f"{entry!r:.100} {hint}")
    return list(dict.fromkeys(value)) or None


def _wrong(name: str, text: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {text}", param=name)


_CHECKS: Mapping[str, Callable[[Gateway, str, object], object]] = {
    "name": _name,
    "description": _description,
    "role": _role,
    "accounts": _accounts,
    "providers": _providers,
    "models": _models,
    "endpoints": _endpoints,
    "networks": _networks,
    "limits": _limits,
    "expires_at": _expires_at,
}
