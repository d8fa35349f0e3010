"""Ids that stand in queries, bodies, lines and headers, and keys of repeated requests."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.isolation.asking import never
from tests.e2e.isolation.test_walk import VARIES, World, leaks, plain
from tests.e2e.isolation.world import Names, batch, begun, canary, new_client, post, upload
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, TERMINAL
from tests.support.waiting import until
from tools.docs.access import ELSEWHERE

Ask = Callable[[KeyClient, Names, Names], TestResponse]
KINDS = ("kept", "native", "outside")
WINDOW = {"endpoint": CHAT, "completion_window": "24h", "provider": "local"}


def _lines(kind: str) -> Ask:
    def ask(client: KeyClient, own: Names, other: Names) -> TestResponse:
        cursor = other.batch.replace("batch_", "batch_req_") + "-1"
        return client.get(f"/v1/batches/{own.batch}/{kind}", query_string={"after": cursor})

    return ask


def _complete(client: KeyClient, own: Names, other: Names) -> TestResponse:
    return client.post(f"/v1/uploads/{own.upload}/complete", json={"part_ids": [other.part]})


# Each asks with things of the caller's own, but for one id.
ASKED: dict[tuple[str, str], Ask] = {
    ("batch_create", "input_file_id"): lambda client, _, other: client.post(
        "/v1/batches", json={"input_file_id": other.source, **WINDOW}
    ),
    ("batch_create", "webhook"): lambda client, own, other: client.post(
        "/v1/batches", json={"input_file_id": own.source, **WINDOW, "webhook": other.webhook_endpoint}
    ),
    ("batch_list", "after"): lambda client, _, other: client.get("/v1/batches", query_string={"after": other.batch}),
    ("batch_lines", "after"): _lines("lines"),
    ("batch_results", "after"): _lines("results"),
    ("container_create", "file_ids"): lambda client, own, other: client.post(
        "/v1/containers", json={"name": "box", "provider": "local", "file_ids": [own.file, other.file]}
    ),
    ("container_file_create", "file_id"): lambda client, own, other: client.post(
        f"/v1/containers/{own.container}/files", json={"file_id": other.file}
    ),
    ("container_file_list", "after"): lambda client, own, other: client.get(
        f"/v1/containers/{own.container}/files", query_string={"after": other.container_file}
    ),
    ("container_list", "after"): lambda client, _, other: client.get(
        "/v1/containers", query_string={"after": other.container}
    ),
    ("webhook_endpoint_list", "after"): lambda client, _, other: client.get(
        "/v1/webhook_endpoints", query_string={"after": other.webhook_endpoint}
    ),
    ("webhook_delivery_list", "after"): lambda client, _, other: client.get(
        "/v1/webhook_deliveries", query_string={"after": other.webhook_delivery}
    ),
    ("webhook_delivery_list", "endpoint_id"): lambda client, _, other: client.get(
        "/v1/webhook_deliveries", query_string={"endpoint_id": other.webhook_endpoint}
    ),
    ("webhook_delivery_list", "batch_id"): lambda client, _, other: client.get(
        "/v1/webhook_deliveries", query_string={"batch_id": other.batch}
    ),
    ("file_list", "after"): lambda client, _, other: client.get("/v1/files", query_string={"after": other.file}),
    ("upload_complete", "part_ids"): _complete,
}


def lines_of(names: Names) -> Names:
    """With the id of a line in place of its batch's, as answers would repeat it."""
    return replace(names, batch=names.batch.replace("batch_", "batch_req_"))


def test_an_id_of_another_project_is_refused_as_one_that_never_was(world: World) -> None:
    alpha, beta = world
    assert set(ASKED) == {(operation, field.strip("`")) for operation, field, _ in ELSEWHERE}
    for operation, field, status in ELSEWHERE:
        ask = ASKED[operation, field.strip("`")]
        for kind in KINDS:
            own, other = getattr(beta, "native" if kind == "outside" else kind), getattr(alpha, kind)
            stranger = never(other)
            answer, known = ask(beta.client, own, other), ask(beta.client, own, stranger)
            assert (answer.status_code, known.status_code) == (status, status), (operation, field, answer.text)
            assert leaks(answer, alpha, other) == [], answer.text
            assert shown(answer, other) == shown(known, stranger), (operation, field)


def shown(answer: TestResponse, sent: Names) -> str:
    return plain(answer, sent).replace(lines_of(sent).batch, "<line>")


def test_an_idempotency_key_of_another_project_means_nothing(sparse: World) -> None:
    alpha, beta = sparse
    headers = {"Idempotency-Key": "the-same-in-both"}
    again = alpha.client.post("/v1/batches", json=batch("alpha"), headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    own = beta.client.post("/v1/batches", json=batch("beta"), headers=headers)
    assert (own.status_code, own.headers["Idempotent-Replayed"]) == (200, "true")
    assert own.json["id"] != again.json["id"]
    # The very request of alpha, word for word, under a key that only alpha has used.
    only = {"Idempotency-Key": "of-alpha"}
    form = {"filename": "a.txt", "purpose": "user_data", "bytes": 1, "mime_type": "text/plain"}
    first = alpha.client.post("/v1/uploads", json=form, headers=only)
    second = beta.client.post("/v1/uploads", json=form, headers=only)
    assert second.status_code == 200
    assert "Idempotent-Replayed" not in second.headers
    assert first.json["id"] not in second.text
    assert leaks(second, alpha, alpha.kept) == []


def test_a_key_of_its_own_project_does_not_open_a_route_of_another_path(sparse: World) -> None:
    """The same key, with the path of a batch that is alpha's: nothing is stored, and nothing is told."""
    alpha, beta = sparse
    only = {"Idempotency-Key": "retry"}
    alpha.client.post(f"/v1/batches/{alpha.kept.batch}/retry", json={}, headers=only)
    answer = beta.client.post(f"/v1/batches/{alpha.kept.batch}/retry", json={}, headers=only)
    assert answer.status_code == 404
    assert leaks(answer, alpha, alpha.kept) == []


@pytest.fixture
def working(workers: Workers, world: World) -> Iterator[World]:
    """The world with a worker at work again."""
    workers.start()
    yield world
    workers.stop()


def outcome(client: KeyClient, names: Names, provider: str) -> tuple[str, str]:
    """How a batch ends whose line names a file and a container of somebody's, and what is said of the line.

    An error may repeat the name that the line itself gives.
    """
    content = [{"type": "input_file", "file_id": names.file}, {"type": "input_text", "text": "hi"}]
    tools = [{"type": "code_interpreter", "container": names.container}]
    body = {"model": "gpt-4o", "input": [{"role": "user", "content": content}], "tools": tools}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": body}
    asked = {"requests": [line], "endpoint": "/v1/responses", "provider": provider}
    made = post(client, "/v1/batches", json=asked)["id"]
    until(lambda: client.get(f"/v1/batches/{made}").json["status"] in TERMINAL)
    over = client.get(f"/v1/batches/{made}").json
    errors = over["errors"] or client.get(f"/v1/files/{over['error_file_id']}/content").text
    assert over["request_counts"]["completed"] == 0
    said = str(errors).replace(made.partition("_")[2], "")
    for name in (names.file, names.container):
        said = said.replace(name, "NAME")
    return over["status"], VARIES.sub("", said)


def test_a_line_that_names_what_is_of_another_project_does_not_run(
    working: World, fake: FakeServer, server: ServedApp
) -> None:
    alpha, beta = working
    for at in (fake, server):
        at.forget()
    for provider in ("local", "openai"):
        for kind in KINDS:
            other = getattr(alpha, kind)
            told, known = (outcome(beta.client, names, provider) for names in (other, never(other)))
            assert told == known
            assert [word for word in (alpha.canary, *alpha.ids) if word in told[1]] == []
    sent = b"".join(request.body for at in (fake, server) for request in at.requests)
    assert [name for name in alpha.ids if name.encode() in sent] == []


def test_bytes_that_both_have_are_each_project_s_own(sparse: World) -> None:
    """The same bytes may be one blob or one native object; neither project can tell, and a deletion takes its own."""
    alpha, beta = sparse
    for provider in ("local", "openai"):
        names = [
            upload(one.client, "same.txt", b"the same bytes", purpose="user_data", provider=provider) for one in sparse
        ]
        told = [one.client.get(f"/v1/files/{name}") for one, name in zip(sparse, names, strict=True)]
        assert names[0] not in told[1].text
        assert beta.client.delete(f"/v1/files/{names[1]}").status_code == 200
        assert alpha.client.get(f"/v1/files/{names[0]}/content").data == b"the same bytes"
        assert leaks(told[1], alpha, replace(alpha.kept, file=names[0])) == []


def test_headers_that_name_a_project_or_an_account_open_nothing(sparse: World, gateway: Gateway) -> None:
    alpha, beta = sparse
    for header, values in {"x-bf-project": (f"{canary('alpha')}-project", "no-such-project")}.items():
        answers = [beta.client.get("/v1/files", headers={header: value}) for value in values]
        assert len({answer.status_code for answer in answers}) == 1
        assert [leak for leak in leaks(answers[0], alpha, alpha.kept) if leak != canary("alpha")] == []
        found = beta.client.get(f"/v1/files/{alpha.kept.file}", headers={header: values[0]})
        assert found.status_code in (401, 403, 404)


def test_an_upload_takes_no_part_of_another_project(sparse: World, gateway: Gateway) -> None:
    alpha, beta = sparse
    pending, part = begun(beta.client, "beta")
    for parts in ([alpha.kept.part], [part, alpha.kept.part]):
        answer = beta.client.post(f"/v1/uploads/{pending}/complete", json={"part_ids": parts})
        assert answer.status_code == 400, answer.text
    form = {"data": (io.BytesIO(b"x"), "part")}
    assert beta.client.post(f"/v1/uploads/{alpha.kept.upload}/parts", data=form).status_code == 404
    done = alpha.client.post(f"/v1/uploads/{alpha.kept.upload}/complete", json={"part_ids": [alpha.kept.part]})
    assert done.json["file"]["bytes"] == len(f"{alpha.canary} part")


def test_keys_of_one_project_share_what_it_has(sparse: World, gateway: Gateway) -> None:
    alpha, _ = sparse
    viewer: Any = new_client(gateway, "alpha", role="viewer")
    assert viewer.get(f"/v1/files/{alpha.kept.file}/content").status_code == 200
    assert viewer.post("/v1/batches", json=batch("alpha")).status_code == 403
