"""The neutral form of requests and answers, between any two dialects.

Each dialect has a reader, which produces these objects, and a writer, which consumes them. They are not frozen because
a batch creates millions of them; do not modify one that a reader returned. Text is a plain `str`, which keeps the most
common message cheap.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from app.lib import bounds

Json = dict[str, Any]
Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter"]
COUNTS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer or job, named as in the Responses API. `input_tokens` includes cached tokens.

    All are 0 when one of them is no count that an answer can have: then nobody knows what was used.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0

    def __post_init__(self) -> None:
        counts = (self.input_tokens, self.cached_tokens, self.output_tokens, self.reasoning_tokens, self.total_tokens)
        for count in counts:
            if type(count) is not int or not 0 <= count <= bounds.MAX_TOKENS:
                for name in COUNTS:
                    object.__setattr__(self, name, 0)
                return


class FileId(str):
    """The id of a file at the account where a line runs, with the type of the file; it is written as any text.

    The gateway puts it into lines. Any other id in a line that is to be translated is refused.
    """

    media_type: str

    def __new__(cls, text: str, media_type: str) -> "FileId":
        """The id `text` of a file of this type."""
        made = super().__new__(cls, text)
        made.media_type = media_type
        return made


@dataclass(slots=True)
class Media:
    """An image, document or audio clip: base64 `data`, a `url`, or a `file` that the provider has.

    `media_type` is set whenever `data` is.
    """

    kind: Literal["image", "document", "audio"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    name: str | None = None  # of a document
    detail: str | None = None  # of an image
    file: FileId | None = None


@dataclass(slots=True)
class ToolCall:
    """A tool call by the model. `arguments` is JSON text or the parsed object, depending on the dialect."""

    id: str
    name: str
    arguments: str | Json


@dataclass(slots=True)
class ToolResult:
    """The result of a tool call: the content of a `tool` turn."""

    call_id: str
    content: "str | list[str | Media]"
    is_error: bool = False


@dataclass(slots=True)
class Thinking:
    """The model's reasoning. `signature` and `redacted` are opaque and go back to the provider unchanged."""

    text: str
    signature: str | None = None
    redacted: str | None = None


@dataclass(slots=True)
class Refusal:
    """The text of the model's refusal."""

    text: str


Part = str | Media | ToolCall | Thinking | Refusal
# Plain text, or parts in order; a ToolResult in `tool` turns.
Content = str | list[Part] | ToolResult
Turn = tuple[Role, Content]


@dataclass(slots=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON schema, or None."""

    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Settings(TypedDict, total=False):
    """The parameters of a request besides its turns and tools; absent keys were not set by the caller."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: list[str]
    n: int
    seed: int
    frequency_penalty: float
    presence_penalty: float
    logit_bias: Json
    logprobs: bool
    top_logprobs: int
    tool_choice: Literal["auto", "none", "required"]
    tool_name: str  # the tool that the model must call
    parallel_tool_calls: bool
    response_format: "ResponseFormat"
    reasoning_effort: str  # none, minimal, low, medium, high, xhigh, max
    thinking_budget: int  # tokens; 0 turns thinking off
    user: str
    service_tier: str
    metadata: Json
    verbosity: str
    prediction: Json


@dataclass(slots=True)
class ResponseFormat:
    """JSON output: any JSON object (`schema` is None), or JSON that matches the schema."""

    schema: Json | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


@dataclass(slots=True)
class Request:
    """A request. System turns keep the caller's position. `dropped` lists fields that only the caller's dialect
    has, under the caller's names.
    """

    model: str
    turns: list[Turn]
    settings: Settings
    tools: list[Tool] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """A request in the target dialect, and the settings that it cannot express, named as in `Settings`."""

    body: Json
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Choice:
    """One candidate of an answer, with its parts in order.

    `aborted` is the provider's word for why it is none, and what the provider says about it; empty for an answer.
    """

    parts: list[Part]
    finish: Finish = "stop"
    stop_sequence: str | None = None
    logprobs: Any = None
    aborted: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """A model's answer. If the provider omits them, `id` and `model` are "" and `created` (Unix seconds) is None."""

    choices: list[Choice]
    usage: Usage
    id: str = ""
    model: str = ""
    created: int | None = None


@dataclass(slots=True)
class EmbeddingRequest:
    """Texts to embed. `input_type` takes Cohere's values."""

    model: str
    inputs: list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    input_type: str | None = None
    user: str | None = None
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class EmbeddingAnswer:
    """One vector per text, in order."""

    vectors: list[list[float]]
    usage: Usage
    model: str = ""


def size_of(part: Part) -> int:
    """Return the approximate length of a part in characters."""
    if isinstance(part, str):
        return len(part)
    if isinstance(part, ToolCall):
        arguments = part.arguments
        return len(arguments) if isinstance(arguments, str) else len(str(arguments))
    if isinstance(part, Media):
        return len(part.data or part.url or "")
    return len(part.text)
