"""Settings of chats in Anthropic's Messages, by model: the table of 28.1, validated with the SDK's types."""

import pytest

from app.translate.chat import requests
from app.translate.messages import requests as messages_requests
from app.translate.messages.models import traits
from app.translate.neutral import Request
from tests.translate.messages_types import valid

OLD, MIDDLE, NEW = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5"
ALWAYS, BETWEEN = "claude-fable-5-1", "claude-sonnet-5-5"
HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "f", "description": "Does f.", "parameters": SCHEMA}}
BARE = {"type": "function", "function": {"name": "g", "strict": True}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}


def written(*, model=OLD, messages=HELLO, **fields):
    """Convert a chat to a message that is valid to Anthropic."""
    output = messages_requests.write(requests.read({"model": model, "messages": messages, **fields}))
    valid(output.body)
    return output


# (model, fields of the chat, members of the message, dropped fields).
SETTINGS = {
    "no limit": (OLD, {}, {"max_tokens": 4096}, []),
    "a limit": (OLD, {"max_tokens": 7}, {"max_tokens": 7}, []),
    "the newer limit": (OLD, {"max_tokens": 7, "max_completion_tokens": 8}, {"max_tokens": 8}, []),
    "temperature": (OLD, {"temperature": 0.5}, {"temperature": 0.5}, []),
    "hot": (OLD, {"temperature": 1.7}, {"temperature": 1}, []),
    "top_p": (OLD, {"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, []),
    "both": (OLD, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": None}, ["top_p"]),
    "both, one of them the default": (OLD, {"temperature": 0.5, "top_p": 1}, {"top_p": None}, []),
    "no sampling": (
        NEW,
        {"temperature": 0.5, "top_p": 0.5, "top_k": 1},
        {"temperature": None, "top_p": None, "top_k": None},
        ["temperature", "top_p", "top_k"],
    ),
    "no sampling, defaults": (NEW, {"temperature": 1, "top_p": 1.0}, {"temperature": None, "top_p": None}, []),
    "stop": (OLD, {"stop": "END"}, {"stop_sequences": ["END"]}, []),
    "stops": (OLD, {"stop": ["a", "", "b"]}, {"stop_sequences": ["a", "b"]}, []),
    "user": (OLD, {"user": "u"}, {"metadata": {"user_id": "u"}}, []),
    "safety_identifier": (OLD, {"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}, []),
    "tier": (OLD, {"service_tier": "default"}, {"service_tier": "standard_only"}, []),
    "other tier": (OLD, {"service_tier": "flex"}, {"service_tier": None}, ["service_tier"]),
    "hints": (
        OLD,
        {"seed": 0, "metadata": {"a": "b"}, "logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "store": True},
        {},
        ["seed", "metadata", "logit_bias", "logprobs", "top_logprobs", "store"],
    ),
    "hints that ask for nothing": (
        OLD,
        {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False, "metadata": {}},
        {},
        [],
    ),
    "json": (OLD, {"response_format": {"type": "json_object"}}, {"output_config": None}, ["response_format"]),
    "schema": (
        OLD,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}}},
        [],
    ),
    "tools": (
        OLD,
        {"tools": [TOOL, BARE]},
        {
            "tools": [
                {"name": "f", "input_schema": SCHEMA, "description": "Does f."},
                {
                    "name": "g",
                    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
                    "strict": True,
                },
            ],
            "tool_choice": None,
        },
        [],
    ),
    "auto": (OLD, {"tools": [TOOL], "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}, []),
    "none": (
        OLD,
        {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
        {"tool_choice": {"type": "none"}},
        [],
    ),
    "required": (OLD, {"tools": [TOOL], "tool_choice": "required"}, {"tool_choice": {"type": "any"}}, []),
    "named": (
        OLD,
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        [],
    ),
    "one by one": (
        OLD,
        {"tools": [TOOL], "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        [],
    ),
    "in parallel": (OLD, {"tools": [TOOL], "parallel_tool_calls": True}, {"tool_choice": None}, []),
    "a choice of no tools": (OLD, {"tool_choice": "auto", "parallel_tool_calls": False}, {"tool_choice": None}, []),
    "effort, with a budget": (
        OLD,
        {"reasoning_effort": "low"},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 5120},
        [],
    ),
    "effort, within the limit": (
        OLD,
        {"reasoning_effort": "high", "max_tokens": 5000},
        {"thinking": {"type": "enabled", "budget_tokens": 3976}, "max_tokens": 5000},
        [],
    ),
    "effort, within a small limit": (
        OLD,
        {"reasoning_effort": "high", "max_tokens": 1025},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        [],
    ),
    "effort, no room": (
        OLD,
        {"reasoning_effort": "high", "max_tokens": 1024},
        {"thinking": None},
        ["reasoning_effort"],
    ),
    "effort, adaptive": (
        MIDDLE,
        {"reasoning_effort": "xhigh", "max_tokens": 9},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "max_tokens": 9},
        [],
    ),
    "effort, newest": (
        NEW,
        {"reasoning_effort": "xhigh"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}, "max_tokens": 28672},
        [],
    ),
    "effort and schema": (
        NEW,
        {
            "reasoning_effort": "minimal",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "string"}}},
        },
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}, "effort": "low"}},
        [],
    ),
    "no effort": (OLD, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, []),
    "no effort, newest": (NEW, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, []),
    "no effort, but between tools": (
        BETWEEN,
        {"reasoning_effort": "none"},
        {"thinking": {"type": "between_tools"}},
        [],
    ),
    "no effort, of one that always thinks": (
        ALWAYS,
        {"reasoning_effort": "none"},
        {"thinking": None, "output_config": {"effort": "low"}},
        ["reasoning_effort"],
    ),
    "effort of one that never thinks": (
        "claude-3-5-haiku-20241022",
        {"reasoning_effort": "high"},
        {"thinking": None},
        ["reasoning_effort"],
    ),
    "thinking and sampling": (
        OLD,
        {"reasoning_effort": "low", "temperature": 0.5, "top_k": 2, "top_p": 0.96},
        {"temperature": None, "top_k": None, "top_p": 0.96},
        ["temperature", "top_k"],
    ),
    "thinking and a call": (
        OLD,
        {"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"},
        {"thinking": None, "tool_choice": {"type": "any"}},
        ["reasoning_effort"],
    ),
    "a call of one that thinks unasked": (
        NEW,
        {"tools": [TOOL], "tool_choice": "required"},
        {"thinking": {"type": "disabled"}, "tool_choice": {"type": "any"}},
        [],
    ),
    "image detail": (OLD, {"messages": [{"role": "user", "content": [IMAGE, IMAGE]}]}, {}, ["detail"]),
    "thoughts of others": (
        OLD,
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}, *HELLO]},
        {},
        ["reasoning_content"],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name):
    model, fields, expected, dropped = SETTINGS[name]

    output = written(model=model, **fields)

    assert {field: output.body.get(field) for field in expected} == expected
    assert sorted(output.dropped) == sorted(dropped)


# Settings that chats do not have.
OWN = {
    "a budget": (OLD, {"thinking_budget": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, []),
    "a small budget": (OLD, {"thinking_budget": 5}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, []),
    "no budget": (OLD, {"thinking_budget": 0}, {"thinking": {"type": "disabled"}}, []),
    "a budget, adaptive": (
        NEW,
        {"thinking_budget": 2000},
        {"thinking": {"type": "adaptive"}, "output_config": None},
        ["thinking_budget"],
    ),
    "a budget of the last that has them": (
        MIDDLE,
        {"thinking_budget": 2000},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        [],
    ),
    "both": (
        OLD,
        {"thinking_budget": 2000, "reasoning_effort": "low"},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        ["reasoning_effort"],
    ),
    "unknown effort": (OLD, {"reasoning_effort": "heroic"}, {"thinking": None}, ["reasoning_effort"]),
    "unknown effort and a budget": (
        NEW,
        {"reasoning_effort": "heroic", "thinking_budget": 2000},
        {"thinking": {"type": "adaptive"}},
        ["reasoning_effort", "thinking_budget"],
    ),
    "verbosity": (OLD, {"verbosity": "low"}, {}, ["verbosity"]),
}


@pytest.mark.parametrize("name", OWN)
def test_settings_of_other_dialects(name):
    model, settings, expected, dropped = OWN[name]

    output = messages_requests.write(Request(model, [("user", "Hello")], settings))

    valid(output.body)
    assert {field: output.body.get(field) for field in expected} == expected
    assert sorted(output.dropped) == dropped


MODELS = {
    "claude-3-5-sonnet-20241022": (True, True, "never", "disabled", False),
    "claude-3-7-sonnet-latest": (True, True, "budget", "disabled", False),
    "claude-sonnet-4-20250514": (True, True, "budget", "disabled", False),
    "anthropic.claude-opus-4-1-20250805-v1:0": (True, True, "budget", "disabled", False),
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": (True, True, "budget", "disabled", False),
    "claude-haiku-4-5@20251001": (True, True, "budget", "disabled", False),
    "publishers/anthropic/models/claude-opus-4-6": (True, False, "adaptive", "disabled", False),
    "claude-sonnet-4-6": (True, False, "adaptive", "disabled", False),
    "claude-opus-4-7": (False, False, "adaptive", "disabled", False),
    "claude-opus-4-8": (False, False, "adaptive", "disabled", False),
    "claude-sonnet-5": (False, False, "adaptive", "disabled", True),
    "claude-haiku-5-5": (False, False, "adaptive", "disabled", True),
    "claude-opus-5-5": (False, False, "adaptive", None, True),
    "claude-sonnet-5-5": (False, False, "adaptive", "between_tools", True),
    "claude-fable-5-2": (False, False, "adaptive", None, True),
    "claude-mythos-preview": (False, False, "adaptive", None, True),
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc": (True, True, "adaptive", "disabled", False),
}


@pytest.mark.parametrize("model", MODELS)
def test_traits_follow_from_the_model_name(model):
    result = traits(model)

    assert (result.sampling, result.prefill, result.thinks, result.off, result.thinks_by_default) == MODELS[model]
