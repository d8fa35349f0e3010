"""What a provider can do: each operation, with its limits. Callers check this, never the provider's name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Support(Enum):
    """How a connector has an ability: the provider's own API, done by the gateway, or not at all."""

    NATIVE = "native"
    EMULATED = "emulated"
    NONE = "none"


FILES = ("file_upload", "file_list", "file_retrieve", "file_delete", "file_content")
BATCHES = ("batch_create", "batch_list", "batch_retrieve", "batch_cancel", "batch_delete", "batch_results")
CONTAINERS = (
    "container_create",
    "container_list",
    "container_retrieve",
    "container_delete",
    "container_file_create",
    "container_file_list",
    "container_file_retrieve",
    "container_file_content",
    "container_file_delete",
)
OPERATIONS = (*FILES, *BATCHES, *CONTAINERS)

# Batches that the gateway runs itself accept any window, because lines are sent one by one.
GATEWAY_WINDOWS = frozenset({"15m", "1h", "4h", "12h", "24h", "48h", "7d"})


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Files at the provider. `direct` lists purposes that the provider itself uses, so the file is uploaded at once.

    `bucket` names the kind of object store (s3, gcs) if the account's files are in the operator's bucket.
    `named` says which files lines of an endpoint may name by the provider's id: media types, `image/*`, or `*`; others
    go into the line. `named_purpose` is the purpose of a copy that is made for lines, `inlined` are the types of files
    that a line may hold, and `inlined_bytes` is how many bytes these may have.
    """

    bytes: int | None = None
    direct: frozenset[str] = frozenset()
    bucket: str | None = None
    named: Mapping[str, frozenset[str]] = field(default_factory=dict)
    named_purpose: str = "user_data"
    inlined: frozenset[str] = frozenset({"*"})
    inlined_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Native batches: the limits of one job.

    `dialect` names the input format; `openai` lines are sent unchanged. `inline` jobs carry their lines in the request
    that creates them, instead of an input file. `custom_id` is a regular expression that ids must match completely;
    others are replaced on the wire. `finds` says whether a job whose answer was lost can be found again. `min_lines` is
    the minimum of a job. Inputs of at most `inline_bytes` go in the request even where jobs take files. `operation`
    says that a job's native id names a long-running operation.
    """

    endpoints: frozenset[str] = frozenset()
    windows: frozenset[str] = frozenset({"24h"})
    bytes: int | None = None
    lines: int | None = None
    line_bytes: int | None = None
    single_model: bool = True
    custom_id: str | None = None
    dialect: str = "openai"
    inline: bool = False
    finds: bool = True
    min_lines: int = 1
    inline_bytes: int = 0
    operation: bool = False


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a provider can do. `lines` are the endpoints at which it answers single requests.

    `output_limit` is the name of the field that limits an answer's tokens in chats: some newer models reject the old
    name, and most servers ignore the new one.
    """

    operations: Mapping[str, Support] = field(default_factory=dict)
    lines: frozenset[str] = frozenset()
    files: FileLimits = FileLimits()
    jobs: JobLimits = JobLimits()
    output_limit: str = "max_tokens"

    def support(self, operation: str) -> Support:
        """How `operation` (one of OPERATIONS) is done."""
        return self.operations.get(operation, Support.NONE)

    @property
    def runs_lines(self) -> bool:
        """True if the gateway can run a batch here itself."""
        return bool(self.lines)

    def endpoints(self, execution: str) -> frozenset[str]:
        """Endpoints of a batch that is run by `execution` (provider or gateway)."""
        return self.jobs.endpoints if execution == "provider" else self.lines

    def windows(self, execution: str) -> frozenset[str]:
        """Completion windows of a batch that is run by `execution`."""
        return self.jobs.windows if execution == "provider" else GATEWAY_WINDOWS


def operations(*, native: str = "", emulated: str = "") -> dict[str, Support]:
    """Abilities by operation from two lists of words: names of operations, or `files`, `batches`, `containers`.

    An operation in both lists is emulated.
    """
    return dict.fromkeys(_expanded(native), Support.NATIVE) | dict.fromkeys(_expanded(emulated), Support.EMULATED)


def _expanded(words: str) -> list[str]:
    groups = {"files": FILES, "batches": BATCHES, "containers": CONTAINERS}
    names = [name for word in words.split() for name in groups.get(word, (word,))]
    unknown = set(names) - set(OPERATIONS)
    if unknown:
        raise ValueError(f"no operation: {', '.join(sorted(unknown))}")
    return names
