"""A provider with files of its own and a key, and gateways that stand for processes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select

from app.cli import batchgate as command_line
from app.data import tables
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp
from tests.support.statements import sharing

KEY = "xai-first-key-0123456789"
Run = Callable[..., Result]
Process = Callable[..., Gateway]


@pytest.fixture
def xai() -> Iterator[ServedApp]:
    """The fake provider; `xai.app` has its files, jobs and key."""
    with ServedApp(XAIApp(api_key=KEY)) as server:
        yield server


@pytest.fixture
def environment(environment: dict[str, str], xai: ServedApp) -> dict[str, str]:
    """With an account at xai beside the one at `local`."""
    return environment | {"XAI_API_KEY": KEY, "XAI_BASE_URL": xai.base_url}


@pytest.fixture
def run(environment: dict[str, str], gateway: Gateway) -> Run:
    """Runs `batchgate` on the test's store, to which web has applied its environment.

    `environ` adds variables (None takes one away).
    """
    gateway.accounts.providers()

    def invoke(*arguments: str, environ: dict[str, Any] | None = None, **more: Any) -> Result:
        return CliRunner(env=environment).invoke(command_line, arguments, env=environ, catch_exceptions=False, **more)

    return invoke


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[Process]:
    """Builds another gateway on the same store, as a process started with other variables has it; None: unset."""
    built: list[Gateway] = []

    def start(**changes: str | None) -> Gateway:
        full = {name: value for name, value in {**environment, **changes}.items() if value is not None}
        built.append(sharing(build_gateway(from_environment(full), retry_pause_s=0.001)))
        return built[-1]

    yield start
    for gateway in built:
        gateway.database.dispose()


def row(gateway: Gateway, account_id: int) -> Any:
    """The row of an account."""
    with gateway.database.read() as connection:
        return connection.execute(select(tables.accounts).where(tables.accounts.c.id == account_id)).one()


def hold_file(gateway: Gateway, account_id: int, native_id: str) -> None:
    """Note that the account holds a native object."""
    values = {"native_id": native_id, "state": "live", "variant": "raw", "purpose": "batch", "filename": "in.jsonl"}
    with gateway.database.write() as connection:
        connection.execute(insert(tables.native_objects).values(account_id=account_id, created_at=1, **values))
