"""The issuers whose JWTs the gateway accepts: parsed from JSON and checked when a process starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from app.lib import json

VIRTUAL_KEY = "virtual_key"
ADMIN = "admin"
SECRET_ALGORITHMS = ("HS256",)
PUBLIC_ALGORITHMS = ("RS256", "ES256")
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
MAX_TEXT = 256  # characters
# A secret shorter than the hash can be guessed offline from any token (RFC 7518, 3.2).
MIN_SECRET_BYTES = 32
MAX_LEEWAY_S = 300
LEEWAY_S = 30


class IssuerError(ValueError):
    """An issuer's configuration is invalid. The message names the field and contains no secret."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer: how its tokens are signed, their audience, and the claims that identify the caller.

    Exactly one of `secret`, `jwks_file` and `jwks_url` is set. `role_claim` is empty if tokens carry no role.
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
    """Parse a JSON list of issuers. Raises IssuerError."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        raise IssuerError("it is not valid JSON.") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise IssuerError("it must be a list of objects.")
    issuers = [_issuer(entry, f"[{index}]") for index, entry in enumerate(entries)]
    pairs = [(issuer.issuer, audience) for issuer in issuers for audience in issuer.audience]
    if len(set(pairs)) < len(pairs):
        raise IssuerError("two entries have the same issuer and audience, so their tokens are indistinguishable.")
    return issuers


def _issuer(entry: Mapping[str, Any], where: str) -> Issuer:
    if unknown := sorted(set(entry) - FIELDS):
        raise IssuerError(f"{where} has an unknown field {unknown[0]!r:.60}; fields are {', '.join(sorted(FIELDS))}.")
    kind = _text(entry, "kind", where)
    if kind not in (VIRTUAL_KEY, ADMIN):
        raise IssuerError(f"{where}.kind must be {VIRTUAL_KEY} or {ADMIN}.")
    source = _source(entry, where)
    claims = _claims(entry, kind, where)
    return Issuer(
        issuer=_text(entry, "issuer", where),
        kind=kind,
        algorithms=_algorithms(entry, where, SECRET_ALGORITHMS if source == "secret" else PUBLIC_ALGORITHMS),
        audience=_texts(entry, "audience", where),
        leeway_s=_leeway(entry, where),
        **{f"{name}_claim": claim for name, claim in claims.items()},
        **{source: _checked_source(source, entry[source], where)},
    )


def _source(entry: Mapping[str, Any], where: str) -> str:
    sources = [name for name in SOURCES if name in entry]
    if len(sources) != 1 or not isinstance(entry[sources[0]], str):
        raise IssuerError(f"{where} must have exactly one of {', '.join(SOURCES)}, as a string.")
    return sources[0]


def _checked_source(source: str, value: str, where: str) -> str:
    if source == "secret" and len(value.encode()) < MIN_SECRET_BYTES:
        raise IssuerError(f"{where}.secret must have at least {MIN_SECRET_BYTES} bytes.")
    if source == "jwks_url" and not _is_safe(value):
        raise IssuerError(f"{where}.jwks_url must be an https URL without a user name (http only for this machine).")
    if not value:
        raise IssuerError(f"{where}.{source} is empty.")
    return value


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        is_safe = is_safe and bool(parts.hostname) and parts.username is None and parts.port != 0 and not parts.fragment
    except ValueError:
        return False
    return is_safe and all(0x21 <= ord(character) <= 0x7E for character in url)


def _algorithms(entry: Mapping[str, Any], where: str, possible: Sequence[str]) -> tuple[str, ...]:
    algorithms = _texts(entry, "algorithms", where)
    if invalid := [name for name in algorithms if name not in possible]:
        # A public key must never be used as a shared secret, so an issuer has one kind of key.
        raise IssuerError(f"{where}.algorithms: {invalid[0]!r:.20} does not fit its key; use {', '.join(possible)}.")
    return algorithms


def _claims(entry: Mapping[str, Any], kind: str, where: str) -> dict[str, str]:
    claims = entry.get("claims", {})
    possible = ("project", "subject", "role") if kind == VIRTUAL_KEY else ("subject", "role")
    if not isinstance(claims, dict) or not set(claims) <= set(possible):
        raise IssuerError(f"{where}.claims must be an object that maps {', '.join(possible)} to names of claims.")
    return {name: _text(claims, name, f"{where}.claims") for name in claims}


def _leeway(entry: Mapping[str, Any], where: str) -> int:
    leeway_s = entry.get("leeway_s", LEEWAY_S)
    if not isinstance(leeway_s, int) or isinstance(leeway_s, bool) or not 0 <= leeway_s <= MAX_LEEWAY_S:
        raise IssuerError(f"{where}.leeway_s must be an integer from 0 to {MAX_LEEWAY_S}.")
    return leeway_s


def _texts(entry: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = entry.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values:
        raise IssuerError(f"{where}.{name} must be a string or a list of strings.")
    return tuple(_text({name: text}, name, where) for text in values)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise IssuerError(f"{where}.{name} must be a string of 1 to {MAX_TEXT} characters.")
    return value
