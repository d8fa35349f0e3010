"""What a command of the command line must not import: who asks for a list waits for it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.one_database
DEAR = {
    "structlog",
    "flask",
    "werkzeug",
    "requests",
    "marshmallow",
    "jwt",
    "app.api",
    "app.engine.embedded",
}
PROGRAM = """
import sys
from app.cli import batchgate
try:
    batchgate(sys.argv[1:])
finally:
    print("IMPORTED", *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["keys list", "accounts list", "batches waiting", "--help", "batches --help"])
def test_a_command_imports_nothing_dear_that_it_does_not_use(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()], env=environment, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.partition("IMPORTED ")[2].split())
    assert "app.cli" in imported
    assert imported & DEAR == set()
