"""docs/management.md says what is so: its table of routes, and its examples, which are run in order."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from app.services.gateway import Gateway
from tests.api.management.conftest import Run
from tests.conftest import KeyClient
from tests.support.web import application

pytestmark = pytest.mark.one_database

PAGE = Path(__file__).resolve().parents[3] / "docs" / "management.md"
URL = "http://localhost"
# The id of a key in examples; the first key that they make has another one.
KEY_ID = "0f3c9a1b2d4e5f60"


def blocks() -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def send(admin: KeyClient, command: str) -> Any:
    """The answer to a `curl` command."""
    words = shlex.split(command.replace("\\\n", " ").replace("$BATCHGATE_URL", URL).replace("$ADMIN_KEY", admin.key))
    assert words.pop(0) == "curl" and words.pop(0) == "-s"
    # What curl says of a body unless it is told otherwise.
    method, url, headers, body = "", "", {"Content-Type": "application/x-www-form-urlencoded"}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
        else:
            assert word.startswith(URL), word
            url = word.removeprefix(URL)
    answer = admin.open(url, method=method or ("POST" if body else "GET"), headers=headers, data=body)
    assert answer.status_code == 200, (command, answer.text)
    return answer.json


def assert_has(found: Any, wanted: Any, path: str = "") -> None:
    """`found` has all of `wanted`; "..." is anything but null."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict), path
        for key, value in wanted.items():
            assert key in found, f"{path}.{key}"
            assert_has(found[key], value, f"{path}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), path
        for number, value in enumerate(wanted):
            assert_has(found[number], value, f"{path}[{number}]")
    elif wanted == "...":
        assert found is not None, path
    else:
        assert found == wanted, path


def test_the_examples_answer_as_the_page_says(admin: KeyClient, run: Run) -> None:
    key_id, answer, ran = KEY_ID, None, 0
    for language, text in blocks():
        if language == "json":
            if answer is not None and "value" in answer and key_id == KEY_ID:
                key_id = answer["id"]
            assert_has(answer, json.loads(text.replace(KEY_ID, key_id)))
            answer = None
        elif text.startswith("curl"):
            assert answer is None, "each answer is shown"
            answer = send(admin, text.replace(KEY_ID, key_id))
            ran += 1
        else:
            for line in text.splitlines():
                told = run(*shlex.split(line)[1:])
                assert told.exit_code == 0, (line, told.output)
                ran += 1
    assert ran >= 14


def test_the_table_has_every_route(gateway: Gateway) -> None:
    told = set(re.findall(r"^\| (GET|POST|PUT|DELETE) (/api/\S+) \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    app = application(gateway)
    have = {
        (method, re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule).replace("{key_id}", "{id}"), _operation(app, rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == have


def _operation(app: Any, rule: Any) -> str:
    return str(app.view_functions[rule.endpoint].request_type)
