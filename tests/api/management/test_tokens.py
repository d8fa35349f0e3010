"""The management API with tokens instead of keys."""

import json
from typing import Any

import jwt
import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.api.management.conftest import client_of
from tests.auth import tokens
from tests.conftest import KeyClient

pytestmark = pytest.mark.one_database

PROJECTS = "/api/projects"
ADMIN = f"root of {tokens.ADMIN_ISSUER}"


def of_admin(secret: str = tokens.SECRET, **more: Any) -> str:
    """A token of root, signed by the shared secret of the issuer of admins unless told otherwise."""
    return jwt.encode(tokens.claims(iss=tokens.ADMIN_ISSUER, sub="root", team=None, **more), secret, algorithm="HS256")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """With an issuer of admins and one of users."""
    shared = {"algorithms": ["HS256"], "audience": tokens.AUDIENCE, "secret": tokens.SECRET}
    claims = {"project": "team", "subject": "sub"}
    issuers = [
        {"issuer": tokens.ADMIN_ISSUER, "kind": "admin", **shared},
        {"issuer": tokens.SHARED_ISSUER, "kind": "virtual_key", "claims": claims, **shared},
    ]
    return {**environment, "BATCHGATE_JWT_ISSUERS": json.dumps(issuers)}


@pytest.fixture
def root(gateway: Gateway) -> KeyClient:
    """A client with the token of an admin, which names no project."""
    return client_of(gateway, of_admin())


def test_an_admin_with_a_token_manages_all_projects(root: KeyClient) -> None:
    for name in ("alpha", "beta"):
        assert root.post(PROJECTS, json={"name": name}).status_code == 200
        key = root.post("/api/governance/virtual-keys", json={"name": "k", "project": name})
        assert (key.status_code, key.json["project"]) == (200, name)
    told = root.get("/api/events").json["data"]
    assert {(event["actor"], event["source"]) for event in told} == {(ADMIN, "api")}
    assert [event["project"] for event in told] == ["beta", "beta", "alpha", "alpha"]


def test_what_is_refused_to_an_admin_with_a_token_is_an_event(root: KeyClient) -> None:
    assert root.get(f"{PROJECTS}/nope").status_code == 404
    (event,) = root.get("/api/events?outcome=refused").json["data"]
    assert (event["actor"], event["project"], event["virtual_key"], event["object_id"]) == (ADMIN, None, None, None)


def test_the_token_of_a_user_manages_nothing_and_knows_its_quota(root: KeyClient, gateway: Gateway) -> None:
    keys.create(gateway, project="alpha", name="first")
    user = client_of(gateway, tokens.shared(sub="ann", team="alpha"))
    quota = user.get("/api/governance/virtual-keys/quota")
    assert (quota.status_code, quota.json["kind"], quota.json["project"]) == (200, "jwt", "alpha")

    assert user.get(PROJECTS).status_code == 403
    assert user.post(PROJECTS, json={"name": "mine"}).status_code == 403
    refused = root.get("/api/events?outcome=refused").json["data"]
    assert [(event["project"], event["virtual_key"]) for event in refused] == [("alpha", quota.json["id"])] * 2

    shown = root.get(f"/api/governance/virtual-keys/{quota.json['id']}").json
    assert (shown["issuer"], shown["subject"]) == (tokens.SHARED_ISSUER, "ann")
    assert root.post(f"/api/governance/virtual-keys/{shown['id']}/rotate").status_code == 409
    assert root.delete(f"/api/governance/virtual-keys/{shown['id']}").status_code == 200
    assert user.get("/v1/files").status_code == 401


def test_no_token_is_an_admins_that_is_not_signed_for_it(gateway: Gateway) -> None:
    for token in (
        of_admin("another-secret-of-nobody-that-is-long-enough-as-well"),
        of_admin(exp=1),
        of_admin(aud="another"),
        tokens.crafted({"alg": "none", "typ": "JWT"}, tokens.claims(iss=tokens.ADMIN_ISSUER, sub="root")),
    ):
        assert client_of(gateway, token).get(PROJECTS).status_code == 401
