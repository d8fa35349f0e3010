"""Reads from an input file what the command needs before it uploads the file."""

from pathlib import Path

from app.cli.shared.refusal import Refused
from app.lib import json

FIRST_LINE_BYTES = 16 * 2**20


def endpoint(path: Path) -> str:
    """Returns the `url` of the first line; that of Anthropic's form needs none. Raises Refused when there is none."""
    with path.open("rb") as file:
        line = file.readline(FIRST_LINE_BYTES).removeprefix(b"\xef\xbb\xbf").strip()
        while not line and (more := file.readline(FIRST_LINE_BYTES)):
            line = more.strip()
    if not line:
        raise Refused(f"{path} is empty.")
    try:
        request = json.loads(line)
    except ValueError as error:
        raise Refused(f"The first line of {path} is not JSON ({error}). Each line is one request.") from error
    url = request.get("url") if isinstance(request, dict) else None
    if isinstance(request, dict) and url is None and request.get("body") is None and request.get("params"):
        return "/v1/messages"
    if not isinstance(url, str) or not url:
        raise Refused(f"The first line of {path} has no `url`: give --endpoint, such as /v1/chat/completions.")
    return url
