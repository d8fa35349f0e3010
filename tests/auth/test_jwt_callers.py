"""Whom a good token stands for: the project that it names, a key row of its own, a role; an admin, across them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.data.tables import events, projects, virtual_keys
from app.errors import AuthenticationError, InvalidRequestError, PermissionDeniedError
from app.services.access import callers, keys
from app.services.gateway import Gateway
from tests.auth import tokens
from tests.auth.conftest import bearer, upload_form
from tests.support.web import application

IN_ALPHA = {"x-bf-project": "alpha"}


def admin_token(**more: Any) -> str:
    return tokens.signed(iss=tokens.ADMIN_ISSUER, sub="root", team=None, **more)


def rows(gateway: Gateway) -> list[Any]:
    """The key rows of subjects, oldest first."""
    statement = select(virtual_keys, projects.c.name.label("project")).join_from(virtual_keys, projects)
    with gateway.database.read() as connection:
        return list(connection.execute(statement.where(virtual_keys.c.kind == "jwt").order_by(virtual_keys.c.id)))


def acts(gateway: Gateway, operation: str) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(events).where(events.c.operation == operation).order_by(events.c.id)))


def test_a_subject_has_one_key_of_its_own_in_each_project(gateway: Gateway, anyone: FlaskClient) -> None:
    keys.create(gateway, project="beta", name="second")
    for token in (
        tokens.signed(),
        tokens.signed(),
        tokens.signed(sub="bob"),
        tokens.signed(team="beta"),
        tokens.shared(role="viewer"),
    ):
        assert anyone.get("/v1/files", headers=bearer(token)).status_code == 200
    assert [(row.issuer, row.subject, row.project, row.role) for row in rows(gateway)] == [
        (tokens.ISSUER, "ann", "alpha", "member"),
        (tokens.ISSUER, "bob", "alpha", "member"),
        (tokens.ISSUER, "ann", "beta", "member"),
        (tokens.SHARED_ISSUER, "ann", "alpha", "member"),
    ]
    made = [event for event in acts(gateway, "key_create") if (event.detail or {}).get("kind") == "jwt"]
    assert [event.object_id for event in made] == [row.public_id for row in rows(gateway)]
    assert made[0].actor == f"ann of {tokens.ISSUER}" and made[0].source == "api"


def test_a_row_is_made_once_however_many_come_at_once(gateway: Gateway, anyone: FlaskClient) -> None:
    def found(number: int) -> int:
        return callers.authenticate(gateway, tokens.signed(), request_id=f"req_{number}").key_id

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(found, range(32)))
    assert len(ids) == 1 and len(rows(gateway)) == 1
    assert len([event for event in acts(gateway, "key_create") if (event.detail or {}).get("kind") == "jwt"]) == 1


def test_what_a_token_makes_belongs_to_its_project_and_key(gateway: Gateway, anyone: FlaskClient) -> None:
    made = anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=bearer(tokens.signed()))
    assert made.status_code == 200
    other = keys.create(gateway, project="alpha", name="other").key
    foreign = keys.create(gateway, project="beta", name="foreign").key
    assert anyone.get(f"/v1/files/{made.json['id']}", headers=bearer(other)).status_code == 200
    assert anyone.get(f"/v1/files/{made.json['id']}", headers=bearer(foreign)).status_code == 404
    (row,) = rows(gateway)
    assert [event.key_id for event in acts(gateway, "file_upload")] == [row.id]


@pytest.mark.parametrize("end", ["revoke", "expire", "archive"])
def test_a_subject_is_ended_as_any_key(gateway: Gateway, anyone: FlaskClient, end: str) -> None:
    assert anyone.get("/v1/files", headers=bearer(tokens.signed())).status_code == 200
    (row,) = rows(gateway)
    if end == "revoke":
        assert keys.revoke(gateway, row.public_id)
    elif end == "expire":
        keys.expire(gateway, row.public_id)
    else:
        with gateway.database.write() as connection:
            connection.execute(projects.update().where(projects.c.name == "alpha").values(archived_at=1))
    refused = anyone.get("/v1/files", headers=bearer(tokens.signed()))
    assert refused.status_code == 401 and refused.json["error"]["code"] == "invalid_api_key"
    assert len(rows(gateway)) == 1  # no new row in place of the one that is over


def test_no_secret_opens_the_key_of_a_subject(gateway: Gateway, anyone: FlaskClient) -> None:
    anyone.get("/v1/files", headers=bearer(tokens.signed()))
    (row,) = rows(gateway)
    for secret in ("", "x", "0" * 64):
        credential = f"sk-bf-{row.public_id}-{secret}"
        assert anyone.get("/v1/files", headers=bearer(credential)).status_code == 401


def test_of_role_and_token_the_one_that_may_do_less_counts(gateway: Gateway, anyone: FlaskClient) -> None:
    viewer, member = tokens.shared(role="viewer"), tokens.shared(role="member")
    refused = anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=bearer(viewer))
    assert refused.status_code == 403
    assert anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=bearer(member)).status_code == 200
    (row,) = rows(gateway)
    keys.update(gateway, row.public_id, role="viewer")
    assert anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=bearer(member)).status_code == 403


def test_the_lists_of_the_row_bind_the_token(gateway: Gateway, anyone: FlaskClient) -> None:
    anyone.get("/v1/files", headers=bearer(tokens.signed()))
    (row,) = rows(gateway)
    keys.update(gateway, row.public_id, networks=["10.0.0.0/8"])
    assert anyone.get("/v1/files", headers=bearer(tokens.signed())).status_code == 403


def test_a_token_names_no_other_project_than_its_own(anyone: FlaskClient) -> None:
    for named in ("beta", "nobody's", "x" * 5000):
        refused = anyone.get("/v1/files", headers=bearer(tokens.signed(), **{"x-bf-project": named}))
        assert refused.status_code == 403 and refused.json["error"]["param"] == "x-bf-project"
    assert anyone.get("/v1/files", headers=bearer(tokens.signed(), **IN_ALPHA)).status_code == 200


def test_an_admin_acts_in_the_project_that_is_named(gateway: Gateway, anyone: FlaskClient) -> None:
    keys.create(gateway, project="beta", name="second")
    made = anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=bearer(admin_token(), **IN_ALPHA))
    assert made.status_code == 200
    path = f"/v1/files/{made.json['id']}"
    assert anyone.get(path, headers=bearer(admin_token(), **IN_ALPHA)).status_code == 200
    assert anyone.get(path, headers=bearer(admin_token(), **{"x-bf-project": "beta"})).status_code == 404
    assert [(row.subject, row.project, row.role) for row in rows(gateway)] == [
        ("root", "alpha", "admin"),
        ("root", "beta", "admin"),
    ]


@pytest.mark.parametrize("named", [None, "", "nobody's", "x" * 5000, "a\x7fb", "archived"])
def test_an_admin_who_names_no_project_in_use_is_told(gateway: Gateway, anyone: FlaskClient, named: str | None) -> None:
    keys.create(gateway, project="archived", name="old")
    with gateway.database.write() as connection:
        connection.execute(projects.update().where(projects.c.name == "archived").values(archived_at=1))
    more = {} if named is None else {"x-bf-project": named}
    told = anyone.get("/v1/files", headers=bearer(admin_token(), **more))
    assert told.status_code == 400 and told.json["error"]["param"] == "x-bf-project"
    assert rows(gateway) == []


def test_an_admin_who_is_ended_in_one_project_is_ended_in_all(gateway: Gateway, anyone: FlaskClient) -> None:
    keys.create(gateway, project="beta", name="second")
    assert anyone.get("/v1/files", headers=bearer(admin_token(), **IN_ALPHA)).status_code == 200
    assert callers.administrator(gateway, admin_token(), request_id="req_a").name == f"root of {tokens.ADMIN_ISSUER}"
    keys.revoke(gateway, rows(gateway)[0].public_id)
    for named in ("alpha", "beta"):
        assert anyone.get("/v1/files", headers=bearer(admin_token(), **{"x-bf-project": named})).status_code == 401
    with pytest.raises(AuthenticationError):
        callers.administrator(gateway, admin_token(), request_id="req_b")


def test_admins_are_keys_with_that_role_and_tokens_of_an_issuer_of_admins(
    gateway: Gateway, anyone: FlaskClient
) -> None:
    admin = keys.create(gateway, project="alpha", name="boss", role="admin")
    found = callers.administrator(gateway, admin.key, request_id="req_a", address="10.1.1.1")
    assert (found.name, found.source, found.address) == (admin.public_id, "api", "10.1.1.1")
    for role in ("member", "viewer"):
        issued = keys.create(gateway, project="alpha", name=role, role=role)
        with pytest.raises(PermissionDeniedError):
            callers.administrator(gateway, issued.key, request_id="req_b")
    for token in (tokens.signed(), tokens.shared(role="member")):
        with pytest.raises(PermissionDeniedError):
            callers.administrator(gateway, token, request_id="req_c")
    for nobody in ("", "x", "sk-bf-0123456789abcdef-nobody", tokens.signed("stranger"), tokens.signed(exp=1)):
        with pytest.raises(AuthenticationError):
            callers.administrator(gateway, nobody, request_id="req_d")


def test_the_subject_of_an_admin_is_no_admin_by_another_issuer(gateway: Gateway, anyone: FlaskClient) -> None:
    anyone.get("/v1/files", headers=bearer(admin_token(), **IN_ALPHA))
    with pytest.raises(PermissionDeniedError):
        callers.administrator(gateway, tokens.signed(sub="root"), request_id="req_a")


def test_an_admin_needs_a_project_also_below_the_services(gateway: Gateway, anyone: FlaskClient) -> None:
    with pytest.raises(InvalidRequestError, match="x-bf-project"):
        callers.authenticate(gateway, admin_token(), request_id="req_a")


def test_a_batch_outlives_the_token_that_made_it(gateway: Gateway, anyone: FlaskClient) -> None:
    soon = tokens.shared(role="member", exp=int(tokens.time.time()) - 2)  # within the leeway of 30 s
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}\n'
    uploaded = anyone.post("/v1/files", data=upload_form(line), headers=bearer(soon))
    wanted = {"input_file_id": uploaded.json["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = anyone.post("/v1/batches", json={**wanted, "provider": "local"}, headers=bearer(soon))
    assert made.status_code == 200
    over = tokens.shared(role="member", exp=int(tokens.time.time()) - 60)
    path = f"/v1/batches/{made.json['id']}"
    assert anyone.get(path, headers=bearer(over)).status_code == 401
    again = anyone.get(path, headers=bearer(tokens.shared(role="member")))
    assert again.json["status"] == "validating"


def test_no_connection_is_held_while_the_keys_of_an_issuer_are_read(gateway: Gateway, anyone: FlaskClient) -> None:
    held: list[int] = []
    (place,) = gateway.jwt.key_sets.values()
    read = place._read

    def counting() -> bytes:
        engines = (gateway.database.readers, gateway.database.writers)
        held.append(sum(engine.pool.checkedout() for engine in engines))  # type: ignore[attr-defined]
        return read()

    place._read = counting  # type: ignore[method-assign]
    client = application(gateway).test_client()
    assert client.get("/v1/files", headers=bearer(tokens.signed())).status_code == 200
    assert held == [0]
