"""Lines on their way from a file to a job: split, translated, whatever stands around them and however long they are."""

import json
import tracemalloc

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.lib import jsonl
from app.services.jobs.input import Encoder
from app.translate.errors import TranslationError
from bench.translating import ALIAS, encoder_of

BOM = b"\xef\xbb\xbf"
CHAT = "/v1/chat/completions"
MIB = 2**20
LONG_BYTES, LONG_LINES = 10_000_000, 5
MOST_LINE_BYTES = 16 * MIB
PIECE_BYTES = 64 * 1024
TOO_DEEP = "messages.tool_calls.function.arguments"
# Each provider in whose dialect lines are written, and a model of its own.
TARGETS = [
    ("openai", "gpt-5-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("vertex", "gemini-2.5-flash"),
    ("vertex", "claude-sonnet-4-5"),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("bedrock", "amazon.nova-lite-v1:0"),
    ("bedrock", "openai.gpt-oss-120b-1:0"),
    ("cohere", "command-a-03-2025"),
]


@pytest.fixture(params=TARGETS, ids=" ".join)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """What writes lines for jobs of one provider and model."""
    return encoder_of(*request.param)


def line(text: str, number: int = 1, **body: object) -> bytes:
    full = {"model": ALIAS, "messages": [{"role": "user", "content": text}], **body}
    return orjson.dumps({"custom_id": f"c-{number}", "method": "POST", "url": CHAT, "body": full})


def pieces(data: bytes, size: int):
    return (data[start : start + size] for start in range(0, len(data), size))


def encoded(encoder: Encoder, data: bytes, size: int = PIECE_BYTES):
    for number, found in enumerate(jsonl.lines(pieces(data, size), max_line_bytes=MOST_LINE_BYTES), start=1):
        assert found.data is not None
        told, _ = encoder.line(number, f"c-{number}", found.data)
        yield told


@pytest.mark.parametrize("size", [1, 7, PIECE_BYTES])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_stands_around_lines_does_not_get_into_a_job(encoder, end, size):
    lines = [line("one \u2028 two \x85 three 👋", 1), line("fin\r\n", 2), line("last", 3)]
    plain = [told.data for told in encoded(encoder, b"\n".join(lines))]
    assert len(plain) == 3
    around = BOM + (end + end + b" \t" + end).join(lines) + end
    assert [told.data for told in encoded(encoder, around, size)] == plain
    assert [told.data for told in encoded(encoder, end.join(lines), size)] == plain
    for data in plain:
        assert (data.count(b"\n"), data[-1:]) == (1, b"\n")
        assert b"\r" not in data and BOM not in data


def test_long_lines_get_through_whole_and_one_by_one(encoder):
    whole = orjson.loads(line("long text, " * (LONG_BYTES // 11)))

    def endless():
        for _ in range(LONG_LINES):
            yield from pieces(orjson.dumps(whole) + b"\r\n", PIECE_BYTES)

    said = whole["body"]["messages"][0]["content"].encode()
    peaks = []
    tracemalloc.start()
    try:
        for number, found in enumerate(jsonl.lines(endless(), max_line_bytes=MOST_LINE_BYTES), start=1):
            told, _ = encoder.line(number, f"c-{number}", found.data)
            assert said in told.data
            del told, found
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    # However many lines there are, memory holds a few forms of one: its bytes, its text, what becomes of it; and orjson
    # asks for twelve times the length to read it, most of which it never touches.
    assert len(peaks) == LONG_LINES
    assert max(peaks) < (12 + 6) * LONG_BYTES
    assert max(peaks[2:]) < max(peaks[:2]) + MIB


@pytest.mark.parametrize("depth", [200, 1000])
def test_a_line_that_gets_too_deep_on_its_way_is_refused(encoder, depth):
    deep = '{"a":' * depth + "1" + "}" * depth
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": deep}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "y"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    said = line("x", messages=messages, tools=tools)
    try:
        told, _ = encoder.line(1, "c-1", said)
    except TranslationError as refused:
        assert depth == 1000 and refused.param == TOO_DEEP
        answer = _answer(encoder, said)
        assert answer is None or answer.status_code == 400
        assert answer is None or json.loads(answer.body)["error"]["param"] == TOO_DEEP
    else:
        assert b'\\"a\\":1' in told.data or b'"a":1' in told.data


def test_a_deep_schema_gets_through_or_is_refused(encoder):
    schema: dict[str, object] = {"type": "string"}
    for _ in range(115):
        schema = {"type": "object", "properties": {"a": schema}}
    tools = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}]
    told, _ = encoder.line(1, "c-1", line("x", tools=tools))
    assert told.data.count(b'"a"') + told.data.count(b'\\"a\\"') >= 115


def _answer(encoder: Encoder, said: bytes):
    """What the line comes to when it is sent by itself; None where it would be sent."""
    if not hasattr(encoder.account.connector, "native_call"):
        return None
    body = {**json.loads(said)["body"], "model": encoder.account.models[ALIAS]}
    return encoder.account.connector.run_line(LineCall(CHAT, body, timeout_s=1.0))
