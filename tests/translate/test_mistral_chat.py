"""Chat completions to Mistral's dialect and back."""

from app.translate.mistral import call_id, from_mistral, to_mistral


def test_what_mistral_does_not_know_is_left_out_and_the_rest_renamed():
    made = to_mistral(
        {
            "model": "m",
            "messages": [{"role": "developer", "content": "x", "name": "n"}],
            "max_completion_tokens": 5,
            "seed": 7,
            "temperature": 2,
            "tool_choice": "required",
            "user": "u",
            "logit_bias": {},
            "stream_options": None,
            "store": True,
        }
    )

    assert made == {
        "model": "m",
        "messages": [{"role": "system", "content": "x"}],
        "max_tokens": 5,
        "random_seed": 7,
        "temperature": 1.5,
        "tool_choice": "any",
    }


def test_ids_of_tool_calls_agree_after_the_change():
    call = {"id": "call_0123456789", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0123456789", "content": "1"},
        ]
    }
    first, second = to_mistral(asked)["messages"]

    assert first["tool_calls"][0]["id"] == second["tool_call_id"] == call_id("call_0123456789")
    assert len(second["tool_call_id"]) == 9 and second["tool_call_id"].isalnum()
    assert call_id("abcDEF123") == "abcDEF123"
    assert call["id"] == "call_0123456789"


def test_files_are_documents():
    parts = [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"file_id": "f"}},
    ]
    made = to_mistral({"messages": [{"role": "user", "content": parts}]})

    assert made["messages"][0]["content"] == [
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="},
        {"type": "file", "file_id": "f"},
    ]


def test_an_answer_reads_as_openais():
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Yes"},
        {"type": "text", "text": "."},
    ]
    message = {"role": "assistant", "content": content, "tool_calls": None, "prefix": False}
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "model_length"}]}

    assert from_mistral(body)["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
            "finish_reason": "length",
        }
    ]


def test_what_is_no_chat_stays_as_it_is():
    assert to_mistral({"messages": "?"}) == {"messages": "?"}
    assert from_mistral({"choices": "?"}) == {"choices": "?"}
    assert from_mistral({"choices": [1, {"message": 2}]})["choices"][0] == 1
