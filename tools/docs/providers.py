"""Generate docs/providers.md from the catalogue: what each provider supports, and its limits."""

from collections.abc import Sequence

from app.cli.shared.abilities import GROUPS, size, windows, word
from app.connectors.catalogue import probe, registry
from app.connectors.catalogue.declarations import Provider
from app.connectors.catalogue.providers import PROVIDERS
from app.connectors.contract.abilities import Support

HEAD = """# Providers

What each provider supports. Generated from the catalogue by `make docs`. `batchgate providers` prints the same for your
installation, with its own accounts and providers. [settings.md](settings.md) lists the variables that create accounts.

- **native**: the provider's own API.
- **emulated**: the gateway does it: it keeps the files in its own store and runs the batches on its workers.
- **-**: not supported. Requests get 400 `unsupported_operation`, which names the provider and the operation.

With `execution: "gateway"`, a batch of a native provider runs on the gateway's workers, at the endpoints that the last
table lists.

"""
COMPATIBLE = """
## Providers that are not listed

An OpenAI-compatible server needs no code. Declare what it supports, or let the gateway probe it:

    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --key-stdin
    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --ability batches=native
    batchgate accounts add mycorp --compatible --base-url https://llm.mycorp.example/v1 --probe

Without a declaration, files and batches are emulated. `--probe` requests `/files` and `/batches`: a JSON answer means
native, 404 means emulated. `mycorp` is then a provider like the others; all its accounts have the same abilities.
Native batches have OpenAI's limits: {limits}.

A Python package can add a provider with its own connector: declare an entry point of the group `{group}` that is an
`app.connectors.catalogue.Provider`.
"""
TRANSLATED = """
Wherever `/v1/chat/completions` is listed, lines of `/v1/responses` and `/v1/messages` run, too; the gateway translates
those that are not listed.
"""


def render() -> str:
    """Render the page as Markdown."""
    entries = PROVIDERS  # without providers of other installed packages
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
    heads = ["provider", "file", "batch", "lines", "minimum lines", "line", "windows", "one model", "`custom_id`"]
    rows = []
    for entry in entries:
        files, jobs = entry.abilities.files, entry.abilities.jobs
        native = entry.abilities.support("batch_create") is Support.NATIVE
        if not native and entry.abilities.support("file_upload") is not Support.NATIVE:
            continue
        minimum = jobs.min_lines if jobs.min_lines > 1 else ""
        batch = [size(jobs.bytes), jobs.lines or "", minimum, size(jobs.line_bytes), windows(entry.abilities)]
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
