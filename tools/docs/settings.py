"""docs/settings.md, made from the fields of Settings and the table of providers."""

from pathlib import Path
from typing import Any

from app.connectors.catalogue import registry
from app.connectors.catalogue.declarations import Provider
from app.connectors.catalogue.providers import PROVIDERS
from app.settings import documented

HEAD = """# Settings

Everything is set in the environment; command lines also read a file `.env` in the current folder. This page is made
from the code by `make docs`, and a test checks that it is current.

## The gateway

| variable | default | meaning |
|---|---|---|
"""
ACCOUNTS = """
## Providers

A provider has an account when its variable in the first column is set; of several names the first one set counts.
A variable such as `LOCAL_MAX_CONCURRENCY` (the prefix is the base URL's) is the most requests that all workers together
have in flight there; the default is {concurrency}. [providers.md](providers.md) tells what each one can do.

Such an account is called `env`. More accounts, with their keys sealed in the store, come from `batchgate accounts add`.
When the key or base URL of `env` changes, the new one must reach what the old one holds at the provider: a running
batch, a file or a container. If it does not, it counts as another account; the old key is kept until its work is over.

| account exists with | provider | base URL | default | also |
|---|---|---|---|---|
"""
CLIENT = """
## The command line as a client

| variable | meaning |
|---|---|
| `BATCHGATE_BASE_URL` | The gateway that `batchgate batch run` talks to. |
| `BATCHGATE_API_KEY` | The virtual key it sends. |

Both unset: the gateway and key that `make run` wrote to `client.json` under `BATCHGATE_HOME`.
"""


def render() -> str:
    """The page as Markdown."""
    rows = [f"| `{name}` | {_default(default)} | {meaning} |\n" for name, default, meaning in documented()]
    providers = [_provider(entry) for entry in PROVIDERS]
    head = ACCOUNTS.format(concurrency=registry.DEFAULT_CONCURRENCY)
    return "".join([HEAD, *rows, head, *providers, CLIENT])


def _default(value: Any) -> str:
    if isinstance(value, str | Path):
        return f"`{value}`" if str(value) else ""
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        return f"{value} ({value // 2**20} MiB)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _provider(entry: Provider) -> str:
    needed = (entry.url_env,) if entry.keyless else entry.key_envs
    also = f" (+ `{entry.key_envs[0]}`)" if entry.keyless and entry.key_envs else ""
    default = f"`{entry.base_url}`" if entry.base_url else ""
    more = ", ".join(f"`{name}`" for name in entry.option_envs.values())
    names = ", ".join(f"`{name}`" for name in needed)
    return f"| {names}{also} | {entry.name} | `{entry.url_env}` | {default} | {more} |\n"
