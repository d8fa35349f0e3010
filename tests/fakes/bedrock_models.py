"""Bodies of Bedrock's model families (contracts: providers, 5.3), checked, turned into OpenAI's requests, and back."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from tests.fakes import anthropic_messages, model_rules
from tests.fakes.openai_app import Refusal

Body = dict[str, Any]
# Inference profiles have a region before the model's own id; ARNs have all kinds of things.
MODEL = re.compile(r"(?:arn:.*/)?(?:(?:us|eu|apac|global|us-gov|jp|au|ca)\.)?(.+)")
CLAUDE_VERSION = "bedrock-2023-05-31"
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
FORMATS = ("png", "jpeg", "gif", "webp")
DOCUMENTS = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
NAME = re.compile(r"[A-Za-z0-9\s\-()\[\]]{1,200}")
MOST_TEXTS = 96
LLAMA_TURN = re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>", re.DOTALL)
OPENAI_SHAPED = ("openai.", "qwen.", "deepseek.", "moonshot", "minimax", "zai.", "mistral.")
OPENAI_FIELDS = frozenset(
    {
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "user",
        "service_tier",
        "metadata",
    }
)

Run = Callable[[str, Body], Body]


def answer(model_id: str, given: Body, run: Run, *, converse: bool) -> Body:
    """What the model answers to a body of its own. `run` asks the fakes' model. Raises Refusal."""
    match = MODEL.fullmatch(model_id)
    model = match[1] if match else model_id
    if not isinstance(given, dict):
        raise Refusal(400, "Malformed input request, please reformat your input and try again.")
    if converse:
        return _conversed(run("/v1/chat/completions", {"model": model, **_conversation(given, model, converse=True)}))
    for start, family in FAMILIES.items():
        if model.startswith(start):
            return family(model, given, run)
    raise Refusal(400, "The provided model identifier is invalid.")


def _claude(model: str, given: Body, run: Run) -> Body:
    _expect(given.get("anthropic_version") == CLAUDE_VERSION, "anthropic_version: Field required")
    _known(given, anthropic_messages.FIELDS - {"model", "stream", "service_tier", "container"})
    for message in given.get("messages", []):
        blocks = message["content"] if isinstance(message["content"], list) else []
        sources = [block["source"]["type"] for block in blocks if block.get("type") in ("image", "document")]
        _expect(set(sources) <= {"base64", "text"}, "messages.content.source.type: URL sources are not supported")
    named = model.removeprefix("anthropic.")
    model_rules.bedrock_claude({"model": named, **given})
    chat = anthropic_messages.chat_of({"model": named, **given})
    return anthropic_messages.message_of(run("/v1/chat/completions", chat), tier="standard")


def _nova(model: str, given: Body, run: Run) -> Body:
    _expect(given.get("schemaVersion") == "messages-v1", "schemaVersion must be messages-v1")
    return _conversed(run("/v1/chat/completions", {"model": model, **_conversation(given, model, converse=False)}))


def _openai(model: str, given: Body, run: Run) -> Body:
    _known(given, OPENAI_FIELDS)
    return run("/v1/chat/completions", {"model": model, **given})


def _llama(model: str, given: Body, run: Run) -> Body:
    _known(given, {"prompt", "max_gen_len", "temperature", "top_p", "images"})
    prompt = given.get("prompt")
    _expect(isinstance(prompt, str) and prompt.startswith("<|begin_of_text|>"), "prompt: must be in the template")
    turns = LLAMA_TURN.findall(prompt)
    end = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    _expect(turns and prompt.endswith(end), "prompt: must end where the assistant begins")
    messages = [{"role": role, "content": text} for role, text in turns]
    _expect(0 < given.get("max_gen_len", 512) <= 8192, "max_gen_len: out of range")
    chat = run(
        "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": given.get("max_gen_len", 512)}
    )
    [choice] = chat["choices"]
    return {
        "generation": choice["message"]["content"],
        "prompt_token_count": chat["usage"]["prompt_tokens"],
        "generation_token_count": chat["usage"]["completion_tokens"],
        "stop_reason": choice["finish_reason"],
    }


def _titan_embed(model: str, given: Body, run: Run) -> Body:
    _known(given, {"inputText", "dimensions", "normalize", "embeddingTypes"})
    _expect(isinstance(given.get("inputText"), str) and given["inputText"], "inputText: must be a text")
    _expect(given.get("dimensions", 1024) in (256, 512, 1024), "dimensions: must be 256, 512 or 1024")
    made = run("/v1/embeddings", {"model": model, "input": given["inputText"]})
    vector = made["data"][0]["embedding"]
    tokens = made["usage"]["prompt_tokens"]
    return {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": tokens}


def _cohere_embed(model: str, given: Body, run: Run) -> Body:
    _known(given, {"texts", "input_type", "truncate", "embedding_types", "output_dimension", "max_tokens"})
    texts = given.get("texts")
    _expect(isinstance(texts, list) and 0 < len(texts) <= MOST_TEXTS, "texts: from 1 to 96")
    kinds = ("search_document", "search_query", "classification", "clustering")
    _expect(given.get("input_type") in kinds, "input_type: is required")
    made = run("/v1/embeddings", {"model": model, "input": texts})
    vectors = [item["embedding"] for item in made["data"]]
    typed = given.get("embedding_types")
    _expect(typed in (None, ["float"]), "embedding_types: only float is run here")
    kind = "embeddings_by_type" if typed else "embeddings_floats"
    shown = {"float": vectors} if typed else vectors
    return {"embeddings": shown, "id": "1", "texts": [text.lower() for text in texts], "response_type": kind}


# By how ids begin, the most telling first.
FAMILIES = {
    "anthropic.": _claude,
    "amazon.nova-": _nova,
    "amazon.titan-embed-text": _titan_embed,
    "cohere.embed-": _cohere_embed,
    "meta.llama": _llama,
    **dict.fromkeys(OPENAI_SHAPED, _openai),
}


def _conversation(given: Body, model: str, *, converse: bool) -> Body:
    own = {"additionalModelRequestFields", "outputConfig", "requestMetadata", "performanceConfig", "guardrailConfig"}
    _known(given, {"messages", "system", "inferenceConfig", "toolConfig", *(own if converse else ("schemaVersion",))})
    _expect(not (converse and "toolConfig" in given), "toolConfig is not supported in batch inference")
    settings = given.get("inferenceConfig", {})
    _known(settings, {"maxTokens", "temperature", "topP", "stopSequences", *(() if converse else ("topK",))})
    chat: Body = {"messages": [{"role": "system", "content": _text(block)} for block in given.get("system", [])]}
    turns = given.get("messages")
    _expect(isinstance(turns, list) and turns, "messages: must not be empty")
    for number, turn in enumerate(turns):
        _known(turn, {"role", "content"})
        wanted = ("user", "assistant")[number % 2]
        _expect(turn["role"] == wanted, f"messages.{number}: roles alternate, and the user begins")
        chat["messages"] += _messages(turn)
    model_rules.nova(given, model)
    if "maxTokens" in settings:
        chat["max_tokens"] = settings["maxTokens"]
    tools = given.get("toolConfig", {})
    _known(tools, {"tools", "toolChoice"})
    if tools:
        specs = [tool["toolSpec"] for tool in tools["tools"]]
        _expect(specs, "toolConfig.tools: must not be empty")
        for spec in specs:
            _known(spec, {"name", "description", "inputSchema"})
            _expect(spec.get("description", "x"), "toolSpec.description: must not be empty")
        chat["tools"] = [
            {"type": "function", "function": {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}}
            for spec in specs
        ]
        [(kind, value)] = tools.get("toolChoice", {"auto": {}}).items()
        named = {"type": "function", "function": {"name": value.get("name")}}
        chat["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}[kind]
    wanted_format = given.get("outputConfig", {}).get("textFormat")
    if wanted_format:
        inner = wanted_format["structure"]["jsonSchema"]
        schema = {"name": inner.get("name", "answer"), "schema": orjson.loads(inner["schema"])}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def _messages(turn: Body) -> list[Body]:
    made: list[Body] = []
    parts: list[Body] = []
    calls: list[Body] = []
    _expect(isinstance(turn["content"], list) and turn["content"], "content: must not be empty")
    for block in turn["content"]:
        [(kind, value)] = block.items()
        if kind == "text":
            parts.append({"type": "text", "text": _text(block)})
        elif kind == "toolResult" and turn["role"] == "user":
            _known(value, {"toolUseId", "content", "status"})
            text = "".join(
                item["text"] if "text" in item else orjson.dumps(item["json"]).decode() for item in value["content"]
            )
            made.append({"role": "tool", "tool_call_id": value["toolUseId"], "content": text})
        elif kind == "toolUse" and turn["role"] == "assistant":
            _known(value, {"toolUseId", "name", "input"})
            function = {"name": value["name"], "arguments": orjson.dumps(value["input"]).decode()}
            calls.append({"id": value["toolUseId"], "type": "function", "function": function})
        elif kind in ("image", "document") and turn["role"] == "user":
            parts.append(_media(kind, value))
        elif kind == "reasoningContent" and turn["role"] == "assistant":
            continue
        else:
            raise Refusal(400, f"content: {kind} is no block of the {turn['role']}")
    said = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts or None
    if said or calls:
        made.append({"role": turn["role"], "content": said, **({"tool_calls": calls} if calls else {})})
    return made


def _media(kind: str, value: Body) -> Body:
    data = value["source"]["bytes"]
    if kind == "image":
        _expect(value["format"] in FORMATS, "image.format: is not known")
        return {"type": "image_url", "image_url": {"url": f"data:image/{value['format']};base64,{data}"}}
    _expect(value["format"] in DOCUMENTS, "document.format: is not known")
    _expect(NAME.fullmatch(value["name"]), "document.name: has characters that are not allowed")
    url = f"data:application/{value['format']};base64,{data}"
    return {"type": "file", "file": {"filename": value["name"], "file_data": url}}


def _conversed(chat: Body) -> Body:
    [choice] = chat["choices"]
    content: list[Body] = []
    if choice["message"]["content"]:
        content.append({"text": choice["message"]["content"]})
    for call in choice["message"].get("tool_calls") or []:
        given = orjson.loads(call["function"]["arguments"])
        content.append({"toolUse": {"toolUseId": call["id"], "name": call["function"]["name"], "input": given}})
    usage = chat["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": STOPS[choice["finish_reason"]],
        "usage": {
            "inputTokens": usage["prompt_tokens"] - cached,
            "outputTokens": usage["completion_tokens"],
            "totalTokens": usage["total_tokens"],
            "cacheReadInputTokens": cached,
            "cacheWriteInputTokens": 0,
        },
    }


def _text(block: Body) -> str:
    _known(block, {"text"})
    _expect(isinstance(block.get("text"), str) and block["text"].strip(), "The text field in a block is blank.")
    return str(block["text"])


def _known(given: Any, names: Any) -> None:
    _expect(isinstance(given, dict), "Malformed input request: expected a JSON object")
    unknown = sorted(set(given) - set(names))
    _expect(not unknown, f"Malformed input request: extraneous key {unknown} is not permitted")


def _expect(holds: Any, message: str) -> None:
    if not holds:
        raise Refusal(400, message)
