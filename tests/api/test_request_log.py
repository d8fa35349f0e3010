"""The log line of a request: one name for its id, a reason for each refusal, and no noise from polls."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import logs
from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamError
from app.errors import GatewayError
from app.lib.threads.episodes import MAX_EPISODES, Episodes
from app.services.gateway import Gateway
from app.services.provider_errors import translated
from tests.conftest import KeyClient

pytestmark = pytest.mark.one_database
APP = Path(__file__).resolve().parents[2] / "app"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_LOG_LEVEL": "info"}


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_refusal_has_a_reason_and_the_id_that_the_caller_got(
    client: KeyClient, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    answer = client.get("/v1/files?limit=nonsense")
    (line,) = lines(capfd)
    assert (line["event"], line["status"], line["level"]) == ("file_list", 400, "info")
    assert line["request_id"] == answer.headers["x-request-id"] == answer.json["event_id"]
    assert line["reason"] == answer.json["error"]["message"]


def test_polls_are_logged_only_when_they_fail(client: KeyClient, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for path in ("/healthz", "/readyz", "/keycheck", "/v1/batches"):
        assert client.get(path).status_code == 200
    assert lines(capfd) == []
    assert client.get("/v1/batches/batch_nope").status_code == 404
    assert [line["event"] for line in lines(capfd)] == ["batch_retrieve"]


def test_the_id_of_a_request_has_one_name_in_all_log_lines() -> None:
    calls = re.compile(r"\blog\b[\w.()]*\((?:[^()]|\([^()]*\))*?\brequest=")
    assert [path.name for path in APP.rglob("*.py") if calls.search(path.read_text())] == []


def failing(gateway: Gateway, error: UpstreamError | None) -> None:
    with translated(gateway, provider="local", account="env"):
        if error is not None:
            raise error


def test_the_log_has_the_beginning_and_the_end_of_an_episode(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
) -> None:
    quiet = replace(gateway, log=logs.get_logger(), episodes=Episodes())
    capfd.readouterr()
    for _ in range(3):
        with pytest.raises(GatewayError):
            failing(quiet, OverloadedError("Too busy: sk-0123456789abcdef.", status=503))
        with pytest.raises(GatewayError):
            failing(quiet, RefusedError("No.", status=400))  # the caller's mistake
    failing(quiet, None)
    failing(quiet, None)
    begin, end = lines(capfd)
    assert (begin["event"], begin["level"]) == ("provider.failing", "warning")
    assert begin["reason"] == "Too busy: [redacted]"
    assert (end["event"], end["account"]) == ("provider.recovered", "env")


def test_episodes_of_another_kind_are_news_and_their_number_is_bounded() -> None:
    episodes = Episodes()
    assert [episodes.failed("a"), episodes.failed("a"), episodes.failed("a", "full")] == [True, False, True]
    assert [episodes.worked("a"), episodes.worked("a"), episodes.failed("a")] == [True, False, True]
    for number in range(MAX_EPISODES):
        episodes.failed(number)
    assert episodes.failed("a")
