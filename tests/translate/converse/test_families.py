"""Families of Bedrock's models: their ids, and the dialects other than Converse."""

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from app.translate.chat import requests
from app.translate.converse.families import family
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Choice, EmbeddingRequest, Thinking, ToolCall

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
LLAMA_3 = "us.meta.llama3-3-70b-instruct-v1:0"
LLAMA_4 = "us.meta.llama4-scout-17b-instruct-v1:0"
MISTRAL_TEXT = "mistral.mistral-7b-instruct-v0:2"
MISTRAL_CHAT = "mistral.mistral-large-2407-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-english-v3"
ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_abcdef", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TALK = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]
MESSAGE = TypeAdapter(MessageCreateParamsNonStreaming)
CHAT = TypeAdapter(CompletionCreateParamsNonStreaming)


def written(model, **body):
    request = requests.read({"model": model, "messages": [{"role": "user", "content": "Hi"}], **body})
    return family(model).write(request)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude"),
        (CLAUDE, "claude"),
        (f"{ACCOUNT}:inference-profile/{CLAUDE}", "claude"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "claude"),
        ("apac.amazon.nova-pro-v1:0", "nova"),
        ("global.amazon.nova-2-lite-v1:0", "nova"),
        ("eu.amazon.nova-micro-v1:0", "nova"),
        (GPT, "openai"),
        ("qwen.qwen3-32b-v1:0", "openai"),
        ("deepseek.v3-v1:0", "openai"),
        ("moonshot.kimi-k2-thinking", "openai"),
        ("moonshotai.kimi-k2.5", "openai"),
        ("minimax.minimax-m2", "openai"),
        ("zai.glm-4.7", "openai"),
        (LLAMA_3, "llama"),
        (LLAMA_4, "llama"),
        (MISTRAL_TEXT, "mistral-text"),
        ("mistral.mixtral-8x7b-instruct-v0:1", "mistral-text"),
        (MISTRAL_CHAT, "mistral"),
        ("us.mistral.pixtral-large-2502-v1:0", "mistral"),
        (TITAN, "titan"),
        ("amazon.titan-embed-text-v1", "titan"),
        (COHERE, "cohere"),
        ("us.cohere.embed-v4:0", "cohere"),
    ],
)
def test_the_model_id_names_the_family(model, name):
    result = family(model)
    assert result.name == name and result.is_embedding is (name in ("titan", "cohere"))
    assert family(model, mode="converse").name == (name if result.is_embedding else "converse")


@pytest.mark.parametrize(
    "model",
    [
        f"{ACCOUNT}:application-inference-profile/abcdef012345",
        f"{ACCOUNT}:provisioned-model/abcdef012345",
        f"{ACCOUNT}:imported-model/abcdef012345",
        "amazon.titan-text-express-v1",
        "amazon.titan-embed-image-v1",
        "amazon.nova-canvas-v1:0",
        "ai21.jamba-1-5-mini-v1:0",
        "cohere.command-r-v1:0",
        "deepseek.r1-v1:0",
        "meta.llama2-13b-chat-v1",
        "gpt-4o",
        "",
    ],
)
def test_unknown_ids_need_converse_mode(model):
    with pytest.raises(TranslationError, match="converse"):
        family(model)
    assert family(model, mode="converse").name == "converse"


def test_chat_and_embedding_models_reject_the_other_kind():
    for model in (TITAN, COHERE):
        with pytest.raises(TranslationError, match="embeddings"):
            written(model)
        with pytest.raises(UnexpectedAnswerError):
            family(model).read({})
    with pytest.raises(TranslationError, match="embeddings"):
        family(CLAUDE).write_embeddings(EmbeddingRequest(CLAUDE, ["a"]))
    with pytest.raises(UnexpectedAnswerError):
        family(CLAUDE).read_embeddings({})


def test_claude_gets_a_version_and_no_model():
    body = written(CLAUDE, messages=TALK, max_tokens=5, tools=[TOOL], tool_choice="required").body
    assert body.pop("anthropic_version") == "bedrock-2023-05-31" and "model" not in body
    MESSAGE.validate_python({**body, "model": CLAUDE})
    assert (body["system"], body["max_tokens"], body["tool_choice"]) == ("s", 5, {"type": "any"})


def test_openai_compatible_models_get_chats_without_a_model():
    body = written(GPT, messages=TALK, tools=[TOOL], seed=1, stop="x").body
    assert "model" not in body and "stream" not in body
    CHAT.validate_python({**body, "model": GPT})
    assert body["messages"] == TALK and body["tools"] == [TOOL]


def chat(message, **more):
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return {"choices": [{"message": message, **more}], "usage": usage}


def test_reasoning_tags_of_gpt_oss_become_thinking():
    data = chat({"content": "<reasoning>hm</reasoning>Yes"}, finish_reason="stop")
    answer = family(GPT).read(data, created=7)
    assert answer.choices == [Choice([Thinking("hm"), "Yes"])] and answer.created == 7
    assert family("qwen.qwen3-32b-v1:0").read(data).choices[0].parts == ["<reasoning>hm</reasoning>Yes"]


def test_llama_3_and_4_have_different_templates():
    output = written(LLAMA_3, messages=TALK, max_tokens=5, temperature=0.5, top_p=0.5, stop="x", top_k=3)
    assert output.body == {
        "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nb"
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "max_gen_len": 5,
        "temperature": 0.5,
        "top_p": 0.5,
    }
    assert sorted(output.dropped) == ["stop", "top_k"]
    assert written(LLAMA_4).body["prompt"] == (
        "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )


def test_mistral_instruct_puts_system_messages_into_the_first_turn():
    output = written(MISTRAL_TEXT, messages=TALK, max_tokens=5, stop="x", top_k=3)
    assert output.body == {
        "prompt": "<s>[INST] s\n\na [/INST]b</s>[INST] c [/INST]",
        "max_tokens": 5,
        "stop": ["x"],
        "top_k": 3,
    }


@pytest.mark.parametrize("model", [LLAMA_3, LLAMA_4, MISTRAL_TEXT])
@pytest.mark.parametrize(
    "body",
    [
        {"tools": [TOOL]},
        {"n": 2},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]}]},
        {"messages": [*TALK, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"messages": [*TALK, {"role": "assistant", "content": None, "tool_calls": [CALL]}, TALK[-1]]},
    ],
)
def test_prompt_models_reject_everything_but_text(model, body):
    with pytest.raises(TranslationError):
        written(model, **body)


@pytest.mark.parametrize(
    ("model", "text"),
    [(LLAMA_3, "a<|eot_id|>b"), (LLAMA_4, "<|header_start|>"), (MISTRAL_TEXT, "a [/INST] b"), (MISTRAL_TEXT, "</s>")],
)
def test_text_with_separator_tokens_is_rejected(model, text):
    with pytest.raises(TranslationError, match="another turn"):
        written(model, messages=[{"role": "user", "content": text}])


def test_separator_tokens_of_other_templates_are_text():
    assert "</s>" in written(LLAMA_3, messages=[{"role": "user", "content": "<s>old</s>"}]).body["prompt"]


def test_mistral_instruct_needs_a_user_message_first_and_last():
    for messages in (TALK[:1], TALK[:3], TALK[2:]):
        with pytest.raises(TranslationError, match="user"):
            written(MISTRAL_TEXT, messages=messages)


def test_mistral_chat_models_get_chats():
    history = [TALK[1], {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    result = {"role": "tool", "tool_call_id": "call_abcdef", "content": "x"}
    output = written(
        MISTRAL_CHAT,
        messages=[*history, result],
        tools=[TOOL],
        tool_choice="required",
        max_completion_tokens=5,
        seed=1,
        metadata={"a": "b"},
        service_tier="auto",
        user="u",
    )
    assert output.body["max_tokens"] == 5 and output.body["tool_choice"] == "any"
    assert not {"model", "random_seed", "metadata", "service_tier", "user"} & output.body.keys()
    assert sorted(set(output.dropped)) == ["metadata", "seed", "service_tier", "user"]
    called, data = output.body["messages"][1:]
    assert called["tool_calls"][0]["id"] == data["tool_call_id"] and len(data["tool_call_id"]) == 9


def test_mistral_chat_models_may_return_stop_reason():
    call = {"id": "abcdefghi", "function": {"name": "f", "arguments": "{}"}}
    answer = family(MISTRAL_CHAT).read(chat({"content": "", "tool_calls": [call]}, stop_reason="tool_calls"))
    assert answer.choices == [Choice([ToolCall("abcdefghi", "f", "{}")], "tool_calls")]


def test_llama_and_mistral_answers():
    data = {"generation": "a", "prompt_token_count": 3, "generation_token_count": 2, "stop_reason": "length"}
    answer = family(LLAMA_3).read(data, created=7)
    assert answer.choices == [Choice(["a"], "length")] and answer.created == 7
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 2, 5)
    answer = family(MISTRAL_TEXT).read({"outputs": [{"text": "a", "stop_reason": "stop"}]})
    assert answer.choices == [Choice(["a"])]


def test_titan_gets_one_text_per_record():
    request = EmbeddingRequest(TITAN, ["a", "b"], dimensions=256)
    assert family(TITAN).write_embeddings(request) == [
        {"inputText": "a", "dimensions": 256},
        {"inputText": "b", "dimensions": 256},
    ]
    first = "amazon.titan-embed-text-v1"
    assert family(first).write_embeddings(EmbeddingRequest(first, ["a"])) == [{"inputText": "a"}]
    with pytest.raises(TranslationError, match="dimensions"):
        family(first).write_embeddings(EmbeddingRequest(first, ["a"], dimensions=256))
    answer = family(TITAN).read_embeddings({"embedding": [0.5, 1], "inputTextTokenCount": 3})
    assert answer.vectors == [[0.5, 1]] and answer.usage.input_tokens == 3


def test_cohere_gets_96_texts_per_record():
    texts = [str(number) for number in range(200)]
    records = family(COHERE).write_embeddings(EmbeddingRequest(COHERE, texts))
    assert [len(record["texts"]) for record in records] == [96, 96, 8]
    assert [text for record in records for text in record["texts"]] == texts
    assert records[0]["input_type"] == "search_document"
    [record] = family(COHERE).write_embeddings(EmbeddingRequest(COHERE, ["a"], input_type="search_query"))
    assert record == {"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]}
    with pytest.raises(TranslationError, match="dimensions"):
        family(COHERE).write_embeddings(EmbeddingRequest(COHERE, ["a"], dimensions=256))
    fourth = "us.cohere.embed-v4:0"
    [record] = family(fourth).write_embeddings(EmbeddingRequest(fourth, ["a"], dimensions=256))
    assert record["output_dimension"] == 256
    for data in ([[1.0], [2.0]], {"float": [[1.0], [2.0]]}):
        assert family(COHERE).read_embeddings({"embeddings": data}).vectors == [[1.0], [2.0]]


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "stop_reason", "outputs", "generation", "usage"]), inner
        )
    ),
    max_leaves=8,
)


@given(NONSENSE, st.sampled_from([CLAUDE, GPT, LLAMA_3, MISTRAL_TEXT, MISTRAL_CHAT]))
def test_any_json_is_read_or_raises_an_error(output, model):
    try:
        answer = family(model).read(output)
    except UnexpectedAnswerError:
        return
    assert all(isinstance(choice, Choice) for choice in answer.choices)


@given(NONSENSE, st.sampled_from([TITAN, COHERE]))
def test_any_json_is_read_as_vectors_or_raises_an_error(output, model):
    with pytest.raises(UnexpectedAnswerError):
        family(model).read_embeddings(output)
