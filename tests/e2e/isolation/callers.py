"""Who calls: credentials of every kind that is in the table of docs/access.md, virtual keys and JWTs."""

from typing import Any

import jwt

from app.services.access import callers, keys
from app.services.gateway import Gateway
from tests.auth import tokens
from tests.e2e.isolation.world import canary

Headers = dict[str, str]
ALPHA, BETA = f"{canary('alpha')}-project", f"{canary('beta')}-project"
ADMIN_ISSUER = "admins.example"
USERS = {"kind": "virtual_key", "claims": {"project": "team", "subject": "sub", "role": "role"}}
SHARED = {"algorithms": ["HS256"], "audience": [tokens.AUDIENCE], "secret": tokens.SECRET}
ISSUERS: list[dict[str, Any]] = [
    {"issuer": tokens.SHARED_ISSUER, **USERS, **SHARED},
    {"issuer": ADMIN_ISSUER, "kind": "admin", **SHARED, "secret": tokens.SECRET[::-1]},
]


class Callers:
    """`headers[kind]` are what callers of this kind send: the first has a virtual key, where there is one."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        viewer, member, admin = (self._key(role=role) for role in ("viewer", "member", "admin"))
        expired, revoked = self._key(), self._key()
        keys.expire(gateway, public_id(expired))
        assert keys.revoke(gateway, public_id(revoked))
        operator = jwt.encode(tokens.claims(iss=ADMIN_ISSUER, team=None), tokens.SECRET[::-1], algorithm="HS256")
        self.headers: dict[str, list[Headers]] = {
            "none": [{}],
            "wrong": [bearer(changed(member)), bearer(tokens.shared("another secret of at least 32 bytes"))],
            "revoked": [bearer(revoked), bearer(self._revoked_token())],
            "expired": [bearer(expired), bearer(token("alpha", exp=1))],
            "another project's": [
                bearer(keys.create(gateway, project=BETA, name="b").key),
                bearer(token("beta")),
            ],
            "viewer": [bearer(viewer), bearer(token("alpha", role="viewer"))],
            "member": [bearer(member), bearer(token("alpha"))],
            "admin": [bearer(admin), bearer(operator, **{"x-bf-project": ALPHA})],
        }

    def _key(self, **fields: Any) -> str:
        return keys.create(self._gateway, project=ALPHA, name=f"{canary('alpha')}-key", **fields).key

    def _revoked_token(self) -> str:
        """One whose subject has been revoked here."""
        given = token("alpha", sub="somebody-who-left")
        name = callers.authenticate(self._gateway, given, request_id="r").name
        assert keys.revoke(self._gateway, str(name))
        return given


def token(word: str, **more: Any) -> str:
    """A good token of a project's, unless `more` says otherwise."""
    said = {"team": f"{canary(word)}-project", "sub": f"{canary(word)}-subject", "role": "member", **more}
    return tokens.shared(**said)


def bearer(credential: str, **more: str) -> Headers:
    return {"Authorization": f"Bearer {credential}", **more}


def public_id(key: str) -> str:
    return key.removeprefix(keys.PREFIX).partition("-")[0]


def changed(key: str) -> str:
    """Another secret for the same key."""
    return key[:-4] + ("AAAA" if key[-4:] != "AAAA" else "BBBB")
