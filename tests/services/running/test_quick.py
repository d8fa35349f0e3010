"""A batch on an input that was found right while it arrived starts at once; any other one is read as a whole."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from app.blobs.local import LocalBlobs
from app.data.tables import batch_lines, blobs
from app.services.gateway import Gateway
from app.services.lines.index import LineIndex
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.support import stored
from tests.support.batches import CHAT, chat_line, create, jsonl, retrieve, upload
from tests.support.keyed import keyed
from tests.support.working import settle

LINES = 2000
HUGE = jsonl(chat_line(f"c{number}", "x" * 1500) for number in range(LINES))
INLINE = [chat_line("a"), chat_line("b")]
ODD = ["\t", "a\nb", 'say "x"', "\\N", "é👍\u2028", "%s", ":x", "[1]"]


class CountingBlobs(LocalBlobs):
    """The gateway's store, which counts the bytes that are read from it."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(stored.local(gateway).root)
        self.bytes_read = 0

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for data in super().stream(key, offset=offset, length=length):
            self.bytes_read += len(data)
            yield data


def facts_of_inputs(gateway: Gateway) -> list[dict[str, Any] | None]:
    with gateway.database.read() as connection:
        statement = select(blobs.c.input_facts).where(blobs.c.state == "live").order_by(blobs.c.id)
        return list(connection.execute(statement).scalars())


def expected(data: bytes, *, max_lines: int = 10_000) -> dict[str, Any] | None:
    index = LineIndex(max_lines=max_lines)
    index.write(data)
    index.finish()
    return index.facts


def planned(gateway: Gateway, client: KeyClient, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch when there is nothing more to plan."""
    work = BatchWork(gateway, worker="worker")
    while work.plan():
        pass
    return retrieve(client, batch["id"])


def rows(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(batch_lines).order_by(batch_lines.c.batch_id, batch_lines.c.line)))


def forget(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(blobs).values(input_facts=None))


def codes(batch: dict[str, Any]) -> list[str]:
    return [error["code"] for error in batch["errors"]["data"]] if batch["errors"] else []


def test_only_the_first_lines_are_read_before_a_batch_runs(gateway: Gateway, client: KeyClient) -> None:
    counting = CountingBlobs(gateway)
    batch = create(client, HUGE)
    work = BatchWork(replace(gateway, blobs=counting), worker="worker")
    assert work.plan()
    assert retrieve(client, batch["id"])["status"] == "in_progress"
    assert 0 < counting.bytes_read < len(HUGE) / 4
    assert work.claim(skip=()) is not None
    while work.plan():
        pass
    assert counting.bytes_read < len(HUGE) * 1.2  # no line is read twice, but those that a piece has cut


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_rows_are_those_that_reading_the_whole_input_gives(gateway: Gateway, client: KeyClient, end: bytes) -> None:
    data = b"\xef\xbb\xbf\n\n" + HUGE.replace(b"\n", b"\n\n", 3).replace(b"\n", end or b"\n").removesuffix(end or b"\n")
    planned(gateway, client, create(client, data))
    quick = [row[1:] for row in rows(gateway)]
    planned(gateway, client, create(client, data))
    forget(gateway)
    batch = planned(gateway, client, create(client, data))
    whole = [row[1:] for row in rows(gateway)][len(quick) * 2 :]
    assert quick == whole
    assert batch["request_counts"]["total"] == len(quick) == LINES


def test_ids_with_odd_characters_are_kept(gateway: Gateway, client: KeyClient) -> None:
    planned(gateway, client, create(client, jsonl(chat_line(custom_id) for custom_id in ODD)))
    assert [row.custom_id for row in rows(gateway)] == ODD
    forget(gateway)
    planned(gateway, client, create(client, jsonl(chat_line(custom_id) for custom_id in ODD)))
    assert [row.custom_id for row in rows(gateway)] == ODD * 2


@pytest.mark.parametrize("way", ["upload", "parts", "inline", "inline-without-url", "retry"])
def test_however_an_input_came_its_facts_are_those_of_its_bytes(gateway: Gateway, client: KeyClient, way: str) -> None:
    if way == "upload":
        upload(client, jsonl(INLINE))
    elif way == "parts":
        in_parts(client, [jsonl(INLINE[1:]), jsonl(INLINE[:1])])
    else:
        requests = [{**each, "url": None} for each in INLINE] if "without" in way else INLINE
        body = {"requests": requests, "endpoint": CHAT, "completion_window": "24h"}
        batch = client.post("/v1/batches", json=body).json
        if way == "retry":
            planned(gateway, client, batch)
            assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
            settle(BatchWork(gateway, worker="worker"))
            assert client.post(f"/v1/batches/{batch['id']}/retry").status_code == 200
    found = 0
    with gateway.database.read() as connection:
        for row in connection.execute(select(blobs).where(blobs.c.state == "live", blobs.c.input_facts.is_not(None))):
            data = b"".join(gateway.blobs.stream(row.key))
            assert row.input_facts == expected(data) is not None
            found += 1
    assert found == (2 if way == "retry" else 1)


def in_parts(client: KeyClient, parts: list[bytes]) -> None:
    """Send the parts in another order than the file has them."""
    size = sum(map(len, parts))
    fields = {"filename": "in.jsonl", "purpose": "batch", "bytes": size, "mime_type": "application/jsonl"}
    made = client.post("/v1/uploads", json=fields).json
    ids = [
        client.post(
            f"/v1/uploads/{made['id']}/parts",
            data={"data": (io.BytesIO(part), "part")},
            content_type="multipart/form-data",
        ).json["id"]
        for part in parts
    ]
    done = client.post(f"/v1/uploads/{made['id']}/complete", json={"part_ids": ids[::-1]})
    assert done.status_code == 200, done.text


@pytest.mark.parametrize(
    ("lines", "fields", "code"),
    [
        ([chat_line("a"), chat_line("a")], {}, "duplicate_custom_id"),
        ([chat_line("a"), chat_line("b", model="n")], {}, "mismatched_model"),
        ([chat_line("a", model=None)], {}, "invalid_request"),
        ([chat_line("a", url="/v1/embeddings")], {}, "invalid_url"),
        ([chat_line("a"), chat_line("b", url="/v1/embeddings")], {}, "invalid_url"),
        ([chat_line("a"), chat_line("b", stream=True)], {}, "streaming_unsupported"),
    ],
    ids=("same-id", "two-models", "no-model", "other-url", "two-urls", "stream"),
)
def test_what_a_batch_cannot_run_fails_it_as_ever(
    gateway: Gateway, client: KeyClient, lines: list[dict[str, Any]], fields: dict[str, Any], code: str
) -> None:
    batch = planned(gateway, client, create(client, jsonl(lines), **fields))
    assert (batch["status"], codes(batch)) == ("failed", [code])


def test_a_model_of_the_batch_stands_for_those_of_the_lines(gateway: Gateway, client: KeyClient) -> None:
    lines = [chat_line("a"), chat_line("b", model="n"), chat_line("c", model=None)]
    batch = planned(gateway, client, create(client, jsonl(lines), model="one"))
    assert (batch["status"], batch["model"], batch["request_counts"]["total"]) == ("in_progress", "one", 3)


def test_models_are_checked_against_those_of_the_key_on_each_line(gateway: Gateway) -> None:
    client = keyed(gateway, models=["m"])
    file_id = upload(client, jsonl([chat_line("a"), chat_line("b", fallbacks=["n"])]))
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    batch = planned(gateway, client, client.post("/v1/batches", json=body).json)
    assert (batch["status"], codes(batch)) == ("failed", ["model_not_allowed"])


def test_files_that_lines_name_are_looked_up_in_each_line(gateway: Gateway, client: KeyClient) -> None:
    part = {"type": "file", "file": {"file_id": "file-of-nobody"}}
    named = chat_line("b", messages=[{"role": "user", "content": [part]}])
    batch = planned(gateway, client, create(client, jsonl([chat_line("a"), named])))
    assert (batch["status"], len(codes(batch))) == ("failed", 1)


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ({"max_line_bytes": 100}, "line_too_long"),
        ({"max_input_lines": 2}, "too_many_lines"),
        ({"max_batch_lines": 1}, "maximum_requests_exceeded"),
    ],
)
def test_limits_that_were_lowered_since_hold(
    gateway: Gateway, client: KeyClient, limit: dict[str, int], code: str
) -> None:
    batch = create(client, jsonl([chat_line("a"), chat_line("b")]) + b"\n\n")
    changed = replace(gateway, settings=replace(gateway.settings, **limit))
    over = planned(changed, client, batch)
    assert over["status"] == "failed" and set(codes(over)) == {code}


def test_bytes_that_were_lost_since_are_noticed(gateway: Gateway, client: KeyClient) -> None:
    batch = create(client, jsonl([chat_line("a"), chat_line("b"), chat_line("c")]))
    [path] = [path for path in (gateway.settings.home / "blobs").rglob("*") if path.is_file() and path.stat().st_size]
    path.write_bytes(path.read_bytes()[:-20])
    assert planned(gateway, client, batch)["status"] == "failed"


def test_what_other_code_found_is_found_again(gateway: Gateway, client: KeyClient) -> None:
    batch = create(client, jsonl([chat_line("a"), chat_line("a")]))
    [stored] = [expected(jsonl([chat_line("a"), chat_line("b")]))]
    assert stored is not None
    with gateway.database.write() as connection:
        connection.execute(update(blobs).values(input_facts={**stored, "rules": "another"}))
    assert codes(planned(gateway, client, batch)) == ["duplicate_custom_id"]


def test_facts_are_not_shown_to_callers(client: KeyClient) -> None:
    file_id = upload(client, jsonl(INLINE))
    assert "facts" not in client.get(f"/v1/files/{file_id}").text
