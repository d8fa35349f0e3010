"""Gemini's generateContent and embedContent, turned into OpenAI's and back: strict about what comes in."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import orjson

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body

BLOCKED = "block-this"
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
UNDERSCORE = re.compile(r"_([a-z])")
MOST_STOPS = 5
# Members of each message, and what they may be; `list` and `dict` are looked at further.
NUMBER = (int, float)
REQUEST: dict[str, Any] = {
    "model": str,
    "contents": list,
    "systemInstruction": dict,
    "tools": list,
    "toolConfig": dict,
    "generationConfig": dict,
    "safetySettings": list,
    "cachedContent": str,
}
CONFIG: dict[str, Any] = {
    "candidateCount": int,
    "stopSequences": list,
    "maxOutputTokens": int,
    "temperature": NUMBER,
    "topP": NUMBER,
    "topK": NUMBER,
    "seed": int,
    "presencePenalty": NUMBER,
    "frequencyPenalty": NUMBER,
    "responseLogprobs": bool,
    "logprobs": int,
    "responseMimeType": str,
    "responseSchema": dict,
    "responseJsonSchema": dict,
    "responseModalities": list,
    "thinkingConfig": dict,
}
THINKING: dict[str, Any] = {"includeThoughts": bool, "thinkingBudget": int, "thinkingLevel": str}
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
CONTENT: dict[str, Any] = {"role": str, "parts": list}
DATA: dict[str, Any] = {
    "text": str,
    "inlineData": dict,
    "fileData": dict,
    "functionCall": dict,
    "functionResponse": dict,
}
FILES = "https://generativelanguage.googleapis.com/v1beta/"
PART: dict[str, Any] = {**DATA, "thought": bool, "thoughtSignature": str}
BLOB: dict[str, Any] = {"mimeType": str, "data": str}
FILE: dict[str, Any] = {"mimeType": str, "fileUri": str}
CALL: dict[str, Any] = {"id": str, "name": str, "args": dict}
RESULT: dict[str, Any] = {"id": str, "name": str, "response": dict, "parts": list}
DECLARATION: dict[str, Any] = {"name": str, "description": str, "parameters": dict, "parametersJsonSchema": dict}
CALLING: dict[str, Any] = {"mode": str, "allowedFunctionNames": list}
EMBEDDING: dict[str, Any] = {
    "model": str,
    "content": dict,
    "taskType": str,
    "title": str,
    "outputDimensionality": int,
}
TASKS = ("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING")
CHOICES = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
FINISHES = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS"}


def wrong(message: str) -> Refusal:
    return Refusal(400, message, code="INVALID_ARGUMENT")


def expect(fine: bool, message: str) -> None:
    if not fine:
        raise wrong(message)


def message(value: Any, known: dict[str, Any], at: str) -> Body:
    """An object whose members are known ones, in either spelling, and of the right types."""
    expect(isinstance(value, dict), f"Invalid value at '{at}'")
    spelt = {UNDERSCORE.sub(lambda match: match[1].upper(), name): member for name, member in value.items()}
    expect(len(spelt) == len(value), f"A member of '{at}' is there twice")
    for name, member in spelt.items():
        expect(name in known, f"Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field.")
        fits = isinstance(member, known[name]) and not (isinstance(member, bool) and known[name] is not bool)
        expect(fits, f"Invalid value at '{at}.{name}'")
    return spelt


def to_chat(request: Any, model: str, *, also: dict[str, Any] | None = None) -> Body:
    """The body of a chat completion; `also` are members that a request may have besides."""
    asked = message(request, REQUEST | (also or {}), "request")
    expect(bool(asked.get("contents")), "GenerateContentRequest.contents: contents is not specified")
    messages: list[Body] = []
    if "systemInstruction" in asked:
        parts = _parts(asked["systemInstruction"], "system_instruction")
        expect(all("text" in part for part in parts), "system_instruction must be text")
        messages.append({"role": "system", "content": "\n\n".join(part["text"] for part in parts)})
    open_calls: list[Body] = []
    for number, content in enumerate(asked["contents"]):
        at = f"request.contents[{number}]"
        parts = _parts(content, at)
        role = content.get("role", "user")
        expect(role in ("user", "model"), f"Please use a valid role: user, model. ({at})")
        given = [part["functionResponse"] for part in parts if "functionResponse" in part]
        expect(
            [result["name"] for result in given] == [call["name"] for call in open_calls],
            "Please ensure that the number of function response parts is equal to the number of function call parts "
            "of the function call turn.",
        )
        messages += _said(parts, model, at) if role == "model" else _asked(parts)
        open_calls = [part["functionCall"] for part in parts if "functionCall" in part]
    body: Body = {"messages": messages, **_config(asked.get("generationConfig", {}), model)}
    return {**body, **_tools(asked)}


def _parts(content: Any, at: str) -> list[Body]:
    told = message(content, CONTENT, at)
    expect(bool(told.get("parts")), f"{at}.parts must not be empty.")
    return [_part(part, f"{at}.parts[{number}]") for number, part in enumerate(told["parts"])]


def _part(value: Any, at: str) -> Body:
    part = message(value, PART, at)
    expect(len(part.keys() & DATA.keys()) == 1, f"{at}.data: required oneof field 'data' must have one initialized")
    expect(part.get("text") != "", f"{at}: must have a text that is not empty")
    if "thoughtSignature" in part:
        _bytes(part["thoughtSignature"], f"{at}.thought_signature")
    if "inlineData" in part:
        part["inlineData"] = blob = message(part["inlineData"], BLOB, at)
        expect(bool(blob.get("mimeType")), f"{at}.inline_data.mime_type: must be set")
        _bytes(blob.get("data", ""), f"{at}.inline_data.data")
    if "fileData" in part:
        part["fileData"] = message(part["fileData"], FILE, at)
        expect(bool(part["fileData"].get("fileUri")), f"{at}.file_data.file_uri: must be set")
    for name, known in (("functionCall", CALL), ("functionResponse", RESULT)):
        if name in part:
            told = message(part[name], known, f"{at}.{name}")
            expect(bool(FUNCTION_NAME.fullmatch(told.get("name", ""))), f"{at}.{name}.name: Invalid function name")
    if "functionResponse" in part:
        expect("response" in part["functionResponse"], f"{at}.function_response.response: must be set")
    return part


def _bytes(text: str, at: str) -> None:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed") from None


def _asked(parts: list[Body]) -> list[Body]:
    """Messages of a turn of the user: results of tools, and the rest."""
    made: list[Body] = []
    for part in parts:
        if "functionResponse" in part:
            told = part["functionResponse"]
            result = told["response"].get("result", told["response"])
            text = result if isinstance(result, str) else orjson.dumps(result).decode()
            made.append({"role": "tool", "tool_call_id": told.get("id", told["name"]), "content": text})
    rest = [_content(part) for part in parts if "functionResponse" not in part]
    if len(rest) == 1 and rest[0]["type"] == "text":
        made.append({"role": "user", "content": rest[0]["text"]})
    elif rest:
        made.append({"role": "user", "content": rest})
    return made


def _content(part: Body) -> Body:
    expect("functionCall" not in part, "Function calls are the model's")
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    if "fileData" in part:
        uri = part["fileData"]["fileUri"]
        if uri.startswith(FILES):
            return {"type": "file", "file": {"file_id": uri.removeprefix(FILES)}}
        return {"type": "image_url", "image_url": {"url": uri}}
    blob = part["inlineData"]
    url = f"data:{blob['mimeType']};base64,{blob['data']}"
    if blob["mimeType"].startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url}}


def _said(parts: list[Body], model: str, at: str) -> list[Body]:
    expect(not any("functionResponse" in part for part in parts), "Function responses are the user's")
    calls = [part for part in parts if "functionCall" in part]
    if calls and model.startswith("gemini-3"):
        text = f"Function call is missing a thought_signature in functionCall parts. ({at})"
        expect("thoughtSignature" in calls[0], text)
    said: Body = {"role": "assistant", "content": None}
    texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    if texts:
        said["content"] = "".join(texts)
    if calls:
        said["tool_calls"] = [
            {
                "id": call.get("id", call["name"]),
                "type": "function",
                "function": {"name": call["name"], "arguments": orjson.dumps(call.get("args", {})).decode()},
            }
            for call in (part["functionCall"] for part in calls)
        ]
    return [said]


def _config(value: Any, model: str) -> Body:
    config = message(value, CONFIG, "request.generation_config")
    made: Body = {"max_tokens": config["maxOutputTokens"]} if "maxOutputTokens" in config else {}
    expect(len(config.get("stopSequences", [])) <= MOST_STOPS, "The number of stop sequences must be at most 5")
    expect(0 <= config.get("temperature", 1) <= 2, "temperature must be in the range [0.0, 2.0]")
    expect(-(2**31) <= config.get("seed", 0) < 2**31, "Invalid value at 'generation_config.seed' (TYPE_INT32)")
    expect("logprobs" not in config or config.get("responseLogprobs") is True, "logprobs needs response_logprobs")
    schema = config.get("responseJsonSchema", config.get("responseSchema"))
    kind = config.get("responseMimeType", "text/plain")
    expect(schema is None or kind == "application/json", "response_schema needs the mime type application/json")
    if kind == "application/json":
        made["response_format"] = {"type": "json_object"}
        if schema is not None:
            made["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    if config.get("candidateCount", 1) != 1:
        made["n"] = config["candidateCount"]
    if "thinkingConfig" in config:
        told = message(config["thinkingConfig"], THINKING, "request.generation_config.thinking_config")
        expect(told.get("thinkingLevel", "LOW") in LEVELS, "Invalid value at 'thinking_level'")
        by_level = model.startswith("gemini-3")
        expect(by_level or "thinkingLevel" not in told, "Thinking level is not supported for this model.")
        expect(not {"thinkingLevel", "thinkingBudget"} <= told.keys(), "Set either thinking_level or thinking_budget")
    for kind in config.get("responseModalities", ["TEXT"]):
        expect(kind in ("TEXT", "IMAGE", "AUDIO"), "Invalid value at 'response_modalities'")
    return made


def _tools(asked: Body) -> Body:
    functions: list[Body] = []
    for number, tool in enumerate(asked.get("tools", [])):
        at = f"request.tools[{number}]"
        for value in message(tool, {"functionDeclarations": list}, at).get("functionDeclarations", []):
            told = message(value, DECLARATION, f"{at}.function_declarations")
            expect(bool(FUNCTION_NAME.fullmatch(told.get("name", ""))), f"{at}: Invalid function name")
            function: Body = {"name": told["name"], "description": told.get("description", "")}
            schema = told.get("parametersJsonSchema", told.get("parameters"))
            functions.append(function if schema is None else {**function, "parameters": schema})
    made: Body = {"tools": [{"type": "function", "function": function} for function in functions]} if functions else {}
    if "toolConfig" in asked:
        holder = message(asked["toolConfig"], {"functionCallingConfig": dict}, "request.tool_config")
        told = message(holder.get("functionCallingConfig", {}), CALLING, "request.tool_config.function_calling_config")
        expect(told.get("mode", "AUTO") in CHOICES, "Invalid value at 'tool_config.function_calling_config.mode'")
        names = told.get("allowedFunctionNames", [])
        expect(not names or told.get("mode") == "ANY", "allowed_function_names needs the mode ANY")
        expect(set(names) <= {function["name"] for function in functions}, "allowed_function_names: unknown function")
        made["tool_choice"] = CHOICES[told.get("mode", "AUTO")]
        if len(names) == 1:
            made["tool_choice"] = {"type": "function", "function": {"name": names[0]}}
    return made


def is_blocked(chat: Body) -> bool:
    """Whether the prompt is one that a filter stops."""
    return BLOCKED in str(chat["messages"][-1].get("content"))


def blocked(model: str) -> Body:
    """What comes of a prompt that was blocked: no candidates, and why."""
    usage = {"promptTokenCount": 2, "totalTokenCount": 2}
    return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage, "modelVersion": model}


def from_chat(answers: Iterable[Body], model: str) -> Body:
    """A GenerateContentResponse of a chat completion for each candidate."""
    told = list(answers)
    usage = told[0]["usage"]
    counts = {
        "promptTokenCount": usage["prompt_tokens"],
        "candidatesTokenCount": sum(answer["usage"]["completion_tokens"] for answer in told),
        "cachedContentTokenCount": usage["prompt_tokens_details"]["cached_tokens"],
        "thoughtsTokenCount": usage["completion_tokens_details"]["reasoning_tokens"],
    }
    counts["totalTokenCount"] = counts["promptTokenCount"] + counts["candidatesTokenCount"]
    return {
        "candidates": [_candidate(answer["choices"][0], number, model) for number, answer in enumerate(told)],
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": model,
        "responseId": told[0]["id"].removeprefix("chatcmpl-"),
    }


def _candidate(choice: Body, number: int, model: str) -> Body:
    said = choice["message"]
    parts: list[Body] = [{"text": said["content"]}] if said["content"] else []
    for call in said.get("tool_calls") or []:
        function = {"name": call["function"]["name"], "args": orjson.loads(call["function"]["arguments"])}
        part: Body = {"functionCall": function}
        if model.startswith("gemini-3"):
            part["thoughtSignature"] = base64.b64encode(call["id"].encode()).decode()
        parts.append(part)
    content: Body = {"role": "model", "parts": parts} if parts else {"role": "model"}
    made: Body = {"content": content, "finishReason": FINISHES[choice["finish_reason"]]}
    return {**made, "index": number} if number else made  # what is 0 is not said


def text_to_embed(request: Any) -> str:
    """The text of an EmbedContentRequest."""
    asked = message(request, EMBEDDING, "request")
    parts = _parts(asked.get("content", {}), "request.content")
    expect(len(parts) == 1 and "text" in parts[0], "content must be one text")
    expect(asked.get("taskType", TASKS[0]) in TASKS, "Invalid value at 'task_type'")
    expect(asked.get("outputDimensionality", 1) > 0, "Invalid value at 'output_dimensionality'")
    return str(parts[0]["text"])
