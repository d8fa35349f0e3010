"""`batchgate batches`, the commands of a client."""

import json
import os
import signal
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.cli.client import watch as watching
from app.cli.client.http import Gateway as Client
from app.cli.shared.profile import Profile
from app.cli.shared.progress import Progress
from app.services.gateway import Caller, Gateway
from tests.cli.client.conftest import started
from tests.support.answering import Answering
from tests.support.batch_states import RunningBatch
from tests.support.keyed import KeyClient
from tests.support.server import LiveServer

pytestmark = pytest.mark.one_database
Run = Callable[..., Result]
ESCAPES = "\x1b]0;mine\x07\x9b31m\u202egnp"


def send(handler: BaseHTTPRequestHandler, body: dict[str, Any], *, status: int = 200) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def test_batches_are_listed_page_by_page_and_shown(
    run: Run, client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    made = [started(client, gateway, caller).id for _ in range(3)]

    table = run("batches", "list", "--limit", 2)
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == [made[2], made[1]]
    assert f"--after {made[1]}" in table.stderr
    rest = run("batches", "list", "--limit", 2, "--after", made[1], "--json")
    assert ([batch["id"] for batch in json.loads(rest.stdout)], rest.stderr) == ([made[0]], "")
    assert len(json.loads(run("batches", "list", "--all", "--status", "in_progress", "--json").stdout)) == 3
    assert json.loads(run("batches", "list", "--status", "failed", "--json").stdout) == []

    shown = run("batches", "show", made[0])
    assert "in_progress: 0 of 5 lines (0%)" in shown.stdout
    assert json.loads(run("batches", "show", made[0], "--json").stdout)["id"] == made[0]


def test_lines_are_listed_by_state_and_page(run: Run, running: RunningBatch) -> None:
    running.answer([1, 3])
    running.answer([2], state="failed", status_code=400)

    first = run("batches", "lines", running.id, "--limit", 2, "--json")
    ids = [line["id"] for line in json.loads(first.stdout)]
    assert f"--after {ids[-1]}" in first.stderr
    rest = json.loads(run("batches", "lines", running.id, "--after", ids[-1], "--all", "--json").stdout)
    assert [line["custom_id"] for line in rest] == ["r3", "r4", "r5"]
    failed = run("batches", "lines", running.id, "--state", "failed")
    assert [line.split()[:3] for line in failed.stdout.splitlines()[1:]] == [["2", "r2", "failed"]]


def test_errors_are_counted_by_code(run: Run, running: RunningBatch) -> None:
    running.answer([1, 3], state="failed", status_code=400)
    running.end("expired")

    groups = json.loads(run("batches", "errors", running.id, "--json").stdout)
    assert sorted((group["state"], group["lines"], group["custom_id"]) for group in groups) == [
        ("expired", 3, "r2"),
        ("failed", 2, "r1"),
    ]
    assert len(run("batches", "errors", running.id).stdout.splitlines()) == 3


def test_results_are_streamed_or_written_as_one_whole_file(run: Run, running: RunningBatch, tmp_path: Path) -> None:
    running.answer([2, 1])
    output = tmp_path / "answers.jsonl"

    printed = run("batches", "results", running.id).stdout
    assert [json.loads(line)["custom_id"] for line in printed.splitlines()] == ["r1", "r2"]
    assert run("batches", "results", running.id, "--output", output).exit_code == 0
    assert output.read_text() == printed
    output.write_text("mine")
    refused = run("batches", "results", running.id, "--output", output)
    assert (refused.exit_code, output.read_text(), "--force" in refused.stderr) == (2, "mine", True)
    assert run("batches", "results", running.id, "--output", output, "--force").exit_code == 0
    assert output.read_text() == printed
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_stream_that_is_cut_off_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    padding = "x" * 16_000
    lines = [json.dumps({"id": f"l{number}", "custom_id": padding}).encode() + b"\n" for number in range(9)]
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/v1/batches?limit=1":
            send(handler, {"object": "list", "data": []})
            return
        asked.append(handler.path)
        rest = b"".join(lines[4:] if "after=l3" in handler.path else lines)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest if len(asked) > 1 else b"".join(lines[:7]) + lines[7][:5])
        handler.close_connection = True

    output = tmp_path / "answers.jsonl"
    with Answering(answer) as server:
        runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
        done = runner.invoke(batchgate, ["batches", "results", "batch_1", "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert output.read_bytes() == b"".join(lines)
    assert asked == ["/v1/batches/batch_1/results", "/v1/batches/batch_1/results?after=l3"]


@pytest.mark.parametrize(
    ("failed", "ending", "status"),
    [([], "completed", 0), ([5], "completed", 1), ([], "expired", 4), ([], "cancelled", 5)],
)
def test_watch_ends_as_the_batch_did(
    run: Run, running: RunningBatch, failed: list[int], ending: str, status: int
) -> None:
    running.answer([line for line in (1, 2, 3, 4, 5) if line not in failed])
    if failed:
        running.answer(failed, state="failed", status_code=400)
    running.end(ending)

    watched = run("batches", "watch", running.id)
    assert (watched.exit_code, ending in watched.stdout) == (status, True)
    lines = run("batches", "watch", running.id, "--json").stdout.splitlines()
    assert [json.loads(line)["status"] for line in lines] == [ending]


def test_watch_says_how_fast_it_goes_and_why_it_waits(
    live_server: LiveServer, running: RunningBatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = iter(
        [
            lambda: running.answer([1]),
            lambda: None,
            lambda: running.answer([2, 3, 4, 5]),
            lambda: running.end("completed"),
        ]
    )
    seen: list[dict[str, Any]] = []
    client = Client(Profile(live_server.url, live_server.key))
    ended = watching.watch(
        client, running.id, progress=Progress(err=False), sleep=lambda _: next(steps)(), look=seen.append
    )
    assert watching.exit_status(ended) == 0
    counts = [batch["request_counts"]["completed"] for batch in seen]
    assert counts == [0, 1, 1, 5, 5]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "in_progress: 0 of 5 lines (0%)"
    assert printed[-1] == "completed: 5 of 5 lines (100%)"


def test_ctrl_c_leaves_the_batch_alone_and_says_how_to_go_on(running: RunningBatch) -> None:
    asked: list[str] = []

    def interrupt(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        os.kill(os.getpid(), signal.SIGINT)
        handler.connection.recv(1)  # until the command has gone

    with Answering(interrupt) as server:
        runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
        done = runner.invoke(batchgate, ["batches", "watch", running.id])
    assert (done.exit_code, asked) == (130, ["GET"])
    assert f"batchgate batches watch {running.id}" in done.stderr


def test_a_batch_is_cancelled_and_its_lines_are_tried_again(run: Run, running: RunningBatch) -> None:
    assert json.loads(run("batches", "cancel", running.id, "--json").stdout)["status"] == "cancelling"
    running.answer([1])
    running.end("cancelled")

    new = run("batches", "retry", running.id)
    assert new.exit_code == 0, new.output
    assert json.loads(run("batches", "show", new.stdout.strip(), "--json").stdout)["retry_of"] == running.id
    elsewhere = run("batches", "retry", running.id, "--model", "large", "--priority", 2, "--finish-by", "8h", "--json")
    made = json.loads(elsewhere.stdout)
    assert (made["model"], made["priority"], made["request_counts"]["completed"]) == ("large", 2, 0), made
    cloned = json.loads(run("batches", "clone", running.id, "--completion-window", "1h", "--json").stdout)
    assert cloned["completion_window"] == "1h"
    again = run("batches", "cancel", running.id)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "cancelled" in again.stderr


def test_a_batch_is_paused_goes_on_and_is_steered(run: Run, running: RunningBatch) -> None:
    assert json.loads(run("batches", "pause", running.id, "--json").stdout)["paused_at"] is not None
    assert "paused_by_user" in run("batches", "show", running.id).stdout
    assert json.loads(run("batches", "resume", running.id, "--json").stdout)["paused_at"] is None

    words = ("--priority", 5, "--concurrency", 3, "--finish-by", "8h", "--not-before", "1h", "--json")
    changed = json.loads(run("batches", "set", running.id, *words).stdout)
    assert (changed["priority"], changed["concurrency"]) == (5, 3)
    assert changed["finish_by"] - changed["not_before"] in (25_199, 25_200, 25_201)
    cleared = run("batches", "set", running.id, "--concurrency", "none", "--not-before", "none", "--json")
    assert [json.loads(cleared.stdout)[name] for name in ("priority", "concurrency", "not_before")] == [5, None, None]
    assert run("batches", "set", running.id).exit_code == 2
    for option, value in (("--finish-by", "soon"), ("--concurrency", "0"), ("--priority", "11")):
        assert run("batches", "set", running.id, option, value).exit_code == 2


def test_no_text_of_others_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    batch = {
        "id": "batch_1",
        "status": "in_progress",
        "request_counts": {"total": 1, "completed": 0, "failed": 0},
        "created_at": 1e300,
        "metadata": {"k": ESCAPES},
        "waiting_on": {"reason": "paused", "message": ESCAPES},
    }
    line = {"id": "l1", "custom_id": ESCAPES, "error": {"message": ESCAPES}}
    bodies = {
        "/v1/batches/batch_1": (200, batch),
        "/v1/batches": (200, {"data": [{**batch, "model": ESCAPES}]}),
        "/v1/batches/batch_2": (404, {"error": {"message": ESCAPES}}),
        "/v1/batches/batch_1/lines": (200, {"data": [{**line, "line": 1, "state": "failed", "error_code": ESCAPES}]}),
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status, body = bodies[handler.path.partition("?")[0]]
        send(handler, body, status=status)

    with Answering(answer) as server:
        runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
        for words in ("list", "list --json", "show batch_1", "show batch_1 --json", "show batch_2", "errors batch_1"):
            done = runner.invoke(batchgate, ["batches", *words.split()])
            assert not set("\x1b\x07\x9b\u202e") & set(done.output), words
            assert "gnp" in done.output, words


@pytest.mark.parametrize(
    "words",
    [
        "batches list",
        "batches show b",
        "batches results b --output x",
        "containers list",
        "files upload questions.jsonl",
        "files download file-1 --output x",
    ],
)
def test_a_gateway_that_is_not_there_is_named_at_once(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("questions.jsonl").write_text("{}\n")
    runner = CliRunner(env={"BATCHGATE_BASE_URL": "http://127.0.0.1:9", "BATCHGATE_API_KEY": "sk-bf-a-b"})
    done = runner.invoke(batchgate, words.split())
    assert (done.exit_code, "nothing listens there" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["questions.jsonl"]


@pytest.mark.parametrize("batch", ["..", "a\nb", ""])
def test_what_is_no_id_is_refused_before_anything_is_sent(batch: str) -> None:
    runner = CliRunner(env={"BATCHGATE_BASE_URL": "http://127.0.0.1:9", "BATCHGATE_API_KEY": "sk-bf-a-b"})
    done = runner.invoke(batchgate, ["batches", "cancel", batch])
    assert (done.exit_code, "is not an id" in done.stderr) == (2, True)
