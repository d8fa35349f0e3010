"""What the lists of a key allow: providers, models, endpoints, networks."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from app.data.tables import events
from app.errors import InvalidRequestError, PermissionDeniedError
from app.services.access import keys, permissions
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers, fake, local_base_url, workers  # noqa: F401 - fixtures
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, upload
from tests.support.keyed import keyed, public_id

EMBEDDINGS = "/v1/embeddings"


def refused(answer: Any, param: str) -> bool:
    """True for a 403 that names `param`."""
    return answer.status_code == 403 and answer.json["error"]["param"] == param


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"OPENAI_API_KEY": "sk-unused", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.mark.parametrize(
    ("networks", "address", "fits"),
    [
        (None, None, True),
        (None, "192.0.2.1", True),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["10.0.0.0/8", "192.0.2.7"], "192.0.2.7", True),
        (["10.0.0.0/8", "192.0.2.7"], "192.0.2.8", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "10.1.2.3:4711", True),
        (["2001:db8::/32"], "2001:db8:1::1", True),
        (["2001:db8::/32"], "[2001:db8:1::1]:443", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["0.0.0.0/0"], "::1", False),
        (["::/0"], "192.0.2.1", False),
        (["0.0.0.0/0"], None, False),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "unix:", False),
        (["not a network"], "192.0.2.1", False),
        ([], "192.0.2.1", False),
    ],
)
def test_networks(networks: Sequence[str] | None, address: str | None, fits: bool) -> None:
    class Row:
        def __init__(self) -> None:
            self.networks = networks

    if fits:
        permissions.check_networks(Row(), address)
    else:
        with pytest.raises(PermissionDeniedError):
            permissions.check_networks(Row(), address)


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "fits"),
    [
        ("gpt-5", "openai", "gpt-5", True),
        ("gpt-5", "openai", "gpt-5-mini", False),
        ("gpt-5*", "openai", "gpt-5-mini", True),
        ("gpt-5*", "openai", "GPT-5-mini", False),
        ("gpt-5*", "openai", "my-gpt-5", False),
        ("*mini", "openai", "gpt-5-mini", True),
        ("*", "openai", "any/thing", True),
        ("openai/*", "openai", "gpt-5", True),
        ("openai/*", "azure", "gpt-5", False),
        ("openai/gpt-5", "openai", "openai/gpt-5", True),
        ("gpt-5", "openai", "openai/gpt-5", True),
        ("gpt-5", "groq", "openai/gpt-5", False),
        ("groq/openai/*", "groq", "openai/gpt-oss-120b", True),
        ("openai/*", "groq", "openai/gpt-oss-120b", False),
        ("anthropic/*", "openrouter", "anthropic/claude", False),
        ("meta-llama/*", "together", "meta-llama/llama-3", True),
        ("groq/compound", "groq", "groq/compound", True),
        ("gpt-?", "openai", "gpt-5", False),
        ("gpt-[45]", "openai", "gpt-5", False),
        ("gpt-[45]", "openai", "gpt-[45]", True),
        ("a*a*a*a*a*a*a*a*a*a*a*a*b", "openai", "a" * 256, False),
    ],
)
def test_patterns_of_models(pattern: str, provider: str, model: str, fits: bool) -> None:
    assert permissions.allows_model([pattern], provider=provider, model=model) is fits
    assert permissions.allows_model(["other", pattern], provider=provider, model=model) is fits
    assert permissions.allows_model(None, provider=provider, model=model)
    assert not permissions.allows_model([], provider=provider, model=model)


def test_a_key_is_bound_to_its_networks_and_a_use_from_elsewhere_is_an_event(gateway: Gateway) -> None:
    client = keyed(gateway, networks=["192.0.2.0/24", "2001:db8::1"])
    for address, status in (("192.0.2.9", 200), ("2001:db8::1", 200), ("198.51.100.1", 403)):
        assert client.get("/v1/files", environ_base={"REMOTE_ADDR": address}).status_code == status
    with gateway.database.read() as connection:
        rows = connection.execute(select(events).where(events.c.operation == "authenticate")).all()
    assert [(row.address, row.status_code, row.outcome) for row in rows] == [("198.51.100.1", 403, "refused")]
    assert client.key not in str(rows)


def test_a_wrong_secret_from_elsewhere_tells_nothing_of_networks(gateway: Gateway) -> None:
    client = keyed(gateway, networks=["192.0.2.0/24"])
    client.key += "x"
    assert client.get("/v1/files").status_code == 401


def test_nothing_new_is_made_at_another_provider(gateway: Gateway, client: KeyClient) -> None:
    bound = keyed(gateway, providers=["openai"])
    form = {"purpose": "user_data", "provider": "local", "file": (io.BytesIO(b"x"), "a.txt")}
    with bound.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        assert refused(answer, "provider")
        assert "openai" in answer.json["error"]["message"]
    new = {"filename": "a.txt", "purpose": "user_data", "bytes": 1, "mime_type": "text/plain", "provider": "local"}
    assert refused(bound.post("/v1/uploads", json=new), "provider")
    assert refused(bound.post("/v1/containers", json={"name": "c", "provider": "local"}), "provider")
    input_id = upload(client, jsonl([chat_line("a")]))
    batch = {"input_file_id": input_id, "endpoint": CHAT, "completion_window": "24h"}
    assert refused(bound.post("/v1/batches", json=batch | {"provider": "local"}), "provider")
    assert refused(bound.post("/v1/batches", json=batch | {"model": "local/m"}), "provider")
    inline = {"requests": [chat_line("a")], "completion_window": "24h", "provider": "local"}
    assert refused(bound.post("/v1/batches", json=inline), "provider")


def test_nothing_is_put_into_a_container_of_another_provider(gateway: Gateway, client: KeyClient) -> None:
    container = client.post("/v1/containers", json={"name": "c", "provider": "local"}).json["id"]
    form = {"purpose": "user_data", "file": (io.BytesIO(b"x"), "a.txt"), "provider": "local"}
    with client.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        file_id = answer.json["id"]
    bound = keyed(gateway, providers=["openai"])
    assert refused(bound.post(f"/v1/containers/{container}/files", json={"file_id": file_id}), "provider")
    form = {"file": (io.BytesIO(b"x"), "a.txt")}
    path = f"/v1/containers/{container}/files"
    with bound.post(path, data=form, content_type="multipart/form-data") as answer:
        assert refused(answer, "provider")
    assert bound.get(path).json["data"] == []


def test_what_is_there_can_be_read_and_deleted_whatever_its_provider(gateway: Gateway, client: KeyClient) -> None:
    form = {"purpose": "user_data", "file": (io.BytesIO(b"x"), "a.txt"), "provider": "local"}
    with client.post("/v1/files", data=form, content_type="multipart/form-data") as answer:
        file_id = answer.json["id"]
    bound = keyed(gateway, providers=["openai"])
    assert bound.get(f"/v1/files/{file_id}").status_code == 200
    assert bound.delete(f"/v1/files/{file_id}").status_code == 200


def test_the_default_provider_is_one_that_the_key_may_use(gateway: Gateway, client: KeyClient) -> None:
    new = {"filename": "a.txt", "purpose": "user_data", "bytes": 1, "mime_type": "text/plain"}
    assert client.post("/v1/uploads", json=new).json["extra_fields"]["provider"] == "openai"
    bound = keyed(gateway, providers=["local"])
    assert bound.post("/v1/uploads", json=new).json["extra_fields"]["provider"] == "local"


def test_a_batch_is_of_an_allowed_endpoint(gateway: Gateway) -> None:
    client = keyed(gateway, endpoints=[EMBEDDINGS])
    wanted = {"input_file_id": upload(client, jsonl([chat_line("a")])), "completion_window": "24h", "provider": "local"}
    answer = client.post("/v1/batches", json=wanted | {"endpoint": CHAT})
    assert refused(answer, "endpoint")
    assert EMBEDDINGS in answer.json["error"]["message"]
    assert refused(client.post("/v1/batches", json={"requests": [chat_line("a")], "provider": "local"}), "endpoint")
    assert client.post("/v1/batches", json=wanted | {"endpoint": EMBEDDINGS}).status_code == 200


def test_a_model_that_is_named_for_the_batch_is_refused_at_once(gateway: Gateway) -> None:
    client = keyed(gateway, models=["small-*"])
    wanted = {"input_file_id": upload(client, jsonl([chat_line("a")])), "completion_window": "24h", "endpoint": CHAT}
    for model in ("local/big", "big"):
        assert refused(client.post("/v1/batches", json=wanted | {"model": model, "provider": "local"}), "model")
    assert client.post("/v1/batches", json=wanted | {"model": "local/small-1"}).status_code == 200


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "big"}, "body.model"),
        ({"model": "local/big"}, "body.model"),
        ({"model": "small-1", "models": ["small-1", "big"]}, "body.models"),
        ({"model": "small-1", "fallbacks": [{"model": "big"}]}, "body.fallbacks[0].model"),
        ({"model": "small-1", "tools": [{"type": "image_generation", "model": "big"}]}, "body.tools[0].model"),
    ],
)
def test_a_line_that_names_another_model_fails_the_batch(
    gateway: Gateway,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
    more: dict[str, Any],
    param: str,
) -> None:
    client = keyed(gateway, models=["small-*"])
    workers.start()
    batch = create(client, jsonl([chat_line("a", **more), chat_line("b", model=more["model"])]), provider="local")
    over = ended(client, batch["id"])
    assert over["status"] == "failed"
    told = [(error["code"], error["line"], error["param"]) for error in over["errors"]["data"]]
    assert told[0] == ("model_not_allowed", 1, param)
    assert not [request for request in fake.requests if request.path.endswith(CHAT.removeprefix("/v1"))]


def test_lines_within_the_models_run(
    gateway: Gateway,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
) -> None:
    client = keyed(gateway, models=["small-*"])
    workers.start()
    # What a line is about may be called a model, too.
    schema = {"type": "object", "properties": {"model": {"type": "string", "default": "big"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    lines = [chat_line("a", model="small-1", metadata={"model": "big"}), chat_line("b", model="small-1", tools=[tool])]
    over = ended(client, create(client, jsonl(lines), provider="local")["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 2)


def test_the_model_of_the_batch_is_asked_whatever_its_lines_name(
    gateway: Gateway,
    workers: Workers,  # noqa: F811
    fake: FakeServer,  # noqa: F811
) -> None:
    client = keyed(gateway, models=["small-*"])
    workers.start()
    batch = create(client, jsonl([chat_line("a", model="big")]), model="small-1", provider="local")
    assert ended(client, batch["id"])["status"] == "completed"
    assert {request.json["model"] for request in fake.requests if request.method == "POST"} == {"small-1"}


def test_lines_are_tried_again_only_with_a_key_that_may_make_them(
    gateway: Gateway,
    client: KeyClient,
    workers: Workers,  # noqa: F811
) -> None:
    workers.start()
    data = jsonl([chat_line("a", "refuse-this", model="small-1")])
    path = f"/v1/batches/{ended(client, create(client, data, provider='local')['id'])['id']}/retry"
    assert refused(keyed(gateway, providers=["openai"]).post(path), "provider")
    assert refused(keyed(gateway, endpoints=[EMBEDDINGS]).post(path), "endpoint")
    again = keyed(gateway, models=["other"]).post(path)
    assert [error["code"] for error in ended(client, again.json["id"])["errors"]["data"]] == ["model_not_allowed"]
    assert ended(client, keyed(gateway, models=["small-*"]).post(path).json["id"])["status"] == "completed"


def test_lists_of_models_have_those_that_the_key_may_use(
    gateway: Gateway,
    client: KeyClient,
    fake: FakeServer,  # noqa: F811
) -> None:
    fake.app.models = ("small-1", "big")
    assert {model["id"] for model in client.get("/v1/models").json["data"]} >= {"small-1", "big"}
    bound = keyed(gateway, models=["local/small-*"])
    assert {model["id"] for model in bound.get("/v1/models").json["data"]} == {"small-1"}
    elsewhere = keyed(gateway, providers=["openai"])
    assert elsewhere.get("/v1/models").json["data"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "owner"),
        ("providers", ["opnai"]),
        ("providers", "openai"),
        ("models", [""]),
        ("models", ["a\nb"]),
        ("models", ["m"] * 201),
        ("endpoints", ["chat"]),
        ("networks", ["10.0.0.0/33"]),
        ("networks", ["localhost"]),
        ("limits", {"wishes": 3}),
        ("limits", {"open_batches": -1}),
        ("limits", ["open_batches"]),
        ("accounts", ["a b"]),
        ("expires_at", 1),
        ("expires_at", True),
        ("description", "x" * 257),
        ("name", "a\0b"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_its_name(gateway: Gateway, field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{field}: ") as caught:
        keys.create(gateway, **{"project": "alpha", "name": "", field: value})
    assert caught.value.param == field
    assert keys.list_(gateway) == []


def test_lists_change_and_empty_ones_allow_all(gateway: Gateway) -> None:
    client = keyed(gateway, providers=["local", "local"], networks=["10.1.2.3/8"])
    key = public_id(client)
    assert keys.retrieve(gateway, key).providers == ["local"]
    assert keys.retrieve(gateway, key).networks == ["10.0.0.0/8"]
    keys.update(gateway, key, providers=["openai"], networks=[])
    changed = keys.retrieve(gateway, key)
    assert (changed.providers, changed.networks, changed.name) == (["openai"], None, "keyed")
    with gateway.database.read() as connection:
        detail = connection.execute(select(events.c.detail).where(events.c.operation == "key_update")).scalar_one()
    assert detail == {"project": "alpha", "providers": ["openai"], "networks": None}
