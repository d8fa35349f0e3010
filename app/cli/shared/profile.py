"""Which gateway a client command talks to: options, then the environment, then what `make run` wrote."""

import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.cli.shared.context import Refused
from app.lib import json

FILE = "client.json"
API_KEY = "BATCHGATE_API_KEY"
BASE_URL = "BATCHGATE_BASE_URL"


@dataclass(frozen=True, slots=True)
class Profile:
    """`base_url` has neither a slash nor `/v1` at its end."""

    base_url: str
    api_key: str = field(repr=False)


def find(*, base_url: str | None, api_key: str | None) -> Profile:
    """The gateway to talk to. Raises Refused when nothing tells.

    A key is only ever sent to the URL that it came with: the one of the file `make run` wrote goes to no other.
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
        raise Refused(f"Which gateway? Give {missing}, or start one here with `make run`.")
    if not url.startswith(("http://", "https://")):
        raise Refused(f"The base URL must start with http:// or https://, not be {url!r}.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Refused("The API key must be one word of printable ASCII.")
    return Profile(base_url=url, api_key=key)


def trimmed(url: str) -> str:
    """The gateway's root: SDKs are given the same URL with `/v1` at its end."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def load(home: Path) -> Profile | None:
    """What `make run` wrote in `home`, or None when it is not there or not readable as such."""
    try:
        kept = json.loads((home / FILE).read_bytes())
        return Profile(base_url=trimmed(kept["base_url"]), api_key=str(kept["api_key"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(home: Path, profile: Profile) -> None:
    """Write `profile` where `load` finds it, readable by its owner alone."""
    home.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, and the rename keeps it.
    descriptor, name = tempfile.mkstemp(dir=home, prefix=f".{FILE}.")
    with open(descriptor, "wb") as file:
        file.write(json.dumps(asdict(profile)))
    os.replace(name, home / FILE)
