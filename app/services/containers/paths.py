"""Paths of files in containers: below /mnt/data/, as OpenAI has them."""

import posixpath

from app.errors import InvalidRequestError

ROOT = "/mnt/data/"
MAX_PATH_LENGTH = 1024
MAX_NAME_LENGTH = 512
HASH_LENGTH = 12


def checked_path(given: str | None) -> str | None:
    """`given` as an absolute path below /mnt/data/; None when there is none.

    Raises InvalidRequestError when it leads elsewhere or does not name a file.
    """
    if given is None:
        return None
    if any(_is_control(char) for char in given):
        raise _invalid("must not contain control characters")
    if "\\" in given:
        raise _invalid("must use / between folders")
    if given.startswith("/") and not given.startswith(ROOT):
        raise _invalid(f"must be relative or start with {ROOT}")
    relative = given.removeprefix(ROOT)
    if ".." in relative.split("/"):
        raise _invalid("must not contain ..")
    path = posixpath.normpath(ROOT + relative)
    if relative.endswith(("/", "/.")) or not path.startswith(ROOT):
        raise _invalid("must name a file, not a folder")
    if len(path) > MAX_PATH_LENGTH:
        raise _invalid(f"must be at most {MAX_PATH_LENGTH} characters long")
    return path


def default_path(public_id: str, filename: str) -> str:
    """The path of a file for which the caller named none, as OpenAI would name it."""
    # The hash keeps two files of one name apart, so it is the random part of the id.
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if not _is_control(char))[-MAX_NAME_LENGTH:]
    return f"{ROOT}{public_id[-HASH_LENGTH:]}-{name or 'file'}"


def _is_control(char: str) -> bool:
    # Lone surrogates too: no database stores them.
    return ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000


def _invalid(rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"file_path {rule}.", param="file_path")
