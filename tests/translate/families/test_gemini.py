"""What each Gemini model takes and refuses, by Google's pages.

- thinking: https://ai.google.dev/gemini-api/docs/thinking (ranges of budgets, levels of each model)
- what is new in each model: https://ai.google.dev/gemini-api/docs/whats-new-gemini-3.6 and the pages beside it
- function calling: https://ai.google.dev/gemini-api/docs/function-calling
- Vertex: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/gemini/3-5-flash-lite, and others
"""

import pytest

from app.translate.chat import requests
from app.translate.errors import TranslationError
from app.translate.gemini import requests as gemini_requests

HELLO = [{"role": "user", "content": "Hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "schema": CITY}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
CALLED = [
    *HELLO,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
]
OLD, PRO, FLASH, LITE = "gemini-2.0-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"
PRO_3, PRO_31, FLASH_3, LITE_31 = (
    "gemini-3-pro-preview",
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.1-flash-lite",
)
FLASH_35, LITE_35, FLASH_36, FLASH_38 = (
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.6-flash",
    "gemini-3.8-flash",
)


def written(model, *, flavour="gemini", messages=HELLO, budget=None, **fields):
    request = requests.read({"model": model, "messages": messages, **fields})
    if budget is not None:
        request.settings["thinking_budget"] = budget
    return gemini_requests.write(request, flavour=flavour)


# (model, reasoning_effort, thinkingConfig, dropped fields).
EFFORTS = [
    (OLD, "none", None, []),
    (OLD, "high", None, ["reasoning_effort"]),
    (PRO, "none", {"thinkingBudget": 128}, ["reasoning_effort"]),
    (PRO, "minimal", {"thinkingBudget": 1024}, []),
    (PRO, "max", {"thinkingBudget": 24576}, []),
    ("models/gemini-2.5-pro", "none", {"thinkingBudget": 128}, ["reasoning_effort"]),
    ("publishers/google/models/gemini-2.5-pro", "none", {"thinkingBudget": 128}, ["reasoning_effort"]),
    ("gemini-2.5-pro-preview-06-05", "none", {"thinkingBudget": 128}, ["reasoning_effort"]),
    (FLASH, "none", {"thinkingBudget": 0}, []),
    (LITE, "none", {"thinkingBudget": 0}, []),
    (LITE, "low", {"thinkingBudget": 1024}, []),
    (PRO_3, "none", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    (PRO_3, "minimal", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    (PRO_3, "medium", {"thinkingLevel": "HIGH"}, ["reasoning_effort"]),
    (PRO_31, "none", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    (PRO_31, "minimal", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    (PRO_31, "medium", {"thinkingLevel": "MEDIUM"}, []),
    (PRO_31, "xhigh", {"thinkingLevel": "HIGH"}, []),
    (FLASH_3, "none", {"thinkingLevel": "MINIMAL"}, []),
    (LITE_31, "minimal", {"thinkingLevel": "MINIMAL"}, []),
    (FLASH_35, "minimal", {"thinkingLevel": "MINIMAL"}, []),
    (FLASH_36, "none", {"thinkingLevel": "MINIMAL"}, []),
    ("gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    (FLASH_38, "none", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    ("gemini-pro-latest", "minimal", {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
    ("gemini-flash-latest", "high", {"thinkingLevel": "HIGH"}, []),
]


@pytest.mark.parametrize(("model", "effort", "config", "dropped"), EFFORTS)
def test_an_effort_becomes_what_the_model_takes(model, effort, config, dropped):
    output = written(model, reasoning_effort=effort)

    assert output.body.get("generationConfig", {}).get("thinkingConfig") == config
    assert output.dropped == dropped


# (model, budget in tokens, thinkingConfig, dropped fields).
BUDGETS = [
    (PRO, 0, {"thinkingBudget": 128}, ["thinking_budget"]),
    (PRO, 64, {"thinkingBudget": 128, "includeThoughts": True}, []),
    (PRO, 99999, {"thinkingBudget": 32768, "includeThoughts": True}, []),
    (FLASH, 99999, {"thinkingBudget": 24576, "includeThoughts": True}, []),
    (FLASH, 0, {"thinkingBudget": 0}, []),
    (LITE, 100, {"thinkingBudget": 512, "includeThoughts": True}, []),
    (LITE, 0, {"thinkingBudget": 0}, []),
    (PRO_31, 0, {"thinkingLevel": "LOW"}, ["thinking_budget"]),
    (FLASH_3, 0, {"thinkingLevel": "MINIMAL"}, []),
    (FLASH_38, 1024, {"thinkingLevel": "LOW", "includeThoughts": True}, ["thinking_budget"]),
    (FLASH_38, 8192, {"thinkingLevel": "MEDIUM", "includeThoughts": True}, ["thinking_budget"]),
    (FLASH_38, 30000, {"thinkingLevel": "HIGH", "includeThoughts": True}, ["thinking_budget"]),
]


@pytest.mark.parametrize(("model", "budget", "config", "dropped"), BUDGETS)
def test_a_budget_becomes_what_the_model_takes(model, budget, config, dropped):
    output = written(model, budget=budget)

    assert output.body["generationConfig"]["thinkingConfig"] == config
    assert output.dropped == dropped


PENALTIES = {"frequency_penalty": 0.5, "presence_penalty": -0.5}
SAMPLING = {"temperature": 0.2, "top_p": 0.5, "top_k": 3}
# (model, settings, generationConfig, dropped fields).
SETTINGS = [
    (OLD, PENALTIES, {"frequencyPenalty": 0.5, "presencePenalty": -0.5}, []),
    ("gemini-1.5-pro", PENALTIES, {"frequencyPenalty": 0.5, "presencePenalty": -0.5}, []),
    *((model, PENALTIES, None, list(PENALTIES)) for model in (PRO, FLASH, LITE, PRO_3, FLASH_35, FLASH_38)),
    (PRO, {"frequency_penalty": 0, "presence_penalty": 0.0}, None, []),
    (FLASH, SAMPLING, {"temperature": 0.2, "topP": 0.5, "topK": 3}, []),
    (FLASH_35, SAMPLING, {"temperature": 0.2, "topP": 0.5, "topK": 3}, []),
    *((model, SAMPLING, None, list(SAMPLING)) for model in (LITE_35, FLASH_36, "gemini-3.7-flash", FLASH_38)),
    (FLASH_38, {"temperature": 1, "top_p": 1}, None, []),
    (FLASH_38, {"temperature": 1.0, "max_tokens": 5}, {"maxOutputTokens": 5}, []),
]


@pytest.mark.parametrize(("model", "fields", "config", "dropped"), SETTINGS)
def test_settings_that_the_model_refuses_or_ignores_are_dropped_and_listed(model, fields, config, dropped):
    output = written(model, **fields)

    assert output.body.get("generationConfig") == config
    assert output.dropped == dropped


@pytest.mark.parametrize("model", [OLD, PRO, FLASH, LITE])
def test_up_to_2_5_a_schema_beside_tools_becomes_a_tool(model):
    output = written(model, tools=[WEATHER], response_format=FORMAT)

    assert "generationConfig" not in output.body
    [tools] = output.body["tools"]
    answer = {"name": "batchgate_answer", "description": "Give the answer.", "parametersJsonSchema": CITY}
    assert tools["functionDeclarations"] == [{"name": "weather", "parametersJsonSchema": CITY}, answer]
    assert output.body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert output.dropped == []


@pytest.mark.parametrize("model", [PRO_3, FLASH_35, FLASH_38])
def test_from_3_on_a_schema_stands_beside_tools(model):
    output = written(model, tools=[WEATHER], response_format=FORMAT)

    assert output.body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": CITY}
    assert len(output.body["tools"][0]["functionDeclarations"]) == 1
    assert "toolConfig" not in output.body


# (tool_choice, functions, mode, whether the answer has the schema's type) at Gemini 2.5.
NAMED = {"type": "function", "function": {"name": "weather"}}
CHOICES = [
    ("auto", ["weather", "batchgate_answer"], "ANY", False),
    ("required", ["weather"], "ANY", False),
    (NAMED, ["weather"], "ANY", False),
    ("none", None, None, True),
]


@pytest.mark.parametrize(("choice", "names", "mode", "typed"), CHOICES)
def test_up_to_2_5_the_choice_decides_between_tools_and_schema(choice, names, mode, typed):
    output = written(FLASH, tools=[WEATHER], response_format=FORMAT, tool_choice=choice)

    declared = [item["name"] for tool in output.body.get("tools", []) for item in tool["functionDeclarations"]]
    assert declared == (names or [])
    assert output.body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == mode
    assert ("responseJsonSchema" in output.body.get("generationConfig", {})) is typed


def test_up_to_2_5_any_json_beside_tools_is_a_hint():
    output = written(FLASH, tools=[WEATHER], response_format={"type": "json_object"})

    assert "generationConfig" not in output.body
    assert output.dropped == ["response_format"]


REFUSED = {
    "a list beside tools": (
        FLASH,
        {
            "tools": [WEATHER],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
        },
        "response_format",
    ),
    "a tool of the gateway's name": (
        FLASH,
        {
            "tools": [{"type": "function", "function": {"name": "batchgate_answer"}}],
            "response_format": FORMAT,
        },
        "tools",
    ),
    "sound": (FLASH, {"modalities": ["text", "audio"]}, "modalities"),
    "an image": (FLASH_38, {"modalities": ["image"]}, "modalities"),
    "text and image": ("gemini-3-pro-image-preview", {"modalities": ["text", "image"]}, "modalities"),
    "a model of images": ("gemini-2.5-flash-image", {}, "model"),
    "a newer model of images": ("models/gemini-3-pro-image-preview", {}, "model"),
    "a model of images, by another name": ("gemini-2.0-flash-preview-image-generation", {}, "model"),
    "a model of speech": ("gemini-2.5-flash-preview-tts", {}, "model"),
    "a model of live sound": ("gemini-2.5-flash-native-audio-preview-09-2025", {}, "model"),
    "too many stops": (FLASH, {"stop": list("abcdef")}, "stop"),
    "a final answer to continue at 3.6": (
        FLASH_36,
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]},
        "messages",
    ),
    "a final answer to continue at 3.5 Flash-Lite": (
        LITE_35,
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]},
        "messages",
    ),
    "a function name that begins with a digit": (
        FLASH,
        {"tools": [{"type": "function", "function": {"name": "2nd"}}]},
        "tools",
    ),
    "no function of that name": (
        FLASH,
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "tool_choice",
    ),
    "more candidates than 8": (FLASH, {"n": 9}, "n"),
}


@pytest.mark.parametrize(("model", "fields", "param"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("flavour", ["gemini", "vertex"])
def test_what_the_model_cannot_do_is_refused_before_sending(model, fields, param, flavour):
    with pytest.raises(TranslationError) as refused:
        written(model, flavour=flavour, **fields)
    assert refused.value.param == param


@pytest.mark.parametrize("model", [FLASH, PRO_3, FLASH_35])
def test_other_models_continue_a_final_answer(model):
    output = written(model, messages=[*HELLO, {"role": "assistant", "content": "Hi"}])

    assert output.body["contents"][-1] == {"role": "model", "parts": [{"text": "Hi"}]}


# Reported both ways: https://github.com/vercel/ai/issues/15664, https://github.com/anomalyco/opencode/pull/50504.
@pytest.mark.parametrize(
    ("model", "flavour", "named"),
    [
        (FLASH, "vertex", False),
        (OLD, "vertex", False),
        (FLASH_35, "vertex", True),
        (FLASH, "gemini", True),
        (FLASH_35, "gemini", True),
    ],
)
def test_calls_have_ids_where_the_model_knows_them(model, flavour, named):
    contents = written(model, flavour=flavour, messages=CALLED).body["contents"]

    assert ("id" in contents[1]["parts"][0]["functionCall"]) is named
    assert ("id" in contents[2]["parts"][0]["functionResponse"]) is named


def test_without_ids_results_come_in_the_order_of_their_calls():
    calls = [{**CALL, "id": f"call_{number}"} for number in (1, 2, 3)]
    said = {"role": "assistant", "content": "Let me see.", "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": f"call_{number}", "content": f"R{number}"} for number in (3, 1, 2)]
    messages = [*HELLO, said, *results, {"role": "user", "content": "So?"}]
    contents = written(FLASH, flavour="vertex", messages=messages).body["contents"]

    *answered, last = contents[2]["parts"]
    assert [part["functionResponse"]["response"] for part in answered] == [{"result": f"R{n}"} for n in (1, 2, 3)]
    assert last == {"text": "So?"}


def test_a_history_of_calls_needs_no_tools():
    assert "tools" not in written(FLASH, messages=CALLED).body


# In batches, responseJsonSchema gives wrong answers: https://github.com/crmne/ruby_llm/issues/894.
def test_in_a_batch_a_schema_is_written_as_openapi():
    request = requests.read({"model": FLASH, "messages": HELLO, "response_format": FORMAT})

    config = gemini_requests.write(request, flavour="gemini", in_batch=True).body["generationConfig"]
    schema = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
    assert config == {"responseMimeType": "application/json", "responseSchema": schema}
    assert "responseJsonSchema" in gemini_requests.write(request, flavour="vertex").body["generationConfig"]
