"""`batchgate accounts`: manages accounts, the credentials at providers."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from app.cli.shared import account_key, context, instants
from app.cli.shared.key_options import parse_limits
from app.connectors.catalogue import registry
from app.lib import json
from app.services.accounts import add as account_add
from app.services.accounts import admin, replacement
from app.services.accounts import pauses as account_pauses
from app.services.accounts.add import DEFAULT_NAME, RESERVED, NewAccount
from app.services.accounts.environment import STORE_IT
from app.services.accounts.pauses import ShownPause
from app.services.accounts.replacement import Replacement
from app.services.events import record
from app.services.jobs import incoming

MAX_WEIGHT = 1000

Pairs = dict[str, str]


@click.group()
def accounts() -> None:
    """Manage accounts: credentials at providers.

    Accounts that the environment configures (docs/settings.md) have the name env.
    """


def _pairs(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Pairs:
    pairs: Pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        # The message does not repeat the value: it may be a key in the wrong place.
        if not equals or not name.strip() or not text.strip():
            raise click.BadParameter(f"must be {parameter.metavar}.")
        if pairs.setdefault(name.strip(), text.strip()) != text.strip():
            raise click.BadParameter(f"{name.strip()} is given twice.")
    return pairs


def _nothing(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> None:
    if values:  # click would repeat the values, and one may be a key
        raise click.UsageError(f"PROVIDER is the only argument. Pass the key with {account_key.HOW}.")


@accounts.command()
@click.argument("provider")
@click.argument("nothing", nargs=-1, callback=_nothing, expose_value=False, metavar="")
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="Name of the account, unique at the provider.")
@click.option("--base-url", default="", metavar="URL", help="Base URL of the API; known providers have a default.")
@click.option(
    "--weight", default=1, show_default=True, type=click.IntRange(1, MAX_WEIGHT), help="Its share of new batches."
)
@click.option(
    "--max-concurrency", type=click.IntRange(1, 100_000), help="Maximum requests in flight, of all workers together."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=NATIVE",
    callback=_pairs,
    help="Map a model name to the account's own; repeatable.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="An option of the connector; repeatable.",
)
@account_key.options
@click.option(
    "--compatible", is_flag=True, help="Add a provider outside the catalogue that has an OpenAI-compatible API."
)
@click.option(
    "--ability",
    "abilities",
    multiple=True,
    metavar="GROUP=SUPPORT",
    callback=_pairs,
    help="With --compatible: files=... or batches=..., each native, emulated (default) or none.",
)
@click.option("--probe", is_flag=True, help="With --compatible: find out its abilities by calling it.")
def add(
    provider: str,
    key_stdin: bool,
    key_file: Path | None,
    key_env: str | None,
    compatible: bool,
    abilities: Pairs,
    probe: bool,
    **settings: object,
) -> None:
    """Add an account at PROVIDER. Its key is stored encrypted; running processes use it within seconds.

    Without an option for the key, the command asks for it.

    \b
    Examples:
      batchgate accounts add openai --name team-a --weight 3 --key-env TEAM_A_KEY
      pass openai/key | batchgate accounts add openai --key-stdin
      batchgate accounts add azure --base-url https://us.openai.azure.com --model gpt-4o=gpt-4o-batch
      batchgate accounts add mycorp --compatible --base-url http://llm.mycorp/v1 --probe
    """
    if (abilities or probe) and not compatible:
        raise click.UsageError("--ability and --probe need --compatible.")
    if abilities and probe:
        raise click.UsageError("Use either --ability or --probe.")
    entry = registry.find(provider)
    with context.gateway() as gateway:
        optional = entry.keyless if entry else True
        key = account_key.read(from_stdin=key_stdin, path=key_file, variable=key_env, optional=optional)
        declared = abilities if compatible else None
        new = NewAccount(provider, credential=key, compatible=declared, probe=probe, **settings)  # type: ignore[arg-type]
        stored = account_add.add(gateway, new)
    can = "".join(f" {group} {support}," for group, support in (stored or {}).items()).rstrip(",")
    click.echo(f"Account {provider}/{new.name} is added.{f' It has{can}.' if can else ''}")


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List accounts. Keys and values of options are never shown.

    Accounts called env are those that web and worker found in their environment. If this shell's variables say
    something else, a note says so; nothing is changed.

    \b
    Example:
      batchgate accounts list --json
    """
    with context.gateway() as gateway:
        listed = admin.list_(gateway)
        unapplied = gateway.accounts.unapplied()
    for label in unapplied:
        click.echo(f"Note: {label} is not stored as this shell's variables describe it: {STORE_IT}.", err=True)
    if as_json:
        click.echo(json.dumps([asdict(account) for account in listed]))
        return
    rows = [
        (
            account.provider,
            account.name,
            account.state,
            account.source,
            account.weight,
            account.max_concurrency,
            account.base_url,
            ", ".join(f"{name}={native}" for name, native in account.models.items()),
            ", ".join(account.options),
        )
        for account in listed
    ]
    heads = ("PROVIDER", "NAME", "STATE", "SOURCE", "WEIGHT", "CONCURRENCY", "BASE URL", "MODELS", "OPTIONS")
    click.echo(context.columns(heads, rows))


@accounts.command()
@click.argument("provider", required=False)
@click.argument("name", required=False)
def test(provider: str | None, name: str | None) -> None:
    """Test accounts with a read-only call: all accounts, those at PROVIDER, or the one called NAME.

    The exit status is 1 if a test fails.

    \b
    Example:
      batchgate accounts test openai team-a
    """
    with context.gateway() as gateway:
        trials = admin.try_out(gateway, provider=provider, name=name)
    for trial in trials:
        verdict = f"FAILED: {trial.error}" if trial.error else f"works ({trial.latency_ms} ms)"
        verdict = verdict if trial.tried else "not tried: there is no call to try it with"
        click.echo(f"{trial.provider}/{trial.name}  {verdict}")
    if any(trial.error for trial in trials):
        raise SystemExit(1)


@accounts.command("apply")
def apply_() -> None:
    """Store the accounts that this shell's variables describe, for all processes.

    Web and worker do so when they start. No other command changes what is stored because of a variable.

    \b
    Example:
      OPENAI_API_KEY=sk-... batchgate accounts apply
    """
    with context.gateway(applied_by=record.OPERATOR) as gateway:
        configured = gateway.accounts.configured()
        is_done = gateway.accounts.settle_now()
        pending = gateway.accounts.unapplied()
    if not configured:
        raise context.Refused("This shell has no variables of an account: docs/settings.md lists them.")
    for provider in configured:
        label = f"{provider}/{RESERVED}"
        failed = "FAILED: its key or URL changed, and the provider does not answer"
        click.echo(f"{label}  {failed if label in pending else 'is stored'}")
    if not is_done:
        raise SystemExit(1)


def _named(act: Callable[[str, str], None]) -> Callable[[str, str], None]:
    named = click.argument("provider")(click.argument("name", default=DEFAULT_NAME)(act))
    return named


@accounts.command("set")
@click.argument("provider")
@click.argument("name", default=DEFAULT_NAME)
@click.option("--weight", type=click.IntRange(1, MAX_WEIGHT), help="Its share of new batches.")
@click.option("--max-concurrency", type=click.IntRange(1, 100_000), help="Maximum requests in flight.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=NATIVE",
    callback=_pairs,
    help="Map a model name to the account's own; replaces all. Repeatable.",
)
@click.option("--no-models", is_flag=True, help="Remove all model names.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=N",
    callback=parse_limits,
    help="A limit, such as open_batches=20; replaces all. Repeatable.",
)
@click.option("--no-limits", is_flag=True, help="Remove all limits.")
@account_key.options
@click.option("--base-url", metavar="URL", help="New base URL of the API.")
def set_(
    provider: str,
    name: str,
    models: Pairs,
    no_models: bool,
    limits: dict[str, int],
    no_limits: bool,
    key_stdin: bool,
    key_file: Path | None,
    key_env: str | None,
    base_url: str | None,
    **numbers: int,
) -> None:
    """Change an account, including env accounts. Running batches use what is new within seconds.

    A new key or URL is stored only if it reaches what the account holds at the provider.

    \b
    Examples:
      batchgate accounts set openai team-a --key-env NEW_TEAM_A_KEY
      batchgate accounts set azure env --model gpt-4o=my-deployment
      batchgate accounts set openai team-a --limit enqueued_lines=100000 --limit tokens_per_day=500000000
    """
    changes = {
        **numbers,
        "models": {} if no_models else (models or None),
        "limits": {} if no_limits else (limits or None),
    }
    has_changes = any(value is not None for value in changes.values())
    key = {"from_stdin": key_stdin, "path": key_file, "variable": key_env}
    new_key = account_key.is_given(**key)  # type: ignore[arg-type]
    if not has_changes and not new_key and base_url is None:
        raise click.UsageError("Nothing to change: `batchgate accounts set --help` lists the options.")
    with context.gateway() as gateway:
        if new_key or base_url is not None:
            credential = account_key.read(**key, optional=True) if new_key else None  # type: ignore[arg-type]
            replacement.replace(gateway, Replacement(credential, base_url), provider=provider, name=name)
        if has_changes:
            admin.change(gateway, provider=provider, name=name, **changes)  # type: ignore[arg-type]
    click.echo(f"Account {provider}/{name} is changed.")


@accounts.command()
@click.argument("provider")
@click.argument("name", default=DEFAULT_NAME)
@click.option(
    "--secret-env", metavar="VARIABLE", help="Read the signing secret that the provider shows from this variable."
)
@click.option("--remove", "is_removed", is_flag=True, help="Forget the secret: messages are ignored.")
def webhook(provider: str, name: str, secret_env: str | None, is_removed: bool) -> None:
    """Let the provider of an account tell of jobs that end, so that they are not only found by polling.

    Make a webhook for batch events at the provider (OpenAI, Gemini), with the URL that this command prints, and give
    the secret that the provider shows. It is stored encrypted.

    \b
    Example:
      OPENAI_HOOK=whsec_... batchgate accounts webhook openai team-a --secret-env OPENAI_HOOK
    """
    if (secret_env is None) is not is_removed:
        raise click.UsageError("Give either --secret-env VARIABLE or --remove.")
    if secret_env is not None and secret_env not in os.environ:
        raise click.UsageError(f"--secret-env: {secret_env} is not set.")
    secret = None if secret_env is None else os.environ[secret_env].strip()
    with context.gateway() as gateway:
        url = incoming.set_secret(gateway, provider=provider, name=name, secret=secret)
    click.echo(f"{provider}/{name} takes no messages." if secret is None else url)


@accounts.command()
@_named
def disable(provider: str, name: str) -> None:
    """Send nothing new to an account, within seconds: its batches wait, and go on once it is enabled.

    Lines that are being sent finish, and jobs that run at the provider are followed to their end. Batches that are
    still waiting at their deadline expire.

    \b
    Example:
      batchgate accounts disable openai team-a
    """
    with context.gateway() as gateway:
        admin.set_enabled(gateway, provider=provider, name=name, enabled=False)
    click.echo(f"Account {provider}/{name} is disabled: nothing new is sent there.")


@accounts.command()
@_named
def enable(provider: str, name: str) -> None:
    """Enable a disabled account: it gets new work, and its waiting batches go on.

    \b
    Example:
      batchgate accounts enable openai team-a
    """
    with context.gateway() as gateway:
        admin.set_enabled(gateway, provider=provider, name=name, enabled=True)
    click.echo(f"Account {provider}/{name} is enabled.")


@accounts.command()
@_named
def remove(provider: str, name: str) -> None:
    """Remove an account. Its key is deleted once its last batch, file copy and container are gone.

    \b
    Example:
      batchgate accounts remove openai team-a
    """
    with context.gateway() as gateway:
        busy = admin.remove(gateway, provider=provider, name=name)
    rest = "is kept until its last batch, file copy and container are gone" if busy else "is wiped within minutes"
    click.echo(f"Account {provider}/{name} is removed; its key {rest}.")


@accounts.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def pauses(as_json: bool) -> None:
    """List pauses: what providers refuse, since when, until when, and their words.

    A pause ends by itself once a line is answered; `batchgate accounts resume` ends it at once.

    \b
    Example:
      batchgate accounts pauses
    """
    with context.gateway() as gateway:
        listed = account_pauses.list_(gateway)
    columns: dict[str, Callable[[ShownPause], object]] = {
        "ACCOUNT": lambda pause: f"{pause.provider}/{pause.account}",
        "MODEL": lambda pause: pause.model or "all",
        "PROJECT": lambda pause: pause.project or "all",
        "KIND": lambda pause: pause.kind,
        "SINCE": lambda pause: instants.shown(pause.since),
        "UNTIL": lambda pause: instants.shown(pause.paused_until),
        "REASON": lambda pause: pause.message,
    }
    click.echo(context.listed(listed, columns, as_json=as_json))


@accounts.command()
@click.argument("provider")
@click.argument("name", default=DEFAULT_NAME)
@click.option("--model", help="Only pauses of this model.")
def resume(provider: str, name: str, model: str | None) -> None:
    """End the pauses of an account, such as after you topped up its credit. Workers send again within seconds.

    \b
    Examples:
      batchgate accounts resume openai env
      batchgate accounts resume openai team-a --model gpt-4o
    """
    with context.gateway() as gateway:
        ended = account_pauses.end(gateway, provider=provider, name=name, model=model)
    click.echo(f"{ended} pauses of {provider}/{name} are ended.")
