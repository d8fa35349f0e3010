"""Generate docs/settings.md from the fields of Settings and the catalogue of providers."""

from pathlib import Path
from typing import Any

from app.connectors.catalogue import registry
from app.connectors.catalogue.declarations import Provider
from app.connectors.catalogue.providers import PROVIDERS
from app.settings import documented

HEAD = """# Settings

All settings are environment variables. The `batchgate` command and `make run` also read a file `.env` in the current
folder; variables that are set in the environment take precedence. Generated from the code by `make docs`.

## The gateway

| variable | default | meaning |
|---|---|---|
"""
ACCOUNTS = """
## Providers

Setting the variable in the first column gives the provider an account, called `env`. If several names are listed, the
first one that is set is used. `batchgate accounts add` adds more accounts, whose keys are encrypted in the database.
[providers.md](providers.md) lists what each provider supports.

`<PREFIX>_MAX_CONCURRENCY`, such as `LOCAL_MAX_CONCURRENCY`, is the maximum number of requests that all workers together
have in flight at the account. The prefix is that of the base URL's variable. Default: {concurrency}.

When you change the key or base URL of `env`, the gateway checks that the new one reaches an object of the old one at
the provider: a running batch, a file or a container. If it does not, the gateway treats it as another account and
keeps the old key until that account's work has finished.

| account exists with | provider | base URL | default | also |
|---|---|---|---|---|
"""
CLIENT = """
## The command line as a client

| variable | meaning |
|---|---|
| `BATCHGATE_BASE_URL` | URL of the gateway that commands of a client use ([cli.md](cli.md)). |
| `BATCHGATE_API_KEY` | Virtual key that they send. |

If neither is set, they use the gateway and key that `make run` wrote to `client.json` under `BATCHGATE_HOME`.
"""


def render() -> str:
    """Render the page as Markdown."""
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
