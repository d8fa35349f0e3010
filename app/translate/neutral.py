"""What requests and answers of models mean, whatever dialect they came in: what all translation goes through.

A reader of a dialect makes these, a writer makes a dialect of them. They are plain and not frozen, since a batch has
millions; whoever gets one from a reader does not change it. Text is `str`, so that the plain message stays cheap.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

Json = dict[str, Any]
Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer or job, under the names of the Responses API. `input_tokens` include the cached ones."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0


@dataclass(slots=True)
class Media:
    """An image, a document or a sound: `data` in base64, or a `url`. `media_type` is there whenever `data` is."""

    kind: Literal["image", "document", "audio"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    name: str | None = None  # of a document
    detail: str | None = None  # of an image


@dataclass(slots=True)
class ToolCall:
    """A call that the model made. `arguments` are JSON text or the object of it, as the dialect has them."""

    id: str
    name: str
    arguments: str | Json


@dataclass(slots=True)
class ToolResult:
    """What a call came to; the content of a turn of role `tool`."""

    call_id: str
    content: "str | list[str | Media]"
    is_error: bool = False


@dataclass(slots=True)
class Thinking:
    """What the model thought; `signature` and `redacted` are the provider's own, to be given back as they came."""

    text: str
    signature: str | None = None
    redacted: str | None = None


@dataclass(slots=True)
class Refusal:
    """Words with which the model refused."""

    text: str


Part = str | Media | ToolCall | Thinking | Refusal
# A text alone, or the parts in order. Of `tool` turns the result.
Content = str | list[Part] | ToolResult
Turn = tuple[Role, Content]


@dataclass(slots=True)
class Tool:
    """A function that the model may call; `parameters` are JSON schema, None without any."""

    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Settings(TypedDict, total=False):
    """What a request asks for besides its turns and tools; what it does not say is not there."""

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
    tool_name: str  # the one tool that must be called
    parallel_tool_calls: bool
    response_format: "ResponseFormat"
    reasoning_effort: str  # none, minimal, low, medium, high, xhigh, max
    thinking_budget: int  # tokens; 0 is none
    user: str
    service_tier: str
    metadata: Json
    verbosity: str
    modalities: list[str]
    prediction: Json


@dataclass(slots=True)
class ResponseFormat:
    """JSON instead of prose: of any kind (`schema` is None), or as the schema wants it."""

    schema: Json | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


@dataclass(slots=True)
class Request:
    """A request. System turns stand where the caller had them. `dropped` are fields with a meaning in no dialect but
    the caller's own, under the caller's names.
    """

    model: str
    turns: list[Turn]
    settings: Settings
    tools: list[Tool] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """A request in a dialect, and the fields that it had to leave out, under the names of `Settings`."""

    body: Json
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Choice:
    """One candidate: its parts in order."""

    parts: list[Part]
    finish: Finish = "stop"
    stop_sequence: str | None = None
    logprobs: Any = None


@dataclass(slots=True)
class Answer:
    """What a model answered. `id` and `model` are empty and `created` (Unix seconds) is None when it does not tell."""

    choices: list[Choice]
    usage: Usage
    id: str = ""
    model: str = ""
    created: int | None = None


@dataclass(slots=True)
class EmbeddingRequest:
    """Texts that become vectors; `input_type` as Cohere has it, if the caller gives one."""

    model: str
    inputs: list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    input_type: str | None = None
    user: str | None = None
    dropped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class EmbeddingAnswer:
    """A vector for each text, in order."""

    vectors: list[list[float]]
    usage: Usage
    model: str = ""


def size_of(part: Part) -> int:
    """About how many characters a part has."""
    if isinstance(part, str):
        return len(part)
    if isinstance(part, ToolCall):
        arguments = part.arguments
        return len(arguments) if isinstance(arguments, str) else len(str(arguments))
    if isinstance(part, Media):
        return len(part.data or part.url or "")
    return len(part.text)
