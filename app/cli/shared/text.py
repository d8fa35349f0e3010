"""Makes texts of others fit for a terminal: they never move its cursor, change its colours or turn its direction."""

import re
import sys

# Control characters (C0, DEL, C1), signs that turn the direction of text, line separators, and halves of characters.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# What JSON may have as it stands. Line ends are those between values: within strings JSON itself escapes them.
_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def plain(value: object) -> str:
    r"""Returns the text with every control character as an escape, such as \x1b."""
    return _CONTROLS.sub(lambda match: _escape(ord(match[0])), str(value))


def plain_json(data: bytes) -> str:
    """Returns the same JSON without raw control characters."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode("utf-8", "replace"))


def is_terminal(*, err: bool = False) -> bool:
    """Returns True when a person reads standard output, or standard error."""
    stream = sys.stderr if err else sys.stdout
    return bool(stream.isatty())


def shortened(value: object, length: int) -> str:
    """Returns the plain text in at most `length` characters."""
    text = plain(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
