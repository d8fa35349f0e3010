"""`batchgate files` and `batchgate containers`, the commands of a client."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.cli.client.saving import safe_name
from app.services.gateway import Gateway
from tests.support.answering import Answering
from tests.support.server import LiveServer
from tests.support.web import application

pytestmark = pytest.mark.one_database
Run = Callable[..., Result]
MIB = 2**20


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and one to remember uploads in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


def test_a_file_goes_up_is_found_comes_down_and_is_deleted(run: Run, here: Path) -> None:
    (here / "notes.txt").write_bytes(b"remember\n" * 1000)
    file_id = run("files", "upload", "notes.txt", "--purpose", "user_data", "--expires-after", "24h").stdout.strip()

    shown = json.loads(run("files", "show", file_id, "--json").stdout)
    assert (shown["filename"], shown["purpose"], shown["bytes"]) == ("notes.txt", "user_data", 9000)
    assert shown["expires_at"] == shown["created_at"] + 86_400
    assert file_id in run("files", "list", "--purpose", "user_data").stdout
    assert "notes.txt" in run("files", "show", file_id).stdout
    refused = run("files", "download", file_id)
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    (here / "folder").mkdir()
    saved = json.loads(run("files", "download", file_id, "--output", "folder", "--json").stdout)
    assert saved == {
        "path": "folder/notes.txt",
        "bytes": 9000,
        "sha256": hashlib.sha256((here / "notes.txt").read_bytes()).hexdigest(),
        "checked": True,
    }
    assert run("files", "download", file_id, "--output", "-").stdout_bytes == (here / "notes.txt").read_bytes()
    assert sorted(path.name for path in (here / "folder").iterdir()) == ["notes.txt"]
    assert run("files", "delete", file_id).exit_code == 0
    assert run("files", "delete", file_id).exit_code == 2


class Interrupting:
    """The gateway, which gets Ctrl-C to its client when the second part arrives."""

    def __init__(self, gateway: Gateway) -> None:
        self.served = application(gateway)
        self.parts = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].endswith("/parts"):
            self.parts += 1
            if self.parts == 2:
                os.kill(os.getpid(), signal.SIGINT)
        return self.served(environ, start_response)


def test_an_upload_in_parts_goes_on_where_it_was_interrupted(
    gateway: Gateway, live_server: LiveServer, here: Path
) -> None:
    content = os.urandom(2 * MIB) + b"end"
    (here / "large.bin").write_bytes(content)
    words = ["files", "upload", "large.bin", "--purpose", "user_data", "--part-size", "1", "--json"]
    served = Interrupting(gateway)
    with LiveServer(served) as server:
        runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": live_server.key})
        first = runner.invoke(batchgate, words)
        assert (first.exit_code, "again" in first.stderr) == (130, True)
        served.parts = 10
        second = runner.invoke(batchgate, words)
        assert second.exit_code == 0, second.output
        assert "Going on with upload" in second.stderr
        assert served.parts == 12  # the first of three was not sent again
        third = runner.invoke(batchgate, words)  # a finished one is not remembered
        assert (third.exit_code, served.parts) == (0, 15)
    made = json.loads(second.stdout)
    assert made["bytes"] == len(content)
    saved = runner.invoke(
        batchgate,
        ["files", "download", made["id"], "--output", "back.bin"],
        env={"BATCHGATE_BASE_URL": live_server.url},
    )
    assert saved.exit_code == 0, saved.output
    assert (here / "back.bin").read_bytes() == content


def test_an_upload_that_is_over_at_the_gateway_begins_anew(run: Run, here: Path, tmp_path: Path) -> None:
    (here / "large.bin").write_bytes(os.urandom(MIB + 1))
    words = ("files", "upload", "large.bin", "--purpose", "user_data", "--part-size", 1)
    memory = tmp_path / "state" / "batchgate" / "uploads"
    assert run(*words).exit_code == 0
    assert list(memory.iterdir()) == []
    assert memory.stat().st_mode & 0o077 == 0
    memory.chmod(0o500)
    assert run(*words).exit_code == 0
    memory.chmod(0o700)


class Store:
    """A gateway that has one file, and cuts its first answers off."""

    def __init__(self, content: bytes, *, name: str = "answers.jsonl", cuts: Iterable[int] = (), sha: str = "") -> None:
        self.content, self.name, self._cuts = content, name, iter(cuts)
        self.etag = f'"{sha or hashlib.sha256(content).hexdigest()}"'
        self.asked: list[str | None] = []
        self.keys: list[str | None] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.keys.append(handler.headers["Authorization"])
        if not handler.path.endswith("/content"):
            self._send(handler, 200, json.dumps({"id": "file-1", "filename": self.name}).encode())
        elif handler.command == "HEAD":
            self._send(handler, 200, self.content)
        else:
            asked = handler.headers["Range"]
            self.asked.append(asked)
            start = int(asked[6:-1]) if asked else 0
            self._send(handler, 206 if asked else 200, self.content[start:], start, next(self._cuts, None))

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, start: int = 0, cut: int | None = None
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", self.etag)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[:cut])
        handler.close_connection = cut is not None


@pytest.fixture
def fetch() -> Callable[..., Result]:
    """Runs `batchgate files download` at a store."""

    def run(store: Callable[[BaseHTTPRequestHandler], None], *words: str) -> Result:
        with Answering(store) as server:
            runner = CliRunner(env={"BATCHGATE_BASE_URL": server.url, "BATCHGATE_API_KEY": "sk-bf-a-b"})
            return runner.invoke(batchgate, ["files", "download", "file-1", *words])

    return run


def test_a_download_that_is_cut_off_goes_on_and_is_checked(fetch: Callable[..., Result], here: Path) -> None:
    store = Store(os.urandom(300_000), cuts=[200_000])
    done = fetch(store)
    assert done.exit_code == 0, done.output
    assert (here / "answers.jsonl").read_bytes() == store.content
    assert store.asked == [None, "bytes=196608-"]
    assert [path.name for path in here.iterdir()] == ["answers.jsonl"]


def test_what_an_earlier_command_fetched_is_used_if_it_is_of_the_same_content(
    fetch: Callable[..., Result], here: Path
) -> None:
    store = Store(os.urandom(200_000))
    (here / ".file-1.part").write_bytes(store.content[:150_000])
    assert fetch(store).exit_code == 0
    assert store.asked == ["bytes=150000-"]

    (here / ".file-1.part").write_bytes(b"of something else")
    refused = fetch(store, "--force")
    assert (refused.exit_code, "SHA-256" in refused.stderr) == (2, True)
    assert (here / "answers.jsonl").read_bytes() == store.content
    assert fetch(store, "--force").exit_code == 0
    assert [path.name for path in here.iterdir()] == ["answers.jsonl"]


def test_bytes_with_another_digest_are_not_kept(fetch: Callable[..., Result], here: Path) -> None:
    done = fetch(Store(b"altered", sha="0" * 64))
    assert (done.exit_code, "SHA-256" in done.stderr, list(here.iterdir())) == (2, True, [])


@pytest.mark.parametrize("kind", ["link", "hard link", "folder"])
def test_a_planted_file_is_never_written_through(fetch: Callable[..., Result], here: Path, kind: str) -> None:
    victim = here.parent / "victim"
    victim.write_text("mine")
    part = here / ".file-1.part"
    {"link": lambda: part.symlink_to(victim), "hard link": lambda: part.hardlink_to(victim), "folder": part.mkdir}[
        kind
    ]()
    done = fetch(Store(b"other"))
    assert (done.exit_code, victim.read_text(), (here / "answers.jsonl").exists()) == (2, "mine", False)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\win.ini", "win.ini"),
        ("..", "file-1"),
        ("", "file-1"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a\x1b[31m\nb\u202e", "a_[31m_b_"),
        ("folder/", "folder"),
        ("ä" * 300 + ".txt", "ä" * 100),
        ("\ud800.txt", "_.txt"),
        (None, "file-1"),
    ],
)
def test_names_of_servers_stay_in_the_folder(name: str | None, safe: str) -> None:
    assert safe_name(name, instead="file-1") == safe


def test_a_name_of_the_server_is_made_safe_before_it_is_used(fetch: Callable[..., Result], here: Path) -> None:
    assert fetch(Store(b"x", name="../../outside\x1b.txt")).stdout == "outside_.txt\n"
    assert [path.name for path in here.iterdir()] == ["outside_.txt"]


def test_a_bucket_that_content_is_fetched_from_never_gets_the_key(fetch: Callable[..., Result], here: Path) -> None:
    bucket = Store(b"from the bucket")
    with Answering(bucket) as server:
        front = Store(b"from the bucket")

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            if handler.command == "GET" and handler.path.endswith("/content"):
                handler.send_response(302)
                handler.send_header("Location", f"{server.url}/signed/content")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            else:
                front(handler)

        done = fetch(redirect)
    assert done.exit_code == 0, done.output
    assert (here / "answers.jsonl").read_bytes() == b"from the bucket"
    assert bucket.keys == [None]
    assert set(front.keys) == {"Bearer sk-bf-a-b"}


def test_containers_and_the_files_in_them(run: Run, here: Path) -> None:
    made = run("containers", "create", "reports", "--minutes", 5, "--memory", "4g")
    assert made.exit_code == 0, made.output
    container = made.stdout.strip()
    assert json.loads(run("containers", "show", container, "--json").stdout)["memory_limit"] == "4g"
    assert container in run("containers", "list", "--name", "reports").stdout

    (here / "table.csv").write_text("a,b\n")
    file_id = run("containers", "files", "upload", container, "table.csv").stdout.strip()
    assert file_id in run("containers", "files", "list", container).stdout
    assert "table.csv" in run("containers", "files", "show", container, file_id).stdout
    assert (here / run("containers", "files", "download", container, file_id).stdout.strip()).read_text() == "a,b\n"
    assert run("containers", "files", "download", container, file_id).exit_code == 2  # it is there already
    assert run("containers", "files", "download", container, file_id, "--output", "back.csv").exit_code == 0
    assert (here / "back.csv").read_text() == "a,b\n"
    assert run("containers", "files", "delete", container, file_id).exit_code == 0
    assert run("containers", "files", "list", container, "--json").stdout == "[]\n"
    assert run("containers", "delete", container).exit_code == 0
    assert run("containers", "show", container).exit_code == 2
