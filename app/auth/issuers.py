"""Who may sign JWTs for this gateway, and what theirs must hold: read from JSON, checked when a process starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from app.lib import json

VIRTUAL_KEY = "virtual_key"
ADMIN = "admin"
SHARED = ("HS256",)
PUBLIC = ("RS256", "ES256")
FIELDS = {
    "issuer",
    "kind",
    "algorithms",
    "audience",
    "secret",
    "jwks_file",
    "jwks_url",
    "claims",
    "leeway_s",
}
SOURCES = ("secret", "jwks_file", "jwks_url")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST = 256
# A shorter one than the hash can be guessed offline from any token (RFC 7518, 3.2).
SHORTEST_SECRET = 32
LONGEST_LEEWAY_S = 300
LEEWAY_S = 30


class IssuerError(ValueError):
    """An issuer that cannot be used; the message names the field and shows no secret."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer: what its tokens are signed with, whom they must be for, and which claims tell who holds them.

    Exactly one of `secret`, `jwks_file` and `jwks_url` is set. `role_claim` is empty when tokens tell no role.
    """

    issuer: str
    kind: str
    algorithms: tuple[str, ...]
    audience: tuple[str, ...]
    project_claim: str = "project"
    subject_claim: str = "sub"
    role_claim: str = ""
    leeway_s: int = LEEWAY_S
    secret: str = field(default="", repr=False)
    jwks_file: str = ""
    jwks_url: str = ""


def parsed(text: bytes | str) -> list[Issuer]:
    """The issuers of a JSON list. Raises IssuerError."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        raise IssuerError("it is not JSON.") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise IssuerError("it must be a list of objects.")
    issuers = [_issuer(entry, f"[{index}]") for index, entry in enumerate(found)]
    pairs = [(one.issuer, audience) for one in issuers for audience in one.audience]
    if len(set(pairs)) < len(pairs):
        raise IssuerError("two entries have the same issuer and audience: nothing tells their tokens apart.")
    return issuers


def _issuer(entry: Mapping[str, Any], where: str) -> Issuer:
    if unknown := sorted(set(entry) - FIELDS):
        raise IssuerError(f"{where} has a field {unknown[0]!r:.60}; fields are {', '.join(sorted(FIELDS))}.")
    kind = _text(entry, "kind", where)
    if kind not in (VIRTUAL_KEY, ADMIN):
        raise IssuerError(f"{where}.kind must be {VIRTUAL_KEY} or {ADMIN}.")
    source = _source(entry, where)
    claims = _claims(entry, kind, where)
    return Issuer(
        issuer=_text(entry, "issuer", where),
        kind=kind,
        algorithms=_algorithms(entry, where, SHARED if source == "secret" else PUBLIC),
        audience=_texts(entry, "audience", where),
        leeway_s=_leeway(entry, where),
        **{f"{name}_claim": claim for name, claim in claims.items()},
        **{source: _checked_source(source, entry[source], where)},
    )


def _source(entry: Mapping[str, Any], where: str) -> str:
    given = [name for name in SOURCES if name in entry]
    if len(given) != 1 or not isinstance(entry[given[0]], str):
        raise IssuerError(f"{where} must have exactly one of {', '.join(SOURCES)}, as text.")
    return given[0]


def _checked_source(source: str, value: str, where: str) -> str:
    if source == "secret" and len(value.encode()) < SHORTEST_SECRET:
        raise IssuerError(f"{where}.secret must have {SHORTEST_SECRET} bytes or more.")
    if source == "jwks_url" and not _is_safe(value):
        raise IssuerError(f"{where}.jwks_url must be an https URL without a user (http: on this machine only).")
    if not value:
        raise IssuerError(f"{where}.{source} is empty.")
    return value


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        sound = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        sound = sound and bool(parts.hostname) and parts.username is None and parts.port != 0 and not parts.fragment
    except ValueError:
        return False
    return sound and all(0x21 <= ord(character) <= 0x7E for character in url)


def _algorithms(entry: Mapping[str, Any], where: str, possible: Sequence[str]) -> tuple[str, ...]:
    found = _texts(entry, "algorithms", where)
    if wrong := [name for name in found if name not in possible]:
        # A public key must never be taken for a shared secret, so one issuer has one sort of key.
        raise IssuerError(
            f"{where}.algorithms: {wrong[0]!r:.20} is none of {', '.join(possible)}, which its key can do."
        )
    return found


def _claims(entry: Mapping[str, Any], kind: str, where: str) -> dict[str, str]:
    claims = entry.get("claims", {})
    possible = ("project", "subject", "role") if kind == VIRTUAL_KEY else ("subject", "role")
    if not isinstance(claims, dict) or not set(claims) <= set(possible):
        raise IssuerError(f"{where}.claims must be an object with names of claims for {', '.join(possible)}.")
    return {name: _text(claims, name, f"{where}.claims") for name in claims}


def _leeway(entry: Mapping[str, Any], where: str) -> int:
    found = entry.get("leeway_s", LEEWAY_S)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= LONGEST_LEEWAY_S:
        raise IssuerError(f"{where}.leeway_s must be a whole number from 0 to {LONGEST_LEEWAY_S}.")
    return found


def _texts(entry: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = entry.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values:
        raise IssuerError(f"{where}.{name} must be a text, or a list of texts.")
    return tuple(_text({name: one}, name, where) for one in values)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST or not value.isprintable():
        raise IssuerError(f"{where}.{name} must be a text of 1 to {LONGEST} characters.")
    return value
