"""docs/providers.md, made from the catalogue: what each provider can do here, and its limits."""

from collections.abc import Sequence

from app.cli.shared.abilities import GROUPS, size, windows, word
from app.connectors.catalogue import probe, registry
from app.connectors.catalogue.declarations import Provider
from app.connectors.catalogue.providers import PROVIDERS
from app.connectors.contract.abilities import Support

HEAD = """# Providers

Made from the catalogue by `make docs`; a test checks that it is current. `batchgate providers` prints the same for an
installation, with its own accounts and providers. [settings.md](settings.md) lists the variables that make accounts.

- **native**: the provider's own API. **emulated**: done by the gateway, with files in its own store and batches on its
  workers. **-**: refused with 400 `unsupported_operation`, which names provider and operation.
- `execution: "gateway"` runs the batch of a native provider on the workers as well, at the endpoints for lines.

"""
COMPATIBLE = """
## Providers that are not listed

A server that speaks OpenAI's dialect needs no code. What it can do is declared or probed:

    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --key-stdin
    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --ability batches=native
    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --probe

Undeclared, files and batches are emulated. `--probe` asks for `/files` and `/batches`: what answers in JSON is native,
what answers 404 is emulated. Afterwards `mycorp` can be named wherever a provider can. All accounts of such a provider
have the same abilities. Native batches have the limits of OpenAI's: {limits}.

A package adds a provider of its own, connector included, by an entry point of the group `{group}` that is an
`app.connectors.catalogue.Provider`.
"""
TRANSLATED = """
Where chat completions are taken, lines of `/v1/responses` and `/v1/messages` are, too, translated if not listed.
"""


def render() -> str:
    """The page as Markdown."""
    entries = PROVIDERS  # without those of other packages that happen to be installed
    parts = [HEAD]
    for title, operations, prefix in GROUPS:
        parts += [f"## {title}\n\n", *_table(entries, operations, prefix), "\n"]
    parts += ["## Limits of native files and batches\n\n", *_limits(entries)]
    parts += ["\n## Endpoints\n\n", *_endpoints(entries)]
    jobs = probe.shape(probe.declared({"batches": "native"})).abilities.jobs
    limits = f"{size(jobs.bytes)}, {jobs.lines} lines, the window {', '.join(sorted(jobs.windows))}, one model"
    parts.append(COMPATIBLE.format(limits=limits, group=registry.ENTRY_POINTS))
    return "".join(parts)


def _table(entries: Sequence[Provider], operations: Sequence[str], prefix: str) -> list[str]:
    heads = [name.removeprefix(prefix).replace("_", " ") for name in operations]
    rows = [[entry.name, *[word(entry.abilities, name) for name in operations]] for entry in entries]
    return _markdown(["provider", *heads], rows)


def _limits(entries: Sequence[Provider]) -> list[str]:
    heads = ["provider", "file", "batch", "lines", "at least", "line", "windows", "one model", "`custom_id`"]
    rows = []
    for entry in entries:
        files, jobs = entry.abilities.files, entry.abilities.jobs
        native = entry.abilities.support("batch_create") is Support.NATIVE
        if not native and entry.abilities.support("file_upload") is not Support.NATIVE:
            continue
        least = jobs.min_lines if jobs.min_lines > 1 else ""
        batch = [size(jobs.bytes), jobs.lines or "", least, size(jobs.line_bytes), windows(entry.abilities)]
        batch += ["yes" if jobs.single_model else "no", f"`{jobs.custom_id}`" if jobs.custom_id else ""]
        rows.append([entry.name, size(files.bytes), *(batch if native else [""] * 7)])
    return _markdown(heads, rows)


def _endpoints(entries: Sequence[Provider]) -> list[str]:
    rows = [
        [entry.name, _listed(entry.abilities.jobs.endpoints), _listed(entry.abilities.lines)]
        for entry in entries
        if entry.abilities.jobs.endpoints or entry.abilities.lines
    ]
    return [
        *_markdown(["provider", "native batches", "lines that the gateway runs"], rows),
        TRANSLATED,
    ]


def _listed(endpoints: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(endpoints))


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |\n", f"|{'---|' * len(heads)}\n"]
    return lines + [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows]
