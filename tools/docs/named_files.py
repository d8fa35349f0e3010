"""The section of docs/dialects.md about files that lines name: what the catalogue declares of each provider."""

from app.connectors.catalogue.declarations import CHAT, MESSAGES, RESPONSES
from app.connectors.catalogue.providers import PROVIDERS
from app.connectors.contract.abilities import Abilities

TEXT = """
## Files in lines

A line may name files of its project, by their own or their native ids, where its dialect has a place for content:

- `/v1/chat/completions`: `{"type": "file", "file": {"file_id": ...}}`, also in Mistral's form
  `{"type": "file", "file_id": ...}`.
- `/v1/responses`: the `file_id` of `input_file`, `input_image` and `computer_screenshot`, also in outputs of tools, and
  that of `input_image_mask`.
- `/v1/messages`: documents and images with `{"source": {"type": "file", "file_id": ...}}`, also in results of tools;
  `container_upload`.

Upload the file once, anywhere. Where the line runs at a provider that takes the file's type by id (the table below), it
is copied there: one copy for all lines and batches, reused if it outlives the batch, and deleted with the file.
Elsewhere the file is put into the line: images and PDFs as base64, text as text, in the form of the line's dialect,
which is then translated as if the caller had written it. The type is that of the first bytes of the file, else of its
name.

- A file that the project does not have, be it another project's, deleted, or never there, fails the batch:
  `file_not_found` in `errors.data`, with the line and the `param`.
- A file that is too large (`file_too_large`) or of a type that fits no place (`unsupported_file`) fails its line alone,
  with status 400, as does one that the provider does not accept (`file_refused`). In the line itself, files may have
  `BATCHGATE_MAX_INLINED_BYTES` together, and no more than the table says; the provider may take less, and says so. In a
  native batch, a line with its files must fit into a job.
- A file that lines name cannot be deleted before the batch is over (409), nor does it expire. Retried lines need it
  again.
- Files in lines count as input in estimates and budgets, and towards `BATCHGATE_INFLIGHT_BYTES` while they are sent:
  about four times their size. When they fill it, such lines run one by one.

"""
HEAD = (
    "| provider | chats: by id | responses: by id | messages: by id | types in the line | bytes in the line |\n"
    "|---|---|---|---|---|---|\n"
)
REST = """
All other providers get files of any type in the line; their servers refuse what they cannot read. A file of any type of
text becomes a part or block of text.
"""


ANY = frozenset({"*"})


def render() -> str:
    """The section, with a row for each provider that declares anything about files in lines."""
    rows = [
        _row(entry.name, entry.abilities)
        for entry in PROVIDERS
        if entry.abilities.files.named or entry.abilities.files.inlined != ANY
    ]
    return TEXT + HEAD + "".join(rows) + REST


def _row(name: str, abilities: Abilities) -> str:
    limits = abilities.files
    types = [", ".join(sorted(limits.named.get(endpoint, ()))) for endpoint in (CHAT, RESPONSES, MESSAGES)]
    types.append(", ".join(sorted(limits.inlined)))
    cells = ["all types" if each == "*" else each for each in types]
    most = f"{limits.inlined_bytes:,}" if limits.inlined_bytes else ""
    return f"| {name} | {' | '.join(cells)} | {most} |\n"
