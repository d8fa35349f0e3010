"""Finds the gateway that a client command uses: from options, the environment, or the file of `make run`."""

import os
import shlex
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.cli.shared.refusal import Refused
from app.lib import json, private

FILE = "client.json"
# The same for a shell, which reads it with `.`.
SHELL_FILE = "client.env"
API_KEY = "BATCHGATE_API_KEY"
BASE_URL = "BATCHGATE_BASE_URL"


@dataclass(frozen=True, slots=True)
class Profile:
    """A gateway and a key for it. `base_url` ends neither in a slash nor in `/v1`."""

    base_url: str
    api_key: str = field(repr=False)


def find(*, base_url: str | None, api_key: str | None) -> Profile:
    """Returns the gateway to use. Raises Refused when none is configured.

    The key in the file of `make run` is only sent to the URL in that file.
    """
    kept = load(Path(os.environ.get("BATCHGATE_HOME") or "var"))
    url = base_url or os.environ.get(BASE_URL) or (kept.base_url if kept else "")
    key = api_key or os.environ.get(API_KEY) or ""
    url = trimmed(url)
    if kept and not key and url == kept.base_url:
        key = kept.api_key
    if not url or not key:
        missing = " and ".join(
            name for name, value in ((f"--base-url or {BASE_URL}", url), (f"--api-key or {API_KEY}", key)) if not value
        )
        raise Refused(f"No gateway is configured: give {missing}, or start one here with `make run`.")
    if not url.startswith(("http://", "https://")):
        raise Refused(f"The base URL must start with http:// or https://: {url!r}.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Refused("The API key must be one word of printable ASCII.")
    return Profile(base_url=url, api_key=key)


def trimmed(url: str) -> str:
    """Returns the root URL of the gateway: users may give it with `/v1` at its end, as SDKs need it."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def load(home: Path) -> Profile | None:
    """Reads the file of `make run` in `home`. Returns None when it is missing or invalid."""
    try:
        kept = json.loads((home / FILE).read_bytes())
        return Profile(base_url=trimmed(kept["base_url"]), api_key=str(kept["api_key"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(home: Path, profile: Profile) -> None:
    """Writes `profile` where `load` finds it, and as variables for SDKs; readable only by its owner."""
    private.make_folder(home)
    _write(home / FILE, json.dumps(asdict(profile)))
    variables = {"OPENAI_BASE_URL": f"{profile.base_url}/v1", "OPENAI_API_KEY": profile.api_key}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    _write(home / SHELL_FILE, "".join(lines).encode())


def _write(path: Path, data: bytes) -> None:
    # mkstemp creates the file with mode 0600, which the rename keeps.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with open(descriptor, "wb") as file:
        file.write(data)
    os.replace(name, path)
