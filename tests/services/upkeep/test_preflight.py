"""What a release and a worker find out before they start."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.auth.secrets import SealError
from app.cli import batchgate
from app.data.batches import workers
from app.data.store.database import Database, DatabaseUrlError
from app.services.access import keys
from app.services.accounts.add import NewAccount, add
from app.services.gateway import Gateway
from app.services.upkeep import preflight
from app.settings import SettingsError, from_environment
from app.wiring import SECRET_FILE, build_gateway
from app.worker import serve

Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate` on the test's store; `environ` adds variables."""

    def invoke(*arguments: str, **environ: str | None) -> Result:
        return CliRunner(env=environment).invoke(batchgate, arguments, env=environ, catch_exceptions=False)

    return invoke


def test_a_release_that_lacks_nothing_succeeds(run: Run) -> None:
    answer = run("release")
    assert (answer.exit_code, "web and worker can start" in answer.stderr) == (0, True), answer.output


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("BATCHGATE_SECRET_KEY", "another", "The key ring in BATCHGATE_SECRET_KEY does not belong to this store"),
        ("BATCHGATE_BLOB_URL", "file:///proc/none/blobs", "The blob store file:///proc/none/blobs cannot be used"),
        ("BATCHGATE_BLOB_URL", "ftp://bucket", "BATCHGATE_BLOB_URL must be file:///path"),
        ("BATCHGATE_DEFAULT_PROVIDER", "nonesuch", "BATCHGATE_DEFAULT_PROVIDER names a provider that does not exist"),
        ("BATCHGATE_JWT_ISSUERS", "{not json", "BATCHGATE_JWT_ISSUERS"),
        ("LOCAL_BASE_URL", "ftp://x", "LOCAL_BASE_URL must be a URL"),
        ("OPENAI_API_KEY", "two words", "OPENAI_API_KEY must be one word"),
        (
            "VERTEX_CREDENTIALS",
            '{"type": "service_account"}',
            "The account vertex/env of the environment cannot be used: The key of a service account must have",
        ),
        ("PORT", "many", "PORT must be an integer"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL must be a URL such as"),
        ("DATABASE_URL", "postgresql://[::1/x", "DATABASE_URL must be a URL such as"),
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL must be sqlite or postgresql"),
        ("BATCHGATE_LISTEN_URL", "postgresql://x:many/y", "BATCHGATE_LISTEN_URL must be a URL such as"),
        ("BATCHGATE_LISTEN_URL", "sqlite:///x", "BATCHGATE_LISTEN_URL must be postgresql, not sqlite"),
        ("DATABASE_URL", "postgresql+nodriver://x/y", "DATABASE_URL cannot be used"),
    ],
)
def test_what_web_and_worker_would_lack_stops_the_release(
    run: Run, gateway: Gateway, variable: str, value: str, text: str
) -> None:
    keys.create(gateway, project="p", name="")
    answer = run("release", **{variable: value})
    assert (answer.exit_code, text in answer.stderr) == (2, True), answer.output
    assert "Traceback" not in answer.output


def test_several_things_that_are_missing_are_all_named(run: Run, gateway: Gateway) -> None:
    keys.create(gateway, project="p", name="")
    answer = run("release", BATCHGATE_SECRET_KEY="another", BATCHGATE_BLOB_URL="file:///proc/none/blobs")
    assert "does not belong to this store" in answer.stderr
    assert "cannot be used" in answer.stderr


def test_one_account_that_no_key_opens_does_not_stop_the_others(run: Run, gateway: Gateway) -> None:
    add(gateway, NewAccount("openai", name="old", credential="sk-0123456789"))
    with gateway.database.write() as connection:
        connection.exec_driver_sql("UPDATE accounts SET fingerprint = 'x', sealed_credential = sealed_credential")
        connection.exec_driver_sql("UPDATE accounts SET id = id + 100")  # a secret is bound to its row
    answer = run("release")
    assert answer.exit_code == 0
    assert "Warning: account openai/old cannot be used" in answer.stderr


def test_a_worker_with_another_ring_refuses_to_start_in_one_sentence(
    run: Run, gateway: Gateway, environment: dict[str, str]
) -> None:
    keys.create(gateway, project="p", name="")
    wrong = build_gateway(from_environment(environment | {"BATCHGATE_SECRET_KEY": "another"}))
    with pytest.raises(SealError, match="does not belong to this store"):
        serve(wrong)
    wrong.database.dispose()
    with gateway.database.read() as connection:
        assert workers.newest_age_ms(connection) is None
    answer = run("worker", BATCHGATE_SECRET_KEY="another")
    assert answer.exit_code == 2
    assert [line for line in answer.stderr.splitlines() if line.startswith("Error: ")] == [
        "Error: The key ring in BATCHGATE_SECRET_KEY does not belong to this store, since none of its keys opens the "
        "store's secrets: use the ring that the other processes have, or restore it from the backup."
    ]


def test_a_ring_that_has_the_key_among_others_is_the_stores(gateway: Gateway, environment: dict[str, str]) -> None:
    keys.create(gateway, project="p", name="")
    both = build_gateway(from_environment(environment | {"BATCHGATE_SECRET_KEY": "another,secret-of-the-tests"}))
    preflight.require_ring(both)
    both.database.dispose()


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    """A store of its own, with a key file and a secret under that key."""
    environment = {"BATCHGATE_HOME": str(tmp_path / "var"), "BATCHGATE_LOG_LEVEL": "error"}
    assert CliRunner(env=environment).invoke(batchgate, ["release"]).exit_code == 0
    made = CliRunner(env=environment).invoke(batchgate, ["keys", "create", "--project", "p"])
    assert made.exit_code == 0
    return environment


@pytest.mark.one_database
@pytest.mark.parametrize("command", ["release", "worker", "keys list", "accounts list"])
def test_a_lost_key_file_is_never_made_anew(embedded: dict[str, str], tmp_path: Path, command: str) -> None:
    file = tmp_path / "var" / SECRET_FILE
    kept = file.read_bytes()
    file.unlink()
    answer = CliRunner(env=embedded).invoke(batchgate, command.split())

    assert (answer.exit_code, "Restore the file from a backup" in answer.stderr) == (2, True), answer.output
    assert not file.exists()
    file.write_bytes(kept)
    assert CliRunner(env=embedded).invoke(batchgate, ["release"]).exit_code == 0


@pytest.mark.one_database
def test_web_refuses_a_lost_key_file_too(embedded: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "var" / SECRET_FILE).unlink()
    with pytest.raises(SettingsError, match="is missing"):
        build_gateway(from_environment(embedded))


@pytest.mark.one_database
@pytest.mark.parametrize("content", [b"", b" \n", None], ids=["empty", "blank", "folder"])
def test_a_key_file_that_cannot_be_read_is_named(
    embedded: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "var" / SECRET_FILE
    file.unlink()
    file.mkdir() if content is None else file.write_bytes(content)
    answer = CliRunner(env=embedded).invoke(batchgate, ["keys", "list"])
    assert answer.exit_code == 2
    assert str(file) in answer.stderr and "BATCHGATE_SECRET_KEY is empty" not in answer.stderr


@pytest.mark.one_database
def test_a_new_store_still_makes_its_key(tmp_path: Path) -> None:
    settings = from_environment({"BATCHGATE_HOME": str(tmp_path / "new")})
    built = build_gateway(settings)
    assert (settings.home / SECRET_FILE).exists()
    assert not (settings.home / "batchgate.db").exists()
    built.database.dispose()


@pytest.mark.one_database
def test_a_database_url_that_names_nothing_is_an_error_in_words() -> None:
    with pytest.raises(DatabaseUrlError, match="DATABASE_URL"):
        Database("sqlite://")
