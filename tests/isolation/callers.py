"""Who calls: credentials of every kind that is in the table of docs/access.md."""

from app.services import keys
from app.services.gateway import Gateway
from tests.isolation.world import canary


class Callers:
    """`headers[kind]` are what a caller of this kind sends. Members, viewers and admins are of project alpha."""

    def __init__(self, gateway: Gateway) -> None:
        viewer, member, admin = (self._key(gateway, role=role) for role in ("viewer", "member", "admin"))
        expired, revoked = self._key(gateway), self._key(gateway)
        keys.expire(gateway, expired.removeprefix(keys.PREFIX).partition("-")[0])
        assert keys.revoke(gateway, revoked.removeprefix(keys.PREFIX).partition("-")[0])
        known = {
            "wrong": member[:-4] + ("AAAA" if member[-4:] != "AAAA" else "BBBB"),
            "revoked": revoked,
            "expired": expired,
            "another project's": keys.create(gateway, project=f"{canary('beta')}-project", name="b").key,
            "viewer": viewer,
            "member": member,
            "admin": admin,
        }
        self.headers = {"none": {}} | {kind: {"Authorization": f"Bearer {key}"} for kind, key in known.items()}

    def _key(self, gateway: Gateway, **fields: str) -> str:
        word = canary("alpha")
        return keys.create(gateway, project=f"{word}-project", name=f"{word}-key", **fields).key  # type: ignore[arg-type]
