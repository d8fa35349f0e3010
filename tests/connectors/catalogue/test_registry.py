import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.connectors import contract
from app.connectors.catalogue import registry
from app.connectors.contract.abilities import BATCHES, CONTAINERS, FILES, OPERATIONS, Support
from app.connectors.contract.base import Target
from app.connectors.contract.errors import ConfigurationError
from app.connectors.providers.openai.lines import OpenAICompatible

CONTRACT = """
    openai azure anthropic bedrock cohere vertex vllm mistral ollama groq sgl parasail perplexity replicate cerebras
    gemini openrouter elevenlabs huggingface nebius xai runway fireworks local together deepinfra
"""


def test_the_table_has_the_providers_of_the_contract():
    assert registry.names() == CONTRACT.split()


def test_no_variable_serves_two_providers():
    names = [name for entry in registry.providers() for name in (*entry.key_envs, entry.url_env)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["local", "ollama", "vllm", "sgl"])
def test_own_servers_run_batches_at_the_gateway(name):
    abilities = registry.abilities(name)

    assert {abilities.support(operation) for operation in (*FILES, *BATCHES)} == {Support.EMULATED}
    containers = {abilities.support(operation) for operation in CONTAINERS}
    assert containers == {Support.EMULATED if name == "local" else Support.NONE}
    assert "/v1/responses" in abilities.endpoints("gateway")
    assert "24h" in abilities.windows("gateway")


def test_an_unknown_provider_declares_nothing():
    abilities = registry.abilities("nobody")

    assert {abilities.support(operation) for operation in OPERATIONS} == {Support.NONE}


def test_nothing_set_means_no_account():
    assert registry.configured({"PATH": "/bin", "OPENAI_API_KEY": "  "}) == []


def test_a_key_makes_an_account_at_the_default_url():
    [account] = registry.configured({"OPENAI_API_KEY": "sk-secret"})

    assert (account.provider, account.base_url, account.name) == ("openai", "https://api.openai.com/v1", "env")
    assert account.max_concurrency == 64
    assert "sk-secret" not in repr(account)


def test_a_key_may_be_json_and_is_kept_on_one_line():
    [account] = registry.configured({"VERTEX_CREDENTIALS": '{\n  "type": "service_account",\n  "key": "a b\\nc"\n}'})

    assert account.api_key == '{"type":"service_account","key":"a b\\nc"}'
    for wrong in ("{", '{"a": canary}', "{'a': 'canary'}"):
        with pytest.raises(ConfigurationError, match="VERTEX_CREDENTIALS") as error:
            registry.configured({"VERTEX_CREDENTIALS": wrong})
        assert "canary" not in str(error.value)


def test_a_base_url_alone_is_an_account_only_where_keys_are_optional():
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "LOCAL_BASE_URL": "http://127.0.0.1:2/v1/"}
    [account] = registry.configured(environ)

    assert (account.provider, account.base_url, account.api_key) == ("local", "http://127.0.0.1:2/v1", "")


def test_every_provider_can_have_an_account():
    environ = {entry.url_env if entry.keyless else entry.key_envs[0]: "http://x" for entry in registry.providers()}

    assert [account.provider for account in registry.configured(environ)] == registry.names()


def test_the_first_key_variable_counts():
    [account] = registry.configured({"COHERE_API_KEY": "second-key", "CO_API_KEY": "first-key"})

    assert account.api_key == "first-key"


@pytest.mark.parametrize("key", ["x", "EMPTY", "sk-1234", "not-needed"])
def test_a_word_that_is_no_key_is_refused_at_the_vendor_s_own_url(key):
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is no key of openai") as refused:
        registry.configured({"OPENAI_API_KEY": key})
    assert key not in str(refused.value)
    [own] = registry.configured({"OPENAI_API_KEY": key, "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"})
    for name in ("LOCAL", "OLLAMA", "VLLM", "SGL"):
        [server] = registry.configured({f"{name}_API_KEY": key, f"{name}_BASE_URL": "http://127.0.0.1:8000/v1"})
        assert server.api_key == own.api_key == key


@pytest.mark.parametrize("credential", ["default", "{}"])
def test_a_credential_that_is_no_key_is_left_to_its_connector(credential):
    for variable in ("AWS_BEDROCK_CREDENTIALS", "VERTEX_CREDENTIALS"):
        [account] = registry.configured({variable: credential})
        assert account.api_key == credential


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_concurrency_is_named(text):
    with pytest.raises(ConfigurationError, match="LOCAL_MAX_CONCURRENCY"):
        registry.configured({"LOCAL_BASE_URL": "http://x", "LOCAL_MAX_CONCURRENCY": text})


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://a b",
        "http://u:p@x",
        "http://x?key=1",
        "http://x:99999",
        "http://[x",
    ],
)
def test_a_wrong_base_url_is_named(url):
    with pytest.raises(ConfigurationError, match="LOCAL_BASE_URL"):
        registry.configured({"LOCAL_BASE_URL": url})


def test_a_key_that_no_header_can_carry_is_named_and_not_shown():
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as wrong:
        registry.configured({"OPENAI_API_KEY": "sk-se\ncret"})

    assert "cret" not in str(wrong.value)


def test_load_gives_the_connector_with_the_abilities_of_the_table():
    abilities = registry.abilities("vllm")
    connector = registry.load(Target(provider="vllm", base_url="http://127.0.0.1:1", abilities=abilities))

    assert isinstance(connector, OpenAICompatible)
    assert connector.abilities == registry.abilities("vllm")


def test_what_nobody_knows_is_not_loaded():
    with pytest.raises(ConfigurationError, match="nobody"):
        registry.load(Target(provider="nobody", base_url="http://127.0.0.1:1"))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package `acme-gateway`, with one module and one entry point at `value`."""
    info = tmp_path / "acme_gateway-1.0.dist-info"
    info.mkdir()

    def installed(module: str, value: str) -> None:
        (tmp_path / "acme_gateway.py").write_text(module)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-gateway\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\nacme = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "acme_gateway", raising=False)
        registry.forget()

    yield installed
    monkeypatch.undo()
    sys.modules.pop("acme_gateway", None)
    registry.forget()


ACME = """
from app.connectors.abilities import Abilities, operations
from app.connectors.catalogue import Provider
from app.connectors.openai_compatible import OpenAICompatible

class Acme(OpenAICompatible):
    pass

acme = Provider("{name}", "ACME", ("ACME_API_KEY",), "ACME_BASE_URL", "https://acme.example/v1",
    target="acme_gateway:Acme", abilities=Abilities(operations(emulated="files")), install_hint="pip install acme")
"""


def test_a_package_adds_a_provider(install: Callable[[str, str], None]) -> None:
    install(ACME.format(name="acme"), "acme_gateway:acme")

    assert registry.names() == [*CONTRACT.split(), "acme"]
    [account] = registry.configured({"ACME_API_KEY": "a-long-key"})
    assert (account.provider, account.base_url) == ("acme", "https://acme.example/v1")
    assert registry.abilities("acme").support("file_upload") is Support.EMULATED
    connector = registry.load(Target(provider="acme", base_url=account.base_url, credential=account.api_key))
    assert type(connector).__name__ == "Acme"
    assert isinstance(connector, OpenAICompatible)


@pytest.mark.parametrize(
    ("module", "value", "told"),
    [
        (ACME.format(name="acme"), "acme_gateway:missing", "cannot be loaded"),
        ("import a_module_that_is_not_there", "acme_gateway:acme", "a_module_that_is_not_there"),
        ("1 / 0", "acme_gateway:acme", "ZeroDivisionError"),
        ("acme = 1", "acme_gateway:acme", "is a int and no app.connectors.catalogue.providers.Provider"),
        (ACME.format(name="openai"), "acme_gateway:acme", "names the provider openai, which already exists"),
        (ACME.format(name="Acme Inc"), "acme_gateway:acme", "names a provider 'Acme Inc'"),
    ],
)
def test_a_package_that_is_wrong_is_named(
    install: Callable[[str, str], None], module: str, value: str, told: str
) -> None:
    install(module, value)

    with pytest.raises(ConfigurationError, match=re.escape(told)) as wrong:
        registry.names()
    assert "The package acme-gateway has an entry point of batchgate.connectors, acme = " in str(wrong.value)


def test_a_connector_that_lacks_a_module_says_what_to_install(install: Callable[[str, str], None]) -> None:
    module = ACME.format(name="acme").replace("acme_gateway:Acme", "acme_sdk:Acme")
    install(module, "acme_gateway:acme")

    with pytest.raises(ConfigurationError, match="acme needs the module acme_sdk: pip install acme"):
        registry.load(Target(provider="acme", base_url="http://127.0.0.1:1"))


def test_connectors_written_for_earlier_releases_still_import_what_they_need():
    # Old names, as the example of the release before used them; where these things are now is nobody's business there.
    base = importlib.import_module("app.connectors.base")
    native = importlib.import_module("app.connectors.native")
    abilities = importlib.import_module("app.connectors.abilities")
    answers = importlib.import_module("app.connectors.answers")

    assert base.Connector is contract.Connector and base.MissingError is contract.MissingError
    assert native.NativeJob is contract.NativeJob and abilities.JobLimits is contract.JobLimits
    assert answers.usage_of({}) == contract.Usage()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("app.connectors.nothing")
