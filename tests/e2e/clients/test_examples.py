"""The programs in examples/, as a newcomer runs them: with the environment that their texts name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import LiveServer

pytestmark = [pytest.mark.one_database, pytest.mark.timeout(120)]
EXAMPLES = Path(__file__).parents[3] / "examples"
ANSWERS = {"openai_sdk.py": 20, "anthropic_sdk.py": 3}


def test_every_program_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ANSWERS)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_program_prints_an_answer_for_each_request(name: str, live_server: LiveServer, worker: None) -> None:
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": f"{live_server.url}/v1",
        "OPENAI_API_KEY": live_server.key,
        "ANTHROPIC_BASE_URL": f"{live_server.url}/anthropic",
        "ANTHROPIC_API_KEY": live_server.key,
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    head, *answers = done.stdout.splitlines()
    assert head.startswith(("batch_", "msgbatch_"))
    assert len([line for line in answers if " | " in line]) == ANSWERS[name]
