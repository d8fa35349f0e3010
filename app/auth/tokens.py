"""JWTs: is this one good, and what does it say who holds it? Knows neither web nor store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from app.auth.issuers import ADMIN, VIRTUAL_KEY, Issuer
from app.auth.jwks import KeySet

LONGEST_TOKEN = 16 * 1024
LONGEST_KID = 256
LONGEST_SUBJECT = 256
LONGEST_PROJECT = 64
ROLES = {ADMIN: ("admin", "member", "viewer"), VIRTUAL_KEY: ("member", "viewer")}
# What makes a parser believe that it knows a token before its signature says so.
UNVERIFIED: Any = {"verify_signature": False}


class TokenError(Exception):
    """A token that is not good. `reason` is for the operator's log: a caller hears the same whatever it is."""

    def __init__(self, reason: str, *, issuer: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.issuer = issuer


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a good token. `project` is None for an admin; `role` is None when the token tells none."""

    issuer: str
    kind: str
    subject: str
    project: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Verifier:
    """The issuers that are trusted, and their public keys by where they are; safe to share between threads."""

    issuers: Sequence[Issuer] = ()
    key_sets: Mapping[str, KeySet] = field(default_factory=dict, repr=False)

    def verify(self, token: str) -> Identity:
        """Who holds `token`. Raises TokenError. It may wait for the issuer's keys, so hold no connection meanwhile."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise TokenError("too long or not ASCII")
        header, named = _peek(token)
        candidates = [issuer for issuer in self.issuers if issuer.issuer == named]
        if not candidates:
            raise TokenError("its issuer is not configured")
        refused = TokenError("", issuer=named)
        for issuer in candidates:
            try:
                return _identity(issuer, self._claims(issuer, token, header))
            except TokenError as error:
                refused = TokenError(error.reason, issuer=named)
        raise refused

    def _claims(self, issuer: Issuer, token: str, header: Mapping[str, Any]) -> Mapping[str, Any]:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
            raise TokenError("its algorithm is not one of the issuer's")
        key = issuer.secret or self._public_key(issuer, header.get("kid"), algorithm)
        return _decoded(
            token,
            key,
            algorithms=[algorithm],
            audience=list(issuer.audience),
            issuer=issuer.issuer,
            leeway=issuer.leeway_s,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _public_key(self, issuer: Issuer, kid: Any, algorithm: str) -> Any:
        if kid is not None and (not isinstance(kid, str) or len(kid) > LONGEST_KID):
            raise TokenError("its kid is no text")
        found = self.key_sets[issuer.jwks_url or issuer.jwks_file].find(kid, algorithm)
        if found is None:
            raise TokenError("the issuer has no such key, or its keys cannot be read")
        return found.key


def verifier(issuers: Sequence[Issuer], *, read: Callable[[Issuer], Callable[[], bytes]], log: Any) -> Verifier:
    """A verifier of `issuers`; `read` gives what reads the keys of one. Nothing is read before the first token."""
    public = {place: issuer for issuer in issuers if (place := issuer.jwks_url or issuer.jwks_file)}
    key_sets = {place: KeySet(place, read(issuer), log=log) for place, issuer in public.items()}
    return Verifier(tuple(issuers), key_sets)


def looks_like_one(credential: str) -> bool:
    """True for three parts with a JSON object in front; says nothing about whether it is good."""
    return credential.startswith("eyJ") and credential.count(".") == 2


def _peek(token: str) -> tuple[Mapping[str, Any], str]:
    """The header and the issuer of a token that nobody has verified."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenError("it is no JWT") from None
    # Extensions that must be understood, and payloads that are elsewhere: nothing here speaks either.
    if "crit" in header or "b64" in header:
        raise TokenError("its header wants an extension")
    named = _decoded(token, "", options=UNVERIFIED).get("iss")
    if not isinstance(named, str):
        raise TokenError("it names no issuer")
    return header, named


def _decoded(token: str, key: Any, **wanted: Any) -> Mapping[str, Any]:
    try:
        return dict(jwt.decode(token, key, **wanted))
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # The kind only: messages quote what a stranger sent.
        raise TokenError(type(error).__name__) from None


def _identity(issuer: Issuer, claims: Mapping[str, Any]) -> Identity:
    project = None
    if issuer.kind == VIRTUAL_KEY:
        project = _claim(claims, issuer.project_claim, most=LONGEST_PROJECT)
    role = _claim(claims, issuer.role_claim, most=LONGEST_PROJECT) if issuer.role_claim else None
    if role is not None and role not in ROLES[issuer.kind]:
        raise TokenError("its role is none that such a token may have")
    subject = _claim(claims, issuer.subject_claim, most=LONGEST_SUBJECT)
    return Identity(issuer.issuer, issuer.kind, subject, project, role)


def _claim(claims: Mapping[str, Any], name: str, *, most: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise TokenError(f"its claim {name} is missing, or no text of 1 to {most} characters")
    return value
