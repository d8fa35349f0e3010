"""The most tokens that one line can use, as far as its body shows it.

Whoever writes the body may be hostile, so everything counts that is not known to be free, and of several limits the
greatest: nobody knows which of them the server will read.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase
from typing import Any

from app.engine.outcomes import Tokens
from app.lib import json

MAX_TOKENS = 2**40  # a larger number is nonsense
# Small letters and spaces of one token, and bytes of other scripts. A capital, a digit or a sign has its own token.
LETTERS_PER_TOKEN = 4
HIGH_BYTES_PER_TOKEN = 2
# An image, or a short sound or document: about what models count for an image.
TOKENS_PER_MEDIUM = 1000
# Providers put instructions of their own before the caller's tools.
TOKENS_FOR_TOOLS = 500
EMBEDDINGS = "/embeddings"
# The limits that a server is sure to keep; the other names only say what an answer may have.
KEPT = {"/v1/responses": ("max_output_tokens",), "/v1/messages": ("max_tokens",), "/v1/completions": ("max_tokens",)}
KEPT_BY_CHAT = ("max_completion_tokens", "max_tokens")
LIMIT_NAMES = frozenset({*KEPT_BY_CHAT, *(name for names in KEPT.values() for name in names)})

# Members of a body that no model reads.
FREE = frozenset({"metadata", "user", "safety_identifier", "prompt_cache_key"})
# Members that hold content, in which the names of settings are ordinary words.
CONTENT = frozenset(
    [
        "messages",
        "input",
        "prompt",
        "prompts",
        "instructions",
        "system",
        "systeminstruction",
        "contents",
        "tools",
        "functions",
        "responseformat",
        "text",
        "metadata",
        "logitbias",
        "prediction",
        "documents",
        "toolchoice",
    ]
)
# Names of settings in any spelling, without their underscores and capitals.
LIMITS = frozenset(
    [
        "maxtokens",
        "maxcompletiontokens",
        "maxoutputtokens",
        "maxnewtokens",
        "maxtokenstosample",
        "maxgenlen",
        "maxtokencount",
        "maxlength",
        "maxgeneratedtokens",
        "maxresponsetokens",
        "maxdecodetokens",
        "numpredict",
        "npredict",
    ]
)
# What an answer may have, or must have, whatever its limit; alone they limit nothing.
AT_LEAST = frozenset(
    ["mintokens", "minnewtokens", "minlength", "budgettokens", "thinkingbudget", "thinkingtokenbudget"]
)
CHOICES = frozenset(
    [
        "n",
        "bestof",
        "candidatecount",
        "numreturnsequences",
        "numgenerations",
        "numresults",
        "numchoices",
        "beamwidth",
        "numbeams",
    ]
)
PROMPTS = frozenset({"prompt", "prompts", "input", "inputs", "prompttokenids", "promptembeds", "inputids"})
EFFORT = frozenset({"effort", "reasoningeffort"})
# What models think before they answer, and what is added to the limits that translators write; others: the greatest.
THOUGHTS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192}
MOST_THOUGHTS = 24576
MAX_SETTINGS_DEPTH = 8

IMAGE, SOUND, DOCUMENT = "image", "sound", "document"
MEDIA = {
    **dict.fromkeys(("image_url", "input_image", "image"), IMAGE),
    **dict.fromkeys(("input_audio", "audio_url", "audio", "input_video", "video_url", "video"), SOUND),
    **dict.fromkeys(("file", "input_file", "document"), DOCUMENT),
}
# Where such a part holds its bytes, and the types of its data URLs.
DATA_NAMES = frozenset({"data", "url", "file_data", *MEDIA})
DATA_URLS = {
    IMAGE: ("data:image/",),
    SOUND: ("data:audio/", "data:video/"),
    DOCUMENT: ("data:application/pdf", "data:application/octet-stream"),
}
BARE_NAMES = frozenset({"data", "file_data"})
MAX_PART_DEPTH = 4
# Characters of base64 for a token: of compressed sound, and of scanned pages. The size of an image says nothing.
DATA_PER_TOKEN = {SOUND: 640, DOCUMENT: 52}
# One search for all names: it takes a fifth of the time of one search for each.
_MEDIA_SIGN = re.compile(b'"(?:' + "|".join(MEDIA).encode() + b')"')
_PLAIN = (ascii_lowercase + " ").encode()
_ASCII = bytes(range(128))


@dataclass(frozen=True, slots=True)
class LineTokens:
    """`output` is the most that the answers have, beside the default for each of `unlimited_answers`."""

    input: int
    output: int = 0
    unlimited_answers: int = 0
    is_limited: bool = False


@dataclass(slots=True)
class _Settings:
    limit: int = 0
    at_least: int = 0
    choices: int = 1
    thoughts: int = 0
    # A limit that is 0, negative or unreadable: a server may take it for none.
    is_doubtful: bool = False


def of_line(body: Mapping[str, Any], url: Any) -> LineTokens:
    """The most tokens of a line with this body. Raises JSONEncodeError for a body that is nested too deep."""
    used = _input(body)
    if isinstance(url, str) and url.endswith(EMBEDDINGS):
        return LineTokens(used)
    settings = _Settings()
    _read(body, settings, depth=0)
    answers = min(settings.choices * _prompts(body), MAX_TOKENS)
    # Predicted text that does not fit is charged as output.
    predicted = text_tokens(json.dumps(body["prediction"])) if body.get("prediction") else 0
    kept = KEPT.get(url, KEPT_BY_CHAT) if isinstance(url, str) else KEPT_BY_CHAT
    if not settings.is_doubtful and any(_number(body.get(name)) for name in kept):
        each = max(settings.limit, settings.at_least) + predicted
        return LineTokens(used, min(each * answers, MAX_TOKENS), is_limited=True)
    each = max(settings.limit, settings.at_least, settings.thoughts) + predicted
    return LineTokens(used, min(each * answers, MAX_TOKENS), answers)


def of_file(media_type: str, size: int) -> int:
    """The most tokens of a file of `size` bytes that a line names, unless it is text."""
    family = media_type.partition("/")[0]
    if family == IMAGE:
        return TOKENS_PER_MEDIUM
    characters = -(-size // 3) * 4  # of base64
    kind = SOUND if family in ("audio", "video") else DOCUMENT
    return min(max(TOKENS_PER_MEDIUM, characters // DATA_PER_TOKEN[kind]), MAX_TOKENS)


def most_of(body: Mapping[str, Any], url: str, *, default_output: int, of_files: int = 0) -> Tokens:
    """What a line can have used of which nobody says it; `default_output` is of an answer without a limit.

    `of_files` are the tokens of the files that it names.
    """
    try:
        tokens = of_line(body, url)
    except json.JSONEncodeError:
        return Tokens()
    output = tokens.output + tokens.unlimited_answers * default_output
    return Tokens(input=min(tokens.input + of_files, MAX_TOKENS), output=output)


def is_told(tokens: Tokens, url: str, body: bytes) -> bool:
    """True when the token counts of an answer with this body can be true: no input is empty, and what is said counts.

    Some servers leave out what they did not count, or give only a total.
    """
    if not tokens.input:
        return False
    if tokens.output or tokens.total > tokens.input or url.endswith(EMBEDDINGS):
        return True
    return not _says_something(json.loads(body))


def _says_something(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    choices = [choice for choice in body.get("choices") or () if isinstance(choice, dict)]
    said = [choice.get("text") for choice in choices]
    messages = [message for choice in choices if isinstance(message := choice.get("message"), dict)]
    said += [message.get(name) for message in messages for name in ("content", "tool_calls", "reasoning_content")]
    return any(said) or bool(body.get("output") or body.get("content"))


def text_tokens(data: bytes) -> int:
    """The tokens of UTF-8 text with the usual tokenizers, of unusual text too."""
    return _tokens(*_classes(data))


def _classes(data: bytes) -> tuple[int, int, int, int]:
    """How many (small letters and spaces, spaces, other ASCII characters, other bytes) there are."""
    rest = data.translate(None, _PLAIN)
    high = len(rest.translate(None, _ASCII))
    return len(data) - len(rest), data.count(b" "), len(rest) - high, high


def _tokens(plain: int, spaces: int, signs: int, high: int) -> int:
    # Each word has a token of its own, however short it is.
    return max(-(-plain // LETTERS_PER_TOKEN), spaces) + signs + -(-high // HIGH_BYTES_PER_TOKEN)


def _input(body: Mapping[str, Any]) -> int:
    counted = {name: value for name, value in body.items() if name not in FREE}
    tokens = TOKENS_FOR_TOOLS if body.get("tools") else 0
    for name in [name for name in counted if _plain(name) in PROMPTS]:
        ids = _token_ids(counted[name])
        if ids is not None:
            tokens += ids
            del counted[name]
    data = json.dumps(counted)
    classes = _classes(data)
    if _MEDIA_SIGN.search(data):
        media, free = _media(counted)
        tokens += media
        classes = (classes[0] - free[0], classes[1] - free[1], classes[2] - free[2], classes[3] - free[3])
    return min(tokens + _tokens(*classes), MAX_TOKENS)


def _token_ids(value: Any) -> int | None:
    """How many token ids there are in a list of them, or of such lists; None for anything else."""
    if not isinstance(value, list) or not value:
        return None
    kinds = set(map(type, value))
    if kinds <= {int, float}:
        return len(value)
    if kinds == {list} and all(set(map(type, ids)) <= {int, float} for ids in value):
        return sum(map(len, value)) + len(value)
    return None


def _prompts(body: Mapping[str, Any]) -> int:
    """How many prompts there are; each gets an answer."""
    several = 0
    for name, value in body.items():
        plain = _plain(name)
        if plain in PROMPTS and plain != "input" and isinstance(value, list):
            one = bool(value) and set(map(type, value)) <= {int, float}
            several += 1 if one else len(value)
    return max(several, 1)


def _read(value: Mapping[str, Any], found: _Settings, *, depth: int) -> None:
    for name, inner in value.items():
        plain = _plain(name)
        if plain in LIMITS:
            number = _number(inner)
            found.limit = max(found.limit, number or 0)
            # Null is no limit, but for servers that ignore case it may take the place of one.
            is_absent = inner is None and name in LIMIT_NAMES
            found.is_doubtful = found.is_doubtful or not (number or is_absent)
        elif isinstance(inner, dict):
            if depth < MAX_SETTINGS_DEPTH and plain not in CONTENT:
                _read(inner, found, depth=depth + 1)
        elif plain in AT_LEAST:
            found.at_least = max(found.at_least, _number(inner) or 0)
        elif plain in CHOICES:
            found.choices = max(found.choices, _number(inner) or 1)
        elif plain in EFFORT and isinstance(inner, str):
            found.thoughts = max(found.thoughts, THOUGHTS.get(inner.lower(), MOST_THOUGHTS))


def _number(value: Any) -> int | None:
    """A positive number, also as text, rounded up (huge numbers arrive as floats); None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return math.ceil(min(number, MAX_TOKENS)) if number > 0 else None


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _media(body: Mapping[str, Any]) -> tuple[int, tuple[int, int, int, int]]:
    """(tokens of all images, sounds and documents, classes of the characters of their bytes)."""
    tokens, free = 0, [0, 0, 0, 0]
    waiting: list[Any] = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            kind = _kind(value)
            if kind is None:
                waiting += value.values()
                continue
            pieces = list(_data(value, kind, depth=0))
            tokens += TOKENS_PER_MEDIUM if not pieces else 0
            for piece in pieces:
                size = len(piece) // DATA_PER_TOKEN[kind] if kind in DATA_PER_TOKEN else 0
                tokens += max(TOKENS_PER_MEDIUM, size)
                free = [had + more for had, more in zip(free, _classes(json.dumps(piece)), strict=True)]
    return tokens, (free[0], free[1], free[2], free[3])


def _kind(part: Mapping[str, Any]) -> str | None:
    """What a part of a message shows, if it is no text."""
    named, source = part.get("type"), part.get("source")
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        return None
    if isinstance(named, str):
        return MEDIA.get(named)
    return next((MEDIA[name] for name in part if name in MEDIA), None)


def _data(part: Mapping[str, Any], kind: str, *, depth: int) -> Iterator[str]:
    """The bytes of the image, sound or document as text. Other texts in the part are read by the model."""
    for name, inner in part.items():
        if isinstance(inner, str) and name in DATA_NAMES:
            if inner[:40].lower().startswith(DATA_URLS[kind]) or (name in BARE_NAMES and _is_base64(inner)):
                yield inner
        elif isinstance(inner, dict) and depth < MAX_PART_DEPTH:
            yield from _data(inner, kind, depth=depth + 1)


def _is_base64(text: str) -> bool:
    return not text.startswith("data:") and " " not in text and text.isascii()
