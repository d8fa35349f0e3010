"""Verify JSON Web Tokens and read the caller's identity from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.auth.issuers import ADMIN, VIRTUAL_KEY, Issuer
from app.auth.jwks import KeySet

# Characters.
MAX_TOKEN = 16 * 1024
MAX_KID = 256
MAX_SUBJECT = 256
MAX_PROJECT = 64
MAX_ROLE = 64
ROLES = {ADMIN: ("admin", "member", "viewer"), VIRTUAL_KEY: ("member", "viewer")}
# Options that decode a token without checking its signature.
UNVERIFIED: Any = {"verify_signature": False}


class TokenError(Exception):
    """A token was rejected. `reason` is for the operator's log; callers get the same error whatever it is."""

    def __init__(self, reason: str, *, issuer: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.issuer = issuer


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a verified token. `project` is None for an admin; `role` is None if the token carries none.

    `expires_at` is when the token ends, in Unix seconds.
    """

    issuer: str
    kind: str
    subject: str
    project: str | None = None
    role: str | None = None
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Verifier:
    """The trusted issuers and their public keys, by location. Thread-safe."""

    issuers: Sequence[Issuer] = ()
    key_sets: Mapping[str, KeySet] = field(default_factory=dict, repr=False)

    def verify(self, token: str) -> Identity:
        """Verify `token` and return its holder. Raises TokenError.

        It may wait for the issuer's keys, so hold no database connection meanwhile.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            raise TokenError("too long or not ASCII")
        header, issuer_name = _peek(token)
        candidates = [issuer for issuer in self.issuers if issuer.issuer == issuer_name]
        if not candidates:
            raise TokenError("its issuer is not configured")
        rejection = TokenError("", issuer=issuer_name)
        for issuer in candidates:
            try:
                return _identity(issuer, self._claims(issuer, token, header))
            except TokenError as error:
                rejection = TokenError(error.reason, issuer=issuer_name)
        raise rejection

    def _claims(self, issuer: Issuer, token: str, header: Mapping[str, Any]) -> Mapping[str, Any]:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
            raise TokenError("its algorithm is not one of the issuer's")
        key = issuer.secret or self._public_key(issuer, header.get("kid"), algorithm)
        return _decode(
            token,
            key,
            algorithms=[algorithm],
            audience=list(issuer.audience),
            issuer=issuer.issuer,
            leeway=issuer.leeway_s,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _public_key(self, issuer: Issuer, kid: Any, algorithm: str) -> Any:
        if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID):
            raise TokenError("its kid is invalid")
        public_key = self.key_sets[issuer.jwks_url or issuer.jwks_file].find(kid, algorithm)
        if public_key is None:
            raise TokenError("the issuer has no such key, or its keys cannot be read")
        return public_key.key


def verifier(issuers: Sequence[Issuer], *, read: Callable[[Issuer], Callable[[], bytes]], log: Any) -> Verifier:
    """Build a verifier. `read` returns the function that fetches an issuer's keys; the first token triggers a fetch."""
    by_location = {location: issuer for issuer in issuers if (location := issuer.jwks_url or issuer.jwks_file)}
    key_sets = {location: KeySet(location, read(issuer), log=log) for location, issuer in by_location.items()}
    return Verifier(tuple(issuers), key_sets)


def looks_like_one(credential: str) -> bool:
    """Return True if `credential` has the form of a JWT: three parts, the first a JSON object. Verifies nothing."""
    return credential.startswith("eyJ") and credential.count(".") == 2


def _peek(token: str) -> tuple[Mapping[str, Any], str]:
    """Return the header and issuer of an unverified token."""
    import jwt  # at first use: a gateway without issuers, and every command, starts sooner

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenError("it is not a JWT") from None
    # Critical extensions and unencoded payloads are not supported.
    if "crit" in header or "b64" in header:
        raise TokenError("its header requires an extension")
    issuer_name = _decode(token, "", options=UNVERIFIED).get("iss")
    if not isinstance(issuer_name, str):
        raise TokenError("it names no issuer")
    return header, issuer_name


def _decode(token: str, key: Any, **options: Any) -> Mapping[str, Any]:
    import jwt

    try:
        return dict(jwt.decode(token, key, **options))
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # Only the error's type: its message quotes the token.
        raise TokenError(type(error).__name__) from None


def _identity(issuer: Issuer, claims: Mapping[str, Any]) -> Identity:
    project = None
    if issuer.kind == VIRTUAL_KEY:
        project = _claim(claims, issuer.project_claim, max_length=MAX_PROJECT)
    role = _claim(claims, issuer.role_claim, max_length=MAX_ROLE) if issuer.role_claim else None
    if role is not None and role not in ROLES[issuer.kind]:
        raise TokenError("its role is not allowed for this kind of token")
    subject = _claim(claims, issuer.subject_claim, max_length=MAX_SUBJECT)
    return Identity(issuer.issuer, issuer.kind, subject, project, role, int(claims["exp"]))


def _claim(claims: Mapping[str, Any], name: str, *, max_length: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= max_length or not value.isprintable():
        raise TokenError(f"its claim {name} is missing or is not a string of 1 to {max_length} characters")
    return value
