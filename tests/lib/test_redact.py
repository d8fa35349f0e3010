"""Secrets and internal addresses, taken out of texts that go on making sense."""

import pytest

from app.connectors.http.redaction import Redaction
from app.lib import redact

LONG = "sk-proj-0123456789abcdef"


def in_data(data: bytes, secret: str) -> bytes:
    return Redaction(secret).data(data)


@pytest.mark.parametrize("word", ["", "x", "EMPTY", "ollama", "none", "a1", "lm-studio", "not-needed"])
def test_dummies_are_no_secrets(word: str) -> None:
    text = f"The model x of ollama is EMPTY; none has {word} or lm-studio, which is not-needed."
    assert redact.hidden(text, [word]) == text
    assert in_data(text.encode(), word) == text.encode()


@pytest.mark.parametrize("secret", ["password", "sk-12345", "s3cr3t", "k/e/y", "changemeplease"])
def test_a_short_secret_is_a_whole_word(secret: str) -> None:
    mangled = f"{secret}_hash my{secret} {secret}2 {secret}-more no-{secret}"
    assert redact.hidden(mangled, [secret]) == mangled
    for text in (
        f"{secret}",
        f"({secret}).",
        f"key={secret}&a",
        f"Bearer {secret}",
        f'"{secret}"',
        f"{secret}, {secret}",
    ):
        assert secret not in redact.hidden(text, [secret])


@pytest.mark.parametrize("before", ["\\n", "\\t", "\\u000a", "%3D", "%20"])
def test_what_json_or_a_url_escapes_is_no_part_of_a_word(before: str) -> None:
    text = f"a{before}sk-12345 b"
    assert redact.hidden(text, ["sk-12345"]) == f"a{before}[redacted] b"
    assert in_data(text.encode(), "sk-12345") == f"a{before}[redacted] b".encode()


@pytest.mark.parametrize("secret", [LONG, "secret-key", "abcdefghijklmnop"])
def test_a_long_secret_is_found_within_words(secret: str) -> None:
    assert redact.hidden(f"x{secret}y", [secret]) == "x[redacted]y"
    assert in_data(f"x{secret}y".encode(), secret) == b"x[redacted]y"


def test_secrets_beyond_ascii_and_full_of_marks_are_found() -> None:
    secret = "p(a)s$wörd+.*"
    assert redact.hidden(f"no {secret} here", [secret]) == "no [redacted] here"
    assert in_data(f"no {secret} here".encode(), secret) == b"no [redacted] here"


@pytest.mark.parametrize(
    ("base_url", "text", "clean"),
    [
        ("http://10.0.0.7:8000/v1", "GET http://10.0.0.7:8000/v1/files", "GET [redacted]/files"),
        ("http://10.0.0.7:8000/v1", "10.0.0.7 refused, not 10.0.0.70", "[redacted] refused, not 10.0.0.70"),
        ("http://vllm:8000", "vllm at vllm:8000 and http://vllm", "vllm at [redacted] and [redacted]"),
        ("https://llm.corp.internal/a/v1", "LLM.corp.internal:443", "[redacted]"),
        ("https://llm.corp.internal/a/v1", "for 'llm.corp.internal'.", "for '[redacted]'."),
        ("https://llm.corp.internal", "xllm.corp.internal", "xllm.corp.internal"),
        ("http://[fd00::1]:8000/v1", "http://[fd00::1]:8000/v1/x", "[redacted]/x"),
        ("http://localhost/v1", "localhost and localhost:11434", "localhost and [redacted]"),
    ],
)
def test_an_address_is_found_however_it_is_written(base_url: str, text: str, clean: str) -> None:
    found = redact.address(base_url)
    assert found is not None
    assert found.sub(redact.REDACTED, text) == clean
    in_data = redact.address_in_data(base_url)
    assert in_data is not None
    assert in_data.sub(redact.REDACTED.encode(), text.encode()) == clean.encode()


@pytest.mark.parametrize("base_url", ["", "not a url", "http://[half"])
def test_no_host_is_no_address(base_url: str) -> None:
    assert redact.address(base_url) is None and redact.address_in_data(base_url) is None
