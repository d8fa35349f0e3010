"""Where a request may carry its credential, and where it comes from."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.data.tables import events
from app.services.access import keys
from app.services.gateway import Gateway
from tests.auth import tokens
from tests.auth.conftest import upload_form
from tests.support.web import application

pytestmark = pytest.mark.one_database

FORMS = ("Authorization", "x-bf-vk", "x-api-key", "api-key", "x-goog-api-key")
PROVIDERS_KEY = "sk-proj-not-a-key-of-this-gateway"


@pytest.fixture
def key(gateway: Gateway) -> str:
    return keys.create(gateway, project="alpha", name="tests").key


def header(name: str, credential: str) -> dict[str, str]:
    return {name: f"Bearer {credential}" if name == "Authorization" else credential}


@pytest.mark.parametrize("name", [*FORMS, *map(str.upper, FORMS)])
@pytest.mark.parametrize("is_token", [False, True], ids=["key", "token"])
def test_every_header_carries_a_credential(anyone: FlaskClient, key: str, name: str, is_token: bool) -> None:
    credential = tokens.signed() if is_token else key
    form = header("Authorization" if name.lower() == "authorization" else name, credential)
    assert anyone.get("/v1/files", headers=form).status_code == 200
    assert anyone.get("/v1/files", headers=header(next(iter(form)), credential[:-2] + "zz")).status_code == 401


@pytest.mark.parametrize("other", FORMS)
@pytest.mark.parametrize("name", FORMS)
def test_what_is_of_this_gateway_wins_over_what_is_beside_it(
    anyone: FlaskClient, key: str, name: str, other: str
) -> None:
    if name == other:
        return
    for credential in (key, tokens.signed()):
        both = {**header(other, PROVIDERS_KEY), **header(name, credential)}
        assert anyone.get("/v1/files", headers=both).status_code == 200


def test_a_virtual_key_wins_over_a_token(anyone: FlaskClient, gateway: Gateway) -> None:
    beta = keys.create(gateway, project="beta", name="tests").key
    both = {**header("Authorization", tokens.signed()), **header("x-bf-vk", beta)}
    made = anyone.post("/v1/files", data=upload_form(b"{}\n"), headers=both)
    path = f"/v1/files/{made.json['id']}"
    assert anyone.get(path, headers=header("x-bf-vk", beta)).status_code == 200
    assert anyone.get(path, headers=header("Authorization", tokens.signed())).status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic {key}"},
        {"Authorization": "{key}"},
        {"Authorization": "Bearer {key} {key}"},
        {"Authorization": "Bearer {key}\xff"},
        {"x-bf-vk": "   "},
        {"x-bf-vk": "Bearer {key}"},
        {"x-bf-api-key": "{key}"},
        {"Cookie": "authorization={key}"},
    ],
)
def test_what_carries_no_credential_is_refused(anyone: FlaskClient, key: str, form: dict[str, str]) -> None:
    refused = anyone.get("/v1/files", headers={name: value.format(key=key) for name, value in form.items()})
    assert refused.status_code == 401
    assert refused.json["error"]["code"] == "invalid_api_key"
    assert anyone.get(f"/v1/files?api_key={key}&key={key}", headers={}).status_code == 401


def test_a_key_of_this_gateway_names_no_other_project_than_its_own(anyone: FlaskClient, key: str) -> None:
    form = header("Authorization", key)
    assert anyone.get("/v1/files", headers={**form, "x-bf-project": "alpha"}).status_code == 200
    answers = [anyone.get("/v1/files", headers={**form, "x-bf-project": name}) for name in ("beta", "nobody's")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json["error"]["message"] == answers[1].json["error"]["message"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        (0, ["203.0.113.9"], "127.0.0.1"),
        (1, ["203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["198.51.100.1, 203.0.113.9,10.0.0.1"], "203.0.113.9"),
        (2, ["203.0.113.9"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (1, [" , "], "127.0.0.1"),
        (1, ["x" * 900], "x" * 64),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(
    gateway: Gateway, key: str, proxies: int, forwarded: list[str], seen: str
) -> None:
    behind = replace(gateway, settings=replace(gateway.settings, trusted_proxies=proxies))
    client = application(behind).test_client()
    told = [*header("x-bf-vk", key).items(), *[("X-Forwarded-For", value) for value in forwarded]]
    assert client.post("/v1/files", data=upload_form(b"{}\n"), headers=told).status_code == 200
    assert addresses(gateway) == [seen]


@pytest.mark.parametrize(
    ("peer", "networks", "seen"),
    [
        ("127.0.0.1", None, "203.0.113.9"),
        ("::1", None, "203.0.113.9"),
        ("::ffff:127.0.0.1", None, "203.0.113.9"),
        ("", None, "203.0.113.9"),  # a Unix socket
        ("198.51.100.7", None, "198.51.100.7"),
        ("10.0.0.7", None, "10.0.0.7"),
        ("10.0.0.7", "127.0.0.1, 10.0.0.0/8", "203.0.113.9"),
        ("127.0.0.1", "10.0.0.0/8", "127.0.0.1"),
    ],
)
def test_only_a_proxy_says_who_it_saw(gateway: Gateway, key: str, peer: str, networks: str | None, seen: str) -> None:
    """A client that reaches the gateway directly cannot forge its address."""
    chosen = {"proxy_networks": networks} if networks else {}
    behind = replace(gateway, settings=replace(gateway.settings, trusted_proxies=1, **chosen))
    client = application(behind).test_client()
    told = {**header("x-bf-vk", key), "X-Forwarded-For": "203.0.113.9"}
    sent = client.post("/v1/files", data=upload_form(b"{}\n"), headers=told, environ_overrides={"REMOTE_ADDR": peer})
    assert sent.status_code == 200
    assert addresses(gateway) == [seen]


def addresses(gateway: Gateway) -> list[str | None]:
    with gateway.database.read() as connection:
        return list(
            connection.execute(select(events.c.address).where(events.c.operation == "file_upload")).scalars().all()
        )
