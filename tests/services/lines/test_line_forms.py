"""What makes a line valid: Azure's urls, Anthropic's form, and what is not UTF-8."""

import gzip
import json
from typing import Any

import pytest

from app.services.lines import rules
from app.services.lines.rules import Finding, LineFacts
from tests.support.batches import CHAT, chat_line, jsonl
from tests.support.messages import MESSAGES, message_line

pytestmark = pytest.mark.one_database


def read(line: Any) -> LineFacts | Finding:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    return rules.read(data, number=7, max_line_bytes=10_000)


def params_line(custom_id: str, text: str = "hello", **rest: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "params": message_line(custom_id, text)["body"], **rest}


@pytest.mark.parametrize(
    "name", ["chat/completions", "completions", "embeddings", "responses", "moderations", "images/generations"]
)
def test_a_url_of_azures_dated_api_is_the_endpoint_with_a_version(name: str) -> None:
    azure, openai = read(chat_line("a", url=f"/{name}")), read(chat_line("a", url=f"/v1/{name}"))
    assert isinstance(azure, LineFacts) and isinstance(openai, LineFacts)
    assert (azure.url, azure.is_standard) == (f"/v1/{name}", False)
    assert (openai.url, openai.is_standard) == (f"/v1/{name}", True)


@pytest.mark.parametrize("url", ["/messages", "/deployments/d/chat/completions", "chat/completions", "/v2/embeddings"])
def test_other_urls_stay_what_they_are(url: str) -> None:
    facts = read(chat_line("a", url=url))
    assert isinstance(facts, LineFacts) and facts.url == url


@pytest.mark.parametrize(
    "rest", [{}, {"method": "POST"}, {"url": MESSAGES}, {"method": None, "url": None, "body": None}]
)
def test_a_line_in_anthropics_form_is_one_of_messages(rest: dict[str, Any]) -> None:
    line = params_line("a", **rest)
    facts = read(line)
    assert isinstance(facts, LineFacts)
    assert (facts.url, facts.form, facts.model, facts.is_standard) == (MESSAGES, "params", "m", False)
    assert (facts.body, rules.body_of(line), rules.facts_of(line)) == (line["params"], line["params"], facts)


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (params_line("a", body={"model": "m"}), "missing_required_parameter", "method"),
        ({**message_line("a"), "params": {"model": "m"}}, "invalid_request", "params"),
        (params_line("a", url=CHAT), "invalid_url", "url"),
        (params_line("a", url=5), "invalid_url", "url"),
        (params_line("a", method="GET"), "invalid_method", "method"),
        ({"custom_id": "a", "params": "text"}, "invalid_request", "params"),
        ({"params": {"model": "m"}}, "missing_required_parameter", "custom_id"),
        ({"custom_id": "a", "params": {"model": "m", "stream": True}}, "streaming_unsupported", "params.stream"),
        ({"custom_id": "a", "params": {"model": 5}}, "invalid_request", "params.model"),
        ({"custom_id": "a", "params": None}, "missing_required_parameter", "method"),
    ],
)
def test_what_is_wrong_with_a_line_in_anthropics_form_is_named(line: dict[str, Any], code: str, param: str) -> None:
    finding = read(line)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.param, finding.line) == (code, param, 7)


def test_lines_of_one_batch_have_one_form() -> None:
    facts = read(params_line("b"))
    assert isinstance(facts, LineFacts)
    fit = {"number": 2, "endpoint": MESSAGES, "model": "m", "override": None}
    assert rules.fits(facts, form=None, **fit) is None and rules.fits(facts, form="params", **fit) is None
    mixed = rules.fits(facts, form="body", **fit)
    assert mixed is not None and (mixed.code, mixed.param, mixed.line) == ("invalid_request", "params", 2)
    assert "params" in mixed.message and "body" in mixed.message
    elsewhere = rules.fits(facts, form="params", **{**fit, "endpoint": CHAT})
    assert elsewhere is not None and (elsewhere.code, elsewhere.param) == ("invalid_url", "params")
    assert MESSAGES in elsewhere.message


LINES = jsonl([chat_line("a", "h\u00e9llo"), chat_line("b")]).decode()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LINES.encode("utf-16"), "UTF-16"),
        (LINES.encode("utf-16-le"), "UTF-16"),
        (LINES.encode("utf-16-be"), "UTF-16"),
        (LINES.encode("utf-32"), "UTF-32"),
        (LINES.encode("utf-32-be"), "UTF-32"),
        (gzip.compress(LINES.encode()), "gzip"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b"\x28\xb5\x2f\xfd" + bytes(30), "zstd"),
        (
            json.dumps(chat_line("a", "h\u00e9llo"), ensure_ascii=False).encode("latin-1"),
            "(the byte at position 134 is 0xE9)",
        ),
        (json.dumps(chat_line("a", "\u3053"), ensure_ascii=False).encode("shift-jis"), "not in UTF-8"),
        (json.dumps(chat_line("a", "\u4f60"), ensure_ascii=False).encode("gb18030"), "not in UTF-8"),
        (b'{"custom_id": "a\0b"}', "NUL byte at position 16"),
    ],
)
def test_bytes_that_are_not_utf_8_are_named(data: bytes, name: str) -> None:
    first = data.split(b"\n")[0]
    finding = read(first)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.line) == ("invalid_json_line", 7)
    assert name in finding.message, finding.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_every_line_of_a_file_in_utf_16_says_so(encoding: str) -> None:
    for line in LINES.encode(encoding).split(b"\n")[:2]:
        finding = read(line)
        assert isinstance(finding, Finding) and "UTF-16" in finding.message


def test_plain_nonsense_is_only_not_json() -> None:
    finding = read(b'{"custom_id": ')
    assert isinstance(finding, Finding) and finding.message == "This line is not parseable as valid JSON."


@pytest.mark.parametrize("name", ["stream", "Stream", "STREAM"])
def test_a_line_that_asks_for_a_stream_is_refused_in_any_case(name: str) -> None:
    """An answer in pieces has a usage that nobody reads, and so no cost."""
    found = read(chat_line("a", **{name: True}))
    assert isinstance(found, Finding)
    assert (found.code, found.param) == ("streaming_unsupported", f"body.{name}")
    assert not isinstance(read(chat_line("a", **{name: False})), Finding)
