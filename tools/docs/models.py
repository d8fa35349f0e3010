"""The part of docs/dialects.md on models: the tables that decide how lines are translated."""

from collections.abc import Iterable, Sequence

from app.translate.converse import models as nova
from app.translate.gemini import models as gemini
from app.translate.messages import models as claude
from app.translate.messages.tools import MAX_OPTIONAL, MAX_STRICT_TOOLS, MAX_UNIONS

HEAD = """
## What each model takes

The gateway decides by these tables. What a model does not take is mapped to what is closest, dropped and listed, or
rejected, as in the table above. Names that match no row are sent everything; the provider may reject it.
"""
GEMINI = """
### Gemini and Vertex

"Thinking" is what `reasoning_effort` and a thinking budget become. An effort below the least that the model has becomes
that least, and is listed as dropped. Where a JSON schema cannot stand beside tools, it becomes one more tool, and the
model must call one of them; `json_object` beside tools is dropped.

"""
CLAUDE = f"""
### Claude (Anthropic, Bedrock, Vertex)

Structured outputs and strict tools: schemas are converted as Anthropic's SDK does. What Claude does not enforce
(`minimum`, `maxLength`, `pattern`, ...) moves into the description and is listed, such as `response_format.minimum`.
Objects with properties are closed. A schema that structured outputs cannot have (free-form objects, any value,
recursion, more than {MAX_OPTIONAL} optional properties or {MAX_UNIONS} of several types) becomes a tool that the model
must call. A strict tool with such a schema, or beyond {MAX_STRICT_TOOLS} of them, is sent without `strict`, which is
listed. Bedrock gets no `strict`.

A model that thinks with a budget refuses to go on after tool calls, or to continue a final answer, that does not
begin with its thinking. Lines of Chat Completions cannot carry that, so `reasoning_effort` is dropped there. `user`
is dropped where it is an e-mail address, which Anthropic refuses. Source of the table: platform.claude.com/docs, the
pages of extended thinking, adaptive thinking and structured outputs, and the migration guides.

"""
NOVA = """
### Nova

Schemas of tools keep `type`, `properties` and `required` at the top. What `$defs` define moves to where it is used;
the rest is listed as dropped. Below the top nothing changes. A response format becomes a tool that the model must
call. Documents of a request get different names, and need text in their message.

"""
REST = """
### Mistral

System messages after an answer or a result move to the front. Between the result of a tool and the next words of the
user stands an answer, "Understood.". A final assistant message is sent with `prefix`. Calls and results that do not
match are rejected. `reasoning_effort` becomes none or high, at models that have it; Magistral always reasons
(github.com/mistralai/mistral-common; docs.mistral.ai/capabilities/reasoning).

### Cohere

A single call takes no response format beside tools: a schema becomes one more tool, as for Gemini. At most 5 stop
sequences (docs.cohere.com/reference/chat). Batches have fewer fields.

### Other models at Bedrock

OpenAI-shaped models get no `top_k` and no `verbosity`, which their server refuses; gpt-oss takes the efforts low,
medium and high. Llama and Mistral's text models take text only.

## Reported both ways

On these, reports differ. Each is a switch of the tables above; the default is what no report says is refused.

- A history of tool calls in a request without `tools`, at Claude and Nova (`history_needs_tools`): its tools are
  declared. At Claude they cannot be called; Nova could call them. Other models get the history alone.
- `tool_choice: none` after tool calls at Nova, which cannot forbid calls (`history_needs_tools`): the tools stay, and
  `tool_choice` is listed as dropped.
- Ids of calls at Vertex, for Gemini 1 and 2 (`call_ids_at_vertex`): left out. Results come in the order of their
  calls.
- A JSON schema in batches of the Gemini API (`json_schema_in_batches`): written in OpenAPI's form, `responseSchema`.
  That has no free-form objects and no recursion: lines with such a schema are rejected.
- `strict` tools at Claude on Bedrock (`STRICT` of `app/translate/messages/tools.py`): sent without `strict`.

## Answers

Only text is handed out: `modalities` with images or sound, and models that make these, are rejected before anything
is sent. A model that gives up ends its line with the error `aborted_answer`, whose message names the provider's reason
(`MALFORMED_FUNCTION_CALL`, `malformed_tool_use`, `finish_reason error`, ...), although the provider counts that as a
success. Its tokens are charged.
"""


def render() -> str:
    """Render the section as Markdown."""
    return "".join([HEAD, GEMINI, _gemini(), CLAUDE, _claude(), NOVA, _nova(), REST])


def _gemini() -> str:
    heads = ("models", "thinking", "sampling", "penalties", "schema beside tools", "continues a final answer", "source")
    return _table(heads, (_gemini_row(row) for row in gemini.ROWS))


def _gemini_row(row: gemini.Row) -> Sequence[str]:
    traits = row.traits
    if traits.output != "text":
        return (row.title, f"rejected: makes {traits.output}", "", "", "", "", row.source)
    if traits.thinking == "budget":
        off = "0, or " if traits.can_turn_off else ""
        thinking = f"{off}{traits.least_budget} to {traits.most_budget} tokens"
    elif traits.thinking == "level":
        thinking = ", ".join(level.lower() for level in traits.levels)
    else:
        thinking = "dropped"
    return (
        row.title,
        thinking,
        "yes" if traits.sampling else "dropped",
        "yes" if traits.penalties else "dropped",
        "yes" if traits.tools_with_schema else "as a tool",
        "yes" if traits.prefill else "rejected",
        row.source,
    )


def _claude() -> str:
    heads = ("models", "thinking", "off", "sampling", "structured outputs", "continues a final answer")
    return _table(heads, (_claude_row(title, claude.traits(model)) for title, model in claude.SHIPPED))


def _claude_row(title: str, traits: claude.Traits) -> Sequence[str]:
    thinking = {"never": "dropped", "budget": "budget", "adaptive": "effort"}[traits.thinks]
    if traits.thinks == "adaptive" and traits.budget:
        thinking = "effort or budget"
    return (
        title,
        thinking,
        "yes" if traits.off == "disabled" else "between tools" if traits.off else "low effort, listed",
        "yes" if traits.sampling else "dropped",
        "yes" if traits.structured else "as a tool",
        "yes" if traits.prefill else "rejected",
    )


def _nova() -> str:
    heads = ("models", "thinking", "images and documents", "source")
    rows = (
        (
            row.title,
            "effort" if row.traits.thinking else "dropped",
            "yes" if row.traits.media else "rejected",
            row.source,
        )
        for row in nova.ROWS
    )
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |\n" for cells in (heads, *rows)]
    return "".join([lines[0], "|---" * len(heads) + "|\n", *lines[1:]])
