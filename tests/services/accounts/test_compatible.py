"""Providers by configuration alone: declared or probed."""

import json
from collections.abc import Iterator

import pytest

from app.connectors.catalogue import probe
from app.connectors.catalogue.probe import AbilityError
from app.connectors.contract.abilities import BATCHES, FILES, Support
from app.connectors.providers.openai.lines import OpenAICompatible
from app.services.gateway import Caller, Gateway
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.services.accounts.conftest import Process, Run

pytestmark = pytest.mark.one_database

KEY = "mycorp-key-0123456789"


@pytest.fixture
def plain() -> Iterator[FakeServer]:
    """A server with lines only: it answers 404 to files and batches."""
    with FakeServer(api_key=KEY) as server:
        yield server


@pytest.fixture
def full() -> Iterator[ServedApp]:
    """A server with files and batches of its own."""
    with ServedApp(OpenAIProviderApp(api_key=KEY)) as server:
        yield server


def add(run: Run, url: str, *options: str, name: str = "default"):
    words = ("accounts", "add", "mycorp", "--compatible", "--name", name, "--base-url", url, "--key-stdin")
    return run(*words, *options, input=KEY)


def test_undeclared_abilities_are_emulated(run: Run, process: Process, plain: FakeServer) -> None:
    answer = add(run, plain.base_url)

    assert answer.stdout.strip() == "Account mycorp/default is added. It has files emulated, batches emulated."
    accounts = process().accounts
    assert accounts.is_known("mycorp")
    assert "mycorp" in accounts.providers()
    account = accounts.of("mycorp")
    assert isinstance(account.connector, OpenAICompatible)
    assert {account.abilities.support(name) for name in (*FILES, *BATCHES)} == {Support.EMULATED}
    assert accounts.abilities("mycorp") == account.abilities
    assert accounts.abilities("mycorp").support("container_create") is Support.NONE
    assert run("accounts", "test", "mycorp").exit_code == 0


def test_a_probe_tells_a_server_with_lines_only_from_one_with_batches(
    run: Run, plain: FakeServer, full: ServedApp
) -> None:
    assert "files emulated, batches emulated" in add(run, plain.base_url, "--probe").stdout
    run("accounts", "remove", "mycorp")
    full_answer = add(run, full.base_url, "--probe")
    assert "files native, batches native" in full_answer.stdout, full_answer.output


@pytest.mark.parametrize("status", [401, 403, 405])
def test_a_refusal_in_json_says_that_it_is_there(run: Run, plain: FakeServer, status: int) -> None:
    plain.faults.add(Fault(status=status, body=b'{"error": {"message": "no"}}'))
    assert "files native, batches native" in add(run, plain.base_url, "--probe").stdout


@pytest.mark.parametrize(
    "fault",
    [Fault(status=200, body=b"<html>", content_type="text/html"), Fault(status=500), Fault(reset=True)],
    ids=["html", "500", "reset"],
)
def test_an_answer_that_tells_nothing_is_told_and_nothing_is_added(run: Run, plain: FakeServer, fault: Fault) -> None:
    plain.faults.add(fault)
    answer = add(run, plain.base_url, "--probe")

    assert answer.exit_code == 2
    assert "The provider failed" in answer.stderr
    assert json.loads(run("accounts", "list", "--json").stdout)[-1]["provider"] == "xai"


def test_the_accounts_of_one_provider_agree(run: Run, plain: FakeServer, full: ServedApp, process: Process) -> None:
    add(run, plain.base_url)
    other = add(run, plain.base_url, "--ability", "batches=none", name="b")
    same = add(run, plain.base_url, name="c")
    # Known by now, so that the word is no longer needed.
    short = run("accounts", "add", "mycorp", "--name", "d", "--base-url", plain.base_url)

    assert (other.exit_code, "have files=emulated, batches=emulated" in other.stderr) == (2, True)
    assert (same.exit_code, short.exit_code) == (0, 0), short.output
    assert process().accounts.names("mycorp") == ["c", "d", "default"]


def test_a_compatible_provider_is_in_the_matrix(run: Run, plain: FakeServer) -> None:
    add(run, plain.base_url, "--ability", "batches=none")
    rows = {line.split()[0]: line.split() for line in run("providers").stdout.splitlines() if line}

    assert rows["mycorp"][1:3] == ["EEEEE", "------"]


def test_the_gateway_lists_its_models(gateway: Gateway, caller: Caller, run: Run, plain: FakeServer) -> None:
    from app.services.accounts import models

    add(run, plain.base_url)
    gateway.accounts.reread()
    assert "mycorp" in {model.provider for model in models.list_(gateway, caller)}


@pytest.mark.parametrize(
    ("declared", "whole"),
    [
        ({}, {"files": "emulated", "batches": "emulated"}),
        ({"batches": "native"}, {"files": "native", "batches": "native"}),
        ({"files": "native"}, {"files": "native", "batches": "emulated"}),
        ({"batches": "none"}, {"files": "emulated", "batches": "none"}),
    ],
)
def test_declared_abilities_are_made_whole(declared: dict[str, str], whole: dict[str, str]) -> None:
    assert probe.declared(declared) == whole


@pytest.mark.parametrize("declared", [{"files": "emulated", "batches": "native"}, {"files": "none"}, {"files": "yes"}])
def test_abilities_that_do_not_go_together_are_refused(declared: dict[str, str]) -> None:
    with pytest.raises(AbilityError):
        probe.declared(declared)


def test_native_batches_have_the_limits_of_openai() -> None:
    shape = probe.shape({"files": "native", "batches": "native"})

    assert shape.abilities.support("batch_create") is Support.NATIVE
    assert shape.abilities.support("batch_delete") is Support.EMULATED
    assert (shape.abilities.jobs.lines, shape.abilities.jobs.bytes) == (50_000, 200 * 2**20)
    assert "/v1/chat/completions" in shape.abilities.endpoints("provider")
