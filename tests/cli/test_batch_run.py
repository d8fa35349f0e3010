"""`batchgate batch run`, against the gateway on a real socket."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.cli.client import http
from app.cli.client.watch import watch
from app.cli.shared import profile
from app.cli.shared.progress import Progress
from app.data.batches import workers
from app.engine.embedded import Embedded
from app.services.gateway import Gateway
from app.worker import build_engine
from tests.fakes.openai_server import FakeServer
from tests.support.answering import Answering
from tests.support.server import LiveServer

Run = Callable[..., Result]


@pytest.fixture
def local_base_url() -> Iterator[str]:
    with FakeServer(models=()) as server:
        yield server.base_url


@pytest.fixture
def worker(gateway: Gateway) -> Iterator[Embedded]:
    """A worker in a thread."""
    engine = build_engine(gateway, name="worker")
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()
    yield engine
    engine.stop()
    thread.join(20)


@pytest.fixture
def run(live_server: LiveServer) -> Run:
    """Runs `batchgate batch run` with a key of the live gateway."""
    runner = CliRunner(env={"BATCHGATE_BASE_URL": live_server.url, "BATCHGATE_API_KEY": live_server.key})
    return lambda *arguments: runner.invoke(batchgate, ["batch", "run", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """An input of three lines, one with a body that the provider refuses."""
    path = tmp_path / "questions.jsonl"
    write(path, ["one", "two", "three"])
    return path


def write(path: Path, texts: list[str], **body: object) -> None:
    lines = [
        {
            "custom_id": f"q{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": text}], **body},
        }
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.usefixtures("worker")
def test_a_batch_is_run_and_its_answers_lie_beside_the_input(run: Run, questions: Path) -> None:
    stale = questions.with_name("questions.errors.jsonl")
    stale.write_text("of an earlier run")

    answer = run(questions)

    assert answer.exit_code == 0, answer.output
    assert "3 of 3 lines completed" in answer.stdout
    output = questions.with_name("questions.output.jsonl")
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["custom_id"] for line in answers] == ["q0", "q1", "q2"]
    assert not stale.exists()
    assert sorted(path.name for path in questions.parent.iterdir() if path.is_file() and path.suffix == ".jsonl") == [
        "questions.jsonl",
        "questions.output.jsonl",
    ]


@pytest.mark.usefixtures("worker")
def test_failed_lines_are_told_and_make_the_exit_status_1(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    write(path, ["fine"])
    with path.open("a") as file:
        line = {"custom_id": "bad", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}
        file.write(json.dumps(line) + "\n")

    answer = run(path, "--output", tmp_path / "answers.jsonl")

    assert answer.exit_code == 1, answer.output
    assert "1 of 2 lines completed, 1 failed" in answer.stdout
    assert "bad: " in answer.stderr
    assert json.loads((tmp_path / "answers.errors.jsonl").read_text())["custom_id"] == "bad"


@pytest.mark.usefixtures("worker")
def test_an_input_that_is_not_valid_ends_with_1_and_the_reasons(run: Run, questions: Path) -> None:
    with questions.open("a") as file:
        file.write(questions.read_text().splitlines()[0] + "\n")

    answer = run(questions)

    assert answer.exit_code == 1, answer.output
    assert "failed" in answer.stdout
    assert "line 4: " in answer.stderr


@pytest.mark.usefixtures("worker")
def test_a_batch_can_be_followed_again(run: Run, questions: Path) -> None:
    first = run(questions)
    batch_id = first.stdout.split()[0]
    questions.with_name("questions.output.jsonl").unlink()

    again = run(questions, "--resume", batch_id)

    assert again.exit_code == 0, again.output
    assert questions.with_name("questions.output.jsonl").exists()


def test_a_dry_run_tells_and_leaves_nothing(run: Run, questions: Path, live_server: LiveServer) -> None:
    answer = run(questions, "--dry-run")

    assert answer.exit_code == 0, answer.output
    assert "3 lines" in answer.stdout
    assert "m (3 lines)" in answer.stdout
    assert list(questions.parent.glob("*.output.jsonl")) == []


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("", [], "is empty"),
        ("not json\n", [], "first line"),
        ('{"custom_id": "a"}\n', [], "--endpoint"),
        ('{"url": "/v1/nothing"}\n', [], "endpoint"),
        ('{"url": "/v1/chat/completions"}\n', ["--provider", "nobody"], "nobody"),
        ('{"url": "/v1/chat/completions"}\n', ["--completion-window", "1y"], "completion_window"),
        ('{"url": "/v1/chat/completions"}\n', ["--api-key", "sk-bf-a-b"], "not valid"),
        ('{"url": "/v1/chat/completions"}\n', ["--resume", "batch_none"], "batch_none"),
    ],
)
def test_a_refusal_is_told_in_the_gateways_words(
    run: Run, tmp_path: Path, content: str, options: list[str], told: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(content)

    answer = run(path, *options)

    assert answer.exit_code == 2, answer.output
    assert told in answer.stderr
    assert "Traceback" not in answer.output


def test_a_gateway_that_is_not_there_is_told(questions: Path) -> None:
    runner = CliRunner(env={"BATCHGATE_BASE_URL": "http://127.0.0.1:9", "BATCHGATE_API_KEY": "sk-bf-a-b"})
    answer = runner.invoke(batchgate, ["batch", "run", str(questions)])
    assert answer.exit_code == 2
    assert "No gateway answers at http://127.0.0.1:9" in answer.stderr


def test_the_input_is_never_replaced(run: Run, questions: Path) -> None:
    before = questions.read_bytes()
    answer = run(questions, "--output", questions)
    assert answer.exit_code == 2
    assert questions.read_bytes() == before


def uploads(live_server: LiveServer) -> list[str]:
    headers = {"Authorization": f"Bearer {live_server.key}"}
    return [
        file["id"] for file in requests.get(f"{live_server.url}/v1/files", headers=headers, timeout=30).json()["data"]
    ]


@pytest.mark.parametrize("options", [["--completion-window", "1y"], ["--model", "x" * 300]], ids=["window", "model"])
def test_a_batch_that_is_refused_leaves_no_upload(
    run: Run, questions: Path, live_server: LiveServer, options: list[str]
) -> None:
    answer = run(questions, *options)
    assert answer.exit_code == 2, answer.output
    assert uploads(live_server) == []


class StillError(Exception):
    """Ends a wait that nothing else would end."""


@pytest.mark.one_database
def test_a_batch_without_a_worker_says_so_once(
    run: Run, questions: Path, live_server: LiveServer, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    client = http.Gateway(profile.Profile(live_server.url, live_server.key))
    file_id = client.upload(questions, provider=None, sent=lambda _: None)["id"]
    endpoint = "/v1/chat/completions"
    batch = client.create_batch({"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"})
    polls: list[float] = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) > 20:
            raise StillError

    with pytest.raises(StillError):
        watch(client, batch["id"], progress=Progress(is_shown=False), sleep=sleep)
    assert capsys.readouterr().err.count("No worker") == 1

    with gateway.database.write() as connection:
        workers.register(connection, name="w", host="h", pid=1)
    polls.clear()
    with pytest.raises(StillError):
        watch(client, batch["id"], progress=Progress(is_shown=False), sleep=sleep)
    assert "No worker" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (404, b'{"error": {"message": "Unknown path."}}'),
        (200, b"<html>Welcome</html>"),
        (200, b'{"models": []}'),
        (301, b""),
    ],
)
def test_a_url_that_is_not_a_gateways_is_named_before_anything_is_sent(
    questions: Path, status: int, body: bytes
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with Answering(answer) as server:
        runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
        answer = runner.invoke(batchgate, ["batch", "run", str(questions)])
    assert answer.exit_code == 2
    assert server.url in answer.stderr
    assert "base URL" in answer.stderr or "--base-url" in answer.stderr


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:9", "nothing listens there"),
        ("ftp://127.0.0.1", "must start with http"),
    ],
)
def test_a_gateway_that_is_away_is_told_with_the_reason(questions: Path, url: str, text: str) -> None:
    runner = CliRunner(env={"BATCHGATE_BASE_URL": url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
    answer = runner.invoke(batchgate, ["batch", "run", str(questions)])
    assert (answer.exit_code, text in answer.stderr) == (2, True), answer.output


def test_tls_where_there_is_none_is_named(questions: Path, live_server: LiveServer) -> None:
    url = live_server.url.replace("http://", "https://")
    runner = CliRunner(env={"BATCHGATE_BASE_URL": url, "BATCHGATE_API_KEY": live_server.key})
    answer = runner.invoke(batchgate, ["batch", "run", str(questions)])
    assert answer.exit_code == 2
    assert "does not speak TLS" in answer.stderr and "--base-url" in answer.stderr
