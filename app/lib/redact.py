"""Takes secrets and internal addresses out of texts.

A short secret is taken out where it is a whole word, a long one wherever it is. Short words of letters are no secrets:
servers that need no key are given one all the same ("x", "EMPTY", "ollama").
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

REDACTED = "[redacted]"
MIN_SECRET_LENGTH = 8
MIN_MIXED_LENGTH = 4
# From here on no text has one in the middle of a word by chance; a mixture of characters needs less.
SURE_LENGTH, SURE_MIXED_LENGTH = 16, 10
DUMMIES = frozenset(
    {"anything", "dummy-key", "fake-key", "lm-studio", "no-key-required", "not-needed", "sk-no-key-required"}
)
# A word begins where no other goes on, or after a character that JSON or a URL escapes.
_ESCAPED = r"(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})"
_BEGINS = rf"(?:(?<![A-Za-z0-9_-])|{_ESCAPED})"
_HOST_BEGINS = rf"(?:(?<![A-Za-z0-9_.-])|{_ESCAPED})"
_ENDS = r"(?![A-Za-z0-9_-])"
# In JSON a slash may have a backslash before it.
_SLASH = r"\\?/"


def is_placeholder(key: str) -> bool:
    """True of a key that no vendor can have made."""
    return len(key) < MIN_SECRET_LENGTH or key in DUMMIES


def is_secret(word: str, *, least: int = MIN_SECRET_LENGTH) -> bool:
    """True of a word that is kept out of texts: of `least` characters, or of a few that are not all letters."""
    is_long = len(word) >= least or (len(word) >= MIN_MIXED_LENGTH and not word.isalpha())
    return is_long and word not in DUMMIES


def hidden(text: str, secrets: Iterable[str], *, least: int = MIN_SECRET_LENGTH) -> str:
    """`text` without the secrets (see `is_secret`)."""
    for secret in longest_first(secrets, least=least):
        text = _pattern(secret).sub(REDACTED, text)
    return text


@lru_cache(maxsize=256)
def address(base_url: str) -> re.Pattern[str] | None:
    """What finds a base URL, or its host, in a text; None for a URL without a host.

    A host of one word is an ordinary word, so it is found only in a URL or before its port.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not host:
        return None
    scheme = rf"https?:{_SLASH}{_SLASH}"
    name = re.escape(f"[{host}]" if ":" in host else host)
    path = _SLASH.join(re.escape(word) for word in parts.path.rstrip("/").split("/"))
    with_any_port = rf"{name}(?::\d{{1,5}})?"
    is_address = "." in host or ":" in host
    alone = with_any_port if is_address else rf"{name}:{port}" if port else rf"{name}:\d{{1,5}}"
    found = rf"(?:{scheme}{with_any_port}|{alone})(?:{path})?"
    return re.compile(rf"{_HOST_BEGINS}{found}{_ENDS}", re.IGNORECASE)


@lru_cache(maxsize=256)
def address_in_data(base_url: str) -> re.Pattern[bytes] | None:
    """As `address`, for text in bytes."""
    found = address(base_url)
    return None if found is None else re.compile(found.pattern.encode(), re.IGNORECASE)


def longest_first(secrets: Iterable[str], *, least: int = MIN_SECRET_LENGTH) -> list[str]:
    """What of `secrets` is to be taken out. One may be part of another, so the longest goes first."""
    return sorted({secret for secret in secrets if is_secret(secret, least=least)}, key=len, reverse=True)


@lru_cache(maxsize=256)
def data_pattern(secret: str) -> re.Pattern[bytes]:
    """What finds a secret in bytes."""
    return re.compile(bounded_data(re.escape(secret.encode()), secret))


def bounded_data(spelled: bytes, secret: str) -> bytes:
    """A pattern of one of a secret's spellings, which is a whole word if the secret is short."""
    return spelled if _is_sure(secret) else _BEGINS.encode() + b"(?:" + spelled + b")" + _ENDS.encode()


@lru_cache(maxsize=256)
def _pattern(secret: str) -> re.Pattern[str]:
    return re.compile(re.escape(secret) if _is_sure(secret) else f"{_BEGINS}{re.escape(secret)}{_ENDS}")


def _is_sure(secret: str) -> bool:
    return len(secret) >= (SURE_LENGTH if secret.isalpha() else SURE_MIXED_LENGTH)
