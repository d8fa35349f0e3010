"""Cohere's requests checked, and put as OpenAI's for the model that all fakes share; its answers in Cohere's form."""

from typing import Any

import orjson

from tests.fakes.openai_app import Refusal

Body = dict[str, Any]
NUMBER = (int, float)
# What a row of a batch may have (contracts: providers, 6), by name, with the types of its values.
CHAT_ROW: dict[str, tuple[type, ...]] = {
    "messages": (list,),
    "tools": (list,),
    "temperature": NUMBER,
    "p": NUMBER,
    "k": (int,),
    "frequency_penalty": NUMBER,
    "presence_penalty": NUMBER,
    "max_tokens": (int,),
    "seed": (int,),
    "logprobs": (bool,),
    "reasoning": (bool,),
    "thinking_budget": (int,),
}
EMBED_ROW: dict[str, tuple[type, ...]] = {
    "texts": (list,),
    "images": (list,),
    "inputs": (list,),
    "input_type": (str,),
    "max_tokens": (int,),
    "embedding_types": (list,),
    "truncate": (str,),
}
# What single calls may have (the SDK's V2Client; `test_cohere_app` compares them).
CHAT = {
    **{name: kinds for name, kinds in CHAT_ROW.items() if name not in ("reasoning", "thinking_budget")},
    "model": (str,),
    "strict_tools": (bool,),
    "documents": (list,),
    "citation_options": (dict,),
    "response_format": (dict,),
    "safety_mode": (str,),
    "stop_sequences": (list,),
    "tool_choice": (str,),
    "thinking": (dict,),
    "priority": (int,),
    "stream": (bool,),
}
EMBED = {**EMBED_ROW, "model": (str,), "output_dimension": (int,), "priority": (int,)}
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
RANGES = {"p": (0.01, 0.99), "k": (0, 500), "frequency_penalty": (0, 1), "presence_penalty": (0, 1)}
ROLES = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "tool_plan", "citations"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {"system": {"text"}, "user": {"text", "image_url"}, "assistant": {"text", "thinking"}, "tool": {"text"}}
REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
MOST_TEXTS = 96


def expect(holds: bool, message: str) -> None:
    if not holds:
        raise Refusal(400, message)


def known(body: Any, fields: dict[str, tuple[type, ...]], *needed: str) -> None:
    """Refuse a body with other fields, other types or without those that it needs."""
    expect(isinstance(body, dict), "the body must be an object")
    for name, value in body.items():
        expect(name in fields, f"unknown field: parameter '{name}' is not a valid field")
        expect(type(value) in fields[name], f"invalid type: parameter '{name}' is of type {type(value).__name__}")
        low, high = RANGES.get(name, (None, None))
        expect(low is None or low <= value <= high, f"{name} must be between {low} and {high}")
    for name in needed:
        expect(name in body, f"invalid request: {name} is required")


def to_chat(body: Body, *, is_row: bool) -> Body:
    """A chat as OpenAI's model takes it; a row's has parts for contents, and JSON in texts for schemas."""
    known(body, CHAT_ROW if is_row else CHAT, "messages", *(() if is_row else ("model",)))
    expect(bool(body["messages"]), "messages must not be empty")
    made: Body = {"messages": [_message(message, is_row=is_row) for message in body["messages"]]}
    if "max_tokens" in body:
        made["max_tokens"] = body["max_tokens"]
    if "tools" in body:
        expect(bool(body["tools"]), "tools must not be empty")
        made["tools"] = [_tool(tool, is_row=is_row) for tool in body["tools"]]
    choice = body.get("tool_choice")
    if choice is not None:
        expect(choice in ("REQUIRED", "NONE") and "tools" in body, "tool_choice is REQUIRED or NONE, with tools")
        made["tool_choice"] = choice.lower()
    wanted = body.get("response_format")
    if wanted is not None:
        known(wanted, {"type": (str,), "json_schema": (dict,)}, "type")
        expect("tools" not in body, "response_format is not supported with tools")
        made["response_format"] = {"type": wanted["type"]}
    thinking = body.get("thinking")
    if thinking is not None:
        known(thinking, {"type": (str,), "token_budget": (int,)}, "type")
        expect(thinking["type"] in ("enabled", "disabled"), "thinking.type is enabled or disabled")
        expect(thinking.get("token_budget", 1) > 0, "thinking.token_budget must be positive")
    expect(len(body.get("stop_sequences", ())) <= 5, "too many stop_sequences")
    return made


def to_embedding(body: Body, *, is_row: bool) -> Body:
    """An embedding as OpenAI's model takes it."""
    known(body, EMBED_ROW if is_row else EMBED, "input_type", *(() if is_row else ("model",)))
    texts = body.get("texts")
    expect(isinstance(texts, list) and all(isinstance(text, str) for text in texts), "texts must be strings")
    expect(1 <= len(texts or ()) <= MOST_TEXTS, f"at most {MOST_TEXTS} texts")
    expect(body["input_type"] in INPUT_TYPES, "input_type is not valid")
    expect(body.get("embedding_types", ["float"]) == ["float"], "this fake makes floats only")
    return {"input": texts}


def from_chat(answer: Body) -> Body:
    """OpenAI's answer in Cohere's form."""
    [choice] = answer["choices"]
    message, usage = choice["message"], answer["usage"]
    said = message["content"]
    given, made = float(usage["prompt_tokens"]), float(usage["completion_tokens"])
    return {
        "id": answer["id"].removeprefix("chatcmpl-"),
        "finish_reason": REASONS[choice["finish_reason"]],
        "message": {
            "role": "assistant",
            "content": None if said is None else [{"type": "text", "text": said}],
            "tool_calls": message.get("tool_calls"),
        },
        "usage": {
            "billed_units": {"input_tokens": given, "output_tokens": made},
            "tokens": {"input_tokens": given, "output_tokens": made},
            "cached_tokens": float(usage["prompt_tokens_details"]["cached_tokens"]),
        },
    }


def from_embedding(answer: Body, texts: list[str]) -> Body:
    """OpenAI's vectors in Cohere's form."""
    return {
        "id": "embedding-1",
        "response_type": "embeddings_by_type",
        "embeddings": {"float": [item["embedding"] for item in answer["data"]]},
        "texts": texts,
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": float(answer["usage"]["prompt_tokens"])},
        },
    }


def _message(message: Body, *, is_row: bool) -> Body:
    role = message.get("role")
    expect(role in ROLES and set(message) <= ROLES.get(role, set()), f"invalid message of role {role}")
    content = message.get("content")
    expect(content is not None or "tool_calls" in message, "content is required")
    expect(content is None or isinstance(content, list) or not is_row, "content must be an array of parts")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    made: Body = {"role": role, "content": _parts([_part(part, role, is_row=is_row) for part in parts])}
    if "tool_calls" in message:
        made["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    if role == "tool":
        expect(isinstance(message.get("tool_call_id"), str), "tool_call_id is required")
        made["tool_call_id"] = message["tool_call_id"]
    return made


def _parts(parts: list[Body | None]) -> Any:
    """A text alone as a text."""
    said = [part for part in parts if part is not None]
    if len(said) == 1 and said[0]["type"] == "text":
        return said[0]["text"]
    return said or None


def _part(part: Body, role: str, *, is_row: bool) -> Body | None:
    kind = part.get("type")
    expect(kind in PARTS[role] and set(part) == {"type", kind}, f"invalid part {kind} in a message of role {role}")
    value = part[kind]
    if kind == "image_url":
        if not is_row:
            expect(isinstance(value, dict) and set(value) <= {"url", "detail"}, "image_url must be an object")
            value = value["url"]
        expect(isinstance(value, str) and value.startswith(("http", "data:image/")), "image_url must be a URL")
        return {"type": "image_url", "image_url": {"url": value}}
    expect(isinstance(value, str), f"{kind} must be a string")
    return part if kind == "text" else None


def _call(call: Body) -> Body:
    expect(set(call) == {"id", "type", "function"} and call["type"] == "function", "invalid tool call")
    expect(set(call["function"]) == {"name", "arguments"}, "invalid function of a tool call")
    expect(isinstance(call["function"]["arguments"], str), "arguments must be a string")
    return call


def _tool(tool: Body, *, is_row: bool) -> Body:
    expect(set(tool) == {"type", "function"} and tool["type"] == "function", "invalid tool")
    function = tool["function"]
    expect({"name", "parameters"} <= set(function) <= {"name", "description", "parameters"}, "invalid function")
    parameters = function["parameters"]
    if is_row:
        expect(isinstance(parameters, str), "parameters must be a JSON string")
        parameters = orjson.loads(parameters)
    expect(isinstance(parameters, dict), "parameters must be a schema")
    return {"type": "function", "function": {**function, "parameters": parameters}}
