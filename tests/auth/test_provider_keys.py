"""A provider's own key as a credential: off by default, verified before anything is written, used for nobody else."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug import Request

import app as batchgate
from app.auth.attempts import Attempts
from app.connectors.catalogue import registry
from app.connectors.catalogue.providers import PROVIDERS
from app.connectors.contract.base import Target
from app.connectors.contract.errors import UpstreamError
from app.data.tables import accounts, events, files, metadata, native_objects, projects, virtual_keys
from app.services.access import keys
from app.services.accounts import admin
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.web import application

OPERATORS = "sk-operators-own-key-0123456789"
ANN = "sk-anns-own-key-at-the-provider-0123456789"
BOB = "sk-bobs-own-key-at-the-provider-0123456789"
BAD = "sk-nobodys-key-at-the-provider-0123456789"
LONG_AGO = 1


class App(OpenAIProviderApp):
    """A provider with several keys that are good."""

    good = frozenset({OPERATORS, ANN, BOB})

    def is_authorized(self, request: Request) -> bool:
        return key_of(request.headers.get("Authorization", "")) in self.good


def key_of(header: str) -> str:
    return header.removeprefix("Bearer ")


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[ServedApp]:
    """The provider on its socket."""
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "OPENAI_API_KEY": OPERATORS,
        "OPENAI_BASE_URL": server.base_url,
        "BATCHGATE_ALLOW_PROVIDER_KEYS": "true",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_LOG_LEVEL": "debug",
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    yield found
    found.stop()


def holder(gateway: Gateway, key: str, provider: str | None = "openai") -> KeyClient:
    """A client that sends `key` and names its provider."""
    flask_app = application(gateway)
    flask_app.test_client_class = KeyClient
    client = flask_app.test_client()
    assert isinstance(client, KeyClient)
    client.key = key
    if provider is not None:
        client.environ_base["HTTP_X_MODEL_PROVIDER"] = provider
    return client


def used(server: ServedApp) -> set[str]:
    """The keys that the provider has seen since it forgot."""
    return {key_of(request.headers.get("authorization", "")) for request in server.requests}


def counts(gateway: Gateway) -> list[int]:
    """Rows of projects, keys and accounts."""
    with gateway.database.read() as connection:
        tables = (projects, virtual_keys, accounts, events, files)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def account_of(gateway: Gateway) -> Any:
    """The newest account of a caller."""
    statement = select(accounts).where(accounts.c.source == "caller").order_by(accounts.c.id.desc())
    with gateway.database.read() as connection:
        return connection.execute(statement).first()


def age(gateway: Gateway, **values: Any) -> None:
    """Set columns of all accounts of callers."""
    with gateway.database.write() as connection:
        connection.execute(update(accounts).where(accounts.c.source == "caller").values(**values))


def user_file(client: KeyClient) -> Any:
    form = {"purpose": "user_data", "file": (io.BytesIO(b"a note"), "note.txt")}
    return client.post("/v1/files", data=form)


def test_it_is_off_unless_the_operator_allows_it(environment: dict[str, str], server: ServedApp) -> None:
    del environment["BATCHGATE_ALLOW_PROVIDER_KEYS"]
    gateway = batchgate.build_gateway(from_environment(environment))
    refused = holder(gateway, ANN).get("/v1/files")
    assert refused.status_code == 401 and refused.json["error"]["code"] == "invalid_api_key"
    assert used(server) == set()
    gateway.database.dispose()


def test_a_key_that_its_provider_knows_opens_a_project_of_its_own(gateway: Gateway, server: ServedApp) -> None:
    ann, bob = holder(gateway, ANN), holder(gateway, BOB)
    made = user_file(ann)
    assert made.status_code == 200, made.text
    assert used(server) == {ANN}
    path = f"/v1/files/{made.json['id']}"
    assert [ann.get(path).status_code, bob.get(path).status_code] == [200, 404]
    assert [len(client.get("/v1/files").json["data"]) for client in (ann, bob)] == [1, 0]
    with gateway.database.read() as connection:
        names = connection.execute(select(projects.c.name)).scalars().all()
        kinds = connection.execute(select(virtual_keys.c.kind, virtual_keys.c.role)).all()
    assert len(names) == 2 and all(len(name) == 53 and name.startswith("provider-key-") for name in names)
    assert [tuple(kind) for kind in kinds] == [("provider", "member")] * 2


def test_a_bad_key_leaves_nothing_and_is_answered_as_any(gateway: Gateway, server: ServedApp) -> None:
    gateway.accounts.providers()  # those of the environment are rows from now on
    before = counts(gateway)
    refused = holder(gateway, BAD).get("/v1/files")
    wrong = holder(gateway, "sk-bf-0123456789abcdef-nobody").get("/v1/files")
    assert refused.status_code == wrong.status_code == 401
    assert refused.json["error"]["message"] == wrong.json["error"]["message"]
    assert counts(gateway) == before
    assert used(server) == {BAD}
    asked = len(server.requests)
    assert holder(gateway, BAD).get("/v1/files").status_code == 401
    assert len(server.requests) == asked  # not asked about again so soon


@pytest.mark.parametrize(
    "provider",
    [
        None,
        "",
        "local",
        "ollama",
        "vllm",
        "huggingface",
        "elevenlabs",
        "azure",
        "bedrock",
        "vertex",
        "fireworks",
        "x\x7f",
    ],
)
def test_where_no_such_keys_are_taken_nobody_is_asked(
    gateway: Gateway, server: ServedApp, provider: str | None
) -> None:
    assert holder(gateway, ANN, provider).get("/v1/files").status_code == 401
    assert used(server) == set()


@pytest.mark.parametrize(
    "key",
    [
        "default",
        "short",
        "x" * 600,
        '{"type":"service_account","token_uri":"https://evil.example"}',
        "two words of a key",
    ],
)
def test_what_is_no_word_of_a_key_is_sent_nowhere(gateway: Gateway, server: ServedApp, key: str) -> None:
    assert holder(gateway, key).get("/v1/files").status_code == 401
    assert used(server) == set()


def test_the_account_of_a_caller_is_chosen_for_nobody_else(gateway: Gateway, server: ServedApp) -> None:
    assert user_file(holder(gateway, ANN)).status_code == 200
    own = account_of(gateway)
    alpha = holder(gateway, keys.create(gateway, project="alpha", name="a").key)
    for _ in range(10):
        server.forget()
        assert user_file(alpha).status_code == 200
        assert used(server) == {OPERATORS}
    named = {"x-bf-api-key": own.name}
    form = {"purpose": "user_data", "file": (io.BytesIO(b"a note"), "note.txt")}
    assert alpha.post("/v1/files", data=form, headers=named).status_code == 400
    admin.set_enabled(gateway, provider="openai", name="env", enabled=False)
    server.forget()
    assert user_file(alpha).status_code == 400
    assert alpha.get("/v1/models").json["data"] == []
    assert gateway.accounts.names("openai") == []
    assert [trial.name for trial in admin.try_out(gateway, provider="openai")] == ["env"]
    assert ANN not in used(server)


def test_a_caller_uses_no_account_of_the_operator(gateway: Gateway, server: ServedApp) -> None:
    ann = holder(gateway, ANN)
    assert user_file(ann).status_code == 200
    assert ann.get("/v1/models").status_code == 200
    form = {"purpose": "user_data", "file": (io.BytesIO(b"a note"), "note.txt")}
    assert ann.post("/v1/files", data=form, headers={"x-bf-api-key": "env"}).status_code == 200
    assert used(server) == {ANN}
    body = {"name": "c", "provider": "local"}
    assert ann.post("/v1/containers", json=body).status_code == 400  # it names two providers


def test_a_batch_runs_at_the_account_of_its_caller_to_its_end(
    gateway: Gateway, server: ServedApp, workers: Workers
) -> None:
    workers.start()
    ann = holder(gateway, ANN)
    batch = create(ann, jsonl(chat_line(f"c{n}", model="gpt-5-nano") for n in range(3)))
    over = ended(ann, batch["id"])
    assert over["status"] == "completed" and len(read(ann, over["output_file_id"])) == 3
    assert used(server) == {ANN}


def test_a_key_is_kept_while_work_needs_it_and_then_forgotten(gateway: Gateway, server: ServedApp) -> None:
    ann = holder(gateway, ANN)
    made = user_file(ann).json
    age(gateway, verified_at=LONG_AGO)
    admin.retire_due(gateway)
    assert account_of(gateway).retired_at is None  # its file is at the provider
    assert ann.delete(f"/v1/files/{made['id']}").status_code == 200
    with gateway.database.write() as connection:  # as the sweeper does after a while
        connection.execute(update(native_objects).values(state="deleted"))
    admin.retire_due(gateway)
    assert account_of(gateway).retired_at is None  # seen just now
    age(gateway, verified_at=LONG_AGO)
    admin.retire_due(gateway)
    assert account_of(gateway).retired_at is not None
    age(gateway, retired_at=LONG_AGO)
    assert admin.retire_due(gateway) == 1
    gone = account_of(gateway)
    assert (gone.sealed_credential, gone.fingerprint) == (None, None)
    # Whoever comes back has the same project, and an account that is made anew.
    assert [file["id"] for file in ann.get("/v1/files").json["data"]] == []
    assert user_file(ann).status_code == 200
    assert account_of(gateway).id != gone.id
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(virtual_keys)).scalar_one() == 1


def test_a_key_that_its_provider_no_longer_knows_opens_nothing(gateway: Gateway, app: App) -> None:
    ann = holder(gateway, ANN)
    assert ann.get("/v1/files").status_code == 200
    app.good = frozenset({OPERATORS})
    age(gateway, verified_at=LONG_AGO)
    assert ann.get("/v1/files").status_code == 401


def test_a_key_is_verified_once_in_a_while(gateway: Gateway, server: ServedApp) -> None:
    ann = holder(gateway, ANN)
    assert all(ann.get("/v1/files").status_code == 200 for _ in range(10))
    assert len(server.requests) == 1
    age(gateway, verified_at=LONG_AGO)
    assert all(ann.get("/v1/files").status_code == 200 for _ in range(10))
    assert len(server.requests) == 2


def test_a_provider_that_is_away_ends_no_key_that_was_good(gateway: Gateway, server: ServedApp) -> None:
    ann = holder(gateway, ANN)
    assert ann.get("/v1/files").status_code == 200
    age(gateway, verified_at=LONG_AGO)
    server.faults.add(Fault(status=500, times=1000))
    assert ann.get("/v1/files").status_code == 200
    new = holder(gateway, BOB).get("/v1/files")
    assert new.status_code == 502 and new.json["is_bifrost_error"] is False
    with gateway.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(projects)).scalar_one() == 1


@pytest.mark.parametrize("end", ["revoke", "disable", "archive"])
def test_an_operator_ends_it_as_any_key(gateway: Gateway, end: str) -> None:
    ann = holder(gateway, ANN)
    assert ann.get("/v1/files").status_code == 200
    (row,) = keys.list_(gateway)
    if end == "revoke":
        keys.revoke(gateway, row.public_id)
    elif end == "disable":
        admin.set_enabled(gateway, provider="openai", name=account_of(gateway).name, enabled=False)
    else:
        with gateway.database.write() as connection:
            connection.execute(update(projects).values(archived_at=1))
    assert ann.get("/v1/files").status_code == 401


def test_it_manages_nothing_and_names_no_other_project(gateway: Gateway) -> None:
    keys.create(gateway, project="alpha", name="a")
    ann = holder(gateway, ANN)
    assert ann.get("/api/projects").status_code == 401
    assert ann.get("/v1/files", headers={"x-bf-project": "alpha"}).status_code == 403


def test_the_key_itself_is_in_no_row_and_no_log(gateway: Gateway, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert user_file(holder(gateway, ANN)).status_code == 200
    assert holder(gateway, BAD).get("/v1/files").status_code == 401
    with gateway.database.read() as connection:
        everything = "".join(str(connection.execute(select(table)).all()) for table in metadata.sorted_tables)
    written = capfdbinary.readouterr().err.decode()
    assert "file_upload" in written and "provider_key.refused" in written
    for key in (ANN, BAD):
        assert key not in everything and key not in written


def test_many_new_keys_at_once_are_told_to_come_again(gateway: Gateway) -> None:
    class Full(Attempts):
        def place(self):  # type: ignore[no-untyped-def]
            from contextlib import nullcontext

            return nullcontext(False)

    ann = holder(replace(gateway, attempts=Full()), ANN)
    busy = ann.get("/v1/files")
    assert busy.status_code == 503 and busy.headers["Retry-After"]
    assert holder(gateway, ANN).get("/v1/files").status_code == 200
    age(gateway, verified_at=LONG_AGO)
    assert ann.get("/v1/files").status_code == 200  # known, so it need not wait


@pytest.mark.parametrize("name", [entry.name for entry in PROVIDERS if entry.callers_keys])
def test_each_provider_that_takes_them_is_really_asked(name: str) -> None:
    entry = registry.find(name)
    assert entry is not None and not entry.keyless and entry.base_url.startswith("https://")
    target = Target(name, "http://127.0.0.1:9", credential=ANN, abilities=entry.abilities, options=entry.options)
    connector = registry.load(target)
    with pytest.raises(UpstreamError):
        connector.check()
    connector.close()
