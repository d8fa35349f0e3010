"""Shells complete what the command line has."""

import shutil
import subprocess

import pytest
from click.testing import CliRunner

from app.cli import batchgate

pytestmark = pytest.mark.one_database


def completed(line: str, shell: str = "bash") -> list[str]:
    words = line.split(" ")
    asked = {"_BATCHGATE_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner(env=asked).invoke(batchgate, [], prog_name="batchgate").stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("batchgate ba", ["plain,backup", "plain,batch", "plain,batches"]),
        ("batchgate batches re", ["plain,results", "plain,retry", "plain,resolve"]),
        ("batchgate containers files up", ["plain,upload"]),
        ("batchgate batches lines --state fa", ["plain,failed"]),
        ("batchgate files download --fo", ["plain,--force"]),
        ("batchgate doctor --u", ["plain,--url"]),
    ],
)
def test_commands_options_and_values_are_completed(line: str, offered: list[str]) -> None:
    assert set(offered) <= set(completed(line))
    assert all(word.partition(",")[2].startswith(line.rpartition(" ")[2]) for word in completed(line))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    done = CliRunner().invoke(batchgate, ["completion", shell], catch_exceptions=False)
    assert (done.exit_code, f"_BATCHGATE_COMPLETE={shell}_complete" in done.stdout) == (0, True)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True, timeout=30)
