"""What the registry declares, held against the support matrix of the contract and against the connectors' code."""

import pytest

from app.connectors.catalogue import registry
from app.connectors.catalogue.providers import Provider
from app.connectors.contract.abilities import BATCHES, FILES, OPERATIONS, Support
from app.connectors.contract.base import Connector, Target

# The matrix of the contract, a column for each operation below. O and N: an API of its own; s: can be made of it;
# -: not there.
COLUMNS = (*FILES, *BATCHES)
MATRIX = {
    "openai": "O O O O O O O O O - O",
    "azure": "O O O O O O O O O - O",
    "anthropic": "N N N N N N N N N N N",
    "bedrock": "N N N N N N N N N - s",
    "cohere": "N N N N N N N N N - s",
    "vertex": "N N N N N N N N N N s",
    "vllm": "- - - - - - - - - - -",
    "mistral": "O N O O O N N N N N O",
    "ollama": "- - - - - - - - - - -",
    "groq": "O O O O O O O O O - O",
    "sgl": "- - - - - - - - - - -",
    "parasail": "O O O O O O O O O - O",
    "perplexity": "O O O O O O O O O - O",
    "replicate": "N N N N s - - - - - -",
    "cerebras": "O O O O O O O O O - O",
    "gemini": "N N N N N N N N N N N",
    "openrouter": "N N N N N N N N - N s",
    "elevenlabs": "- - - - - - - - - - -",
    "huggingface": "- - - - - - - - - - -",
    "nebius": "O O O O O O O O O - O",
    "xai": "O N O O O N N N N - N",
    "runway": "- - - - - - - - - - -",
    "fireworks": "N N N N N N N N s N s",
    "together": "N O O O O O O O O - O",
    "deepinfra": "O O O O O O O O O - O",
    "local": "- - - - - - - - - - -",
}
CONTAINERS_AT = {"openai", "azure"}
READ_ONLY_CONTAINER_FILES_AT = {"openrouter"}

# The methods of a connector that an operation of its own needs.
METHODS = {
    "file_upload": ("upload_file",),
    "file_list": ("list_files",),
    "file_retrieve": ("retrieve_file",),
    "file_delete": ("delete_file",),
    "file_content": ("read_file",),
    "batch_create": ("create_job",),
    "batch_list": ("list_jobs",),
    "batch_retrieve": ("retrieve_job",),
    "batch_cancel": ("cancel_job",),
    "batch_delete": ("delete_job",),
    "batch_results": ("results", "raw_results"),
    "container_create": ("create_container",),
    "container_list": ("list_containers",),
    "container_retrieve": ("retrieve_container",),
    "container_delete": ("delete_container",),
    "container_file_create": ("put_container_file", "copy_container_file"),
    "container_file_list": ("list_container_files",),
    "container_file_retrieve": ("retrieve_container_file",),
    "container_file_content": ("read_container_file",),
    "container_file_delete": ("delete_container_file",),
}
BY_NAME = {entry.name: entry for entry in registry.providers()}
EACH = pytest.mark.parametrize("entry", BY_NAME.values(), ids=lambda entry: entry.name)


def connector(entry: Provider) -> Connector:
    target = Target(
        provider=entry.name,
        base_url=entry.base_url or "http://127.0.0.1:9",
        credential="canary",
        abilities=registry.abilities(entry.name),
        options=entry.options,
    )
    return registry.load(target)


def overrides(connector: Connector, method: str) -> bool:
    return getattr(type(connector), method) is not getattr(Connector, method)


def test_the_matrix_covers_every_provider_and_operation() -> None:
    assert set(MATRIX) == set(BY_NAME)
    assert len(BY_NAME) == 26
    assert set(METHODS) == set(OPERATIONS)


@EACH
def test_no_provider_has_less_than_its_api(entry: Provider) -> None:
    cells = dict(zip(COLUMNS, MATRIX[entry.name].split(), strict=True))
    own = {name for name, cell in cells.items() if cell in "ON"}
    made = {name for name, cell in cells.items() if cell == "s"}
    declared = {name: entry.abilities.support(name) for name in OPERATIONS}
    assert {name for name in own if declared[name] is not Support.NATIVE} == set()
    assert {name for name in made if declared[name] is Support.NONE} == set()
    containers = {name for name in OPERATIONS if name.startswith("container_")}
    if entry.name in CONTAINERS_AT:
        assert {declared[name] for name in containers} == {Support.NATIVE}
    if entry.name in READ_ONLY_CONTAINER_FILES_AT:
        read = {"container_file_list", "container_file_retrieve", "container_file_content"}
        assert {name for name in containers if declared[name] is Support.NATIVE} == read


@EACH
def test_no_provider_claims_an_api_that_it_does_not_have(entry: Provider) -> None:
    cells = dict(zip(COLUMNS, MATRIX[entry.name].split(), strict=True))
    lacking = {name for name, cell in cells.items() if cell == "-"}
    assert {name for name in lacking if entry.abilities.support(name) is Support.NATIVE} == set()


@EACH
def test_what_is_native_is_there_and_what_is_not_says_so(entry: Provider) -> None:
    made = connector(entry)
    for operation, methods in METHODS.items():
        if made.abilities.support(operation) is Support.NATIVE:
            missing = [method for method in methods if not overrides(made, method)]
            assert missing == [], f"{entry.name} declares {operation}"


@EACH
def test_native_batches_have_limits_and_a_way_for_the_gateway_to_run_them(entry: Provider) -> None:
    abilities = registry.abilities(entry.name)
    create = abilities.support("batch_create")
    if create is Support.NATIVE:
        assert abilities.jobs.endpoints
        assert abilities.jobs.windows
    if create is not Support.NONE:
        assert abilities.runs_lines, "execution: gateway needs an endpoint for single lines"
        assert overrides(connector(entry), "run_line")
