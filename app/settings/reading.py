"""Reads the settings from the environment, once for each process."""

import os
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from app.settings.fields import Settings

MAX_PORT = 65535
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class SettingsError(ValueError):
    """An environment variable is invalid. The message names the variable and the fix."""


def documented() -> list[tuple[str, Any, str]]:
    """Return (variable, default, meaning) of every setting, in the order of docs/settings.md."""
    return [(f.metadata["env"], f.default, f.metadata["help"]) for f in fields(Settings) if f.metadata]


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from `environ` (default: `os.environ`). Raises SettingsError that names all invalid variables."""
    source = dict(os.environ if environ is None else environ)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in fields(Settings):
        if setting.metadata:
            try:
                values[setting.name] = _read(setting.metadata["env"], setting.default, source)
            except SettingsError as error:
                problems.append(str(error))
    if problems:
        raise SettingsError(" ".join(problems))
    if values["heartbeat_s"] * 2 > values["lease_s"]:
        raise SettingsError("BATCHGATE_HEARTBEAT_SECONDS must be at most half of BATCHGATE_LEASE_SECONDS.")
    if values["metrics_port"] and (values["metrics_port"] == values["port"] or values["metrics_port"] > MAX_PORT):
        raise SettingsError(f"BATCHGATE_METRICS_PORT must be at most {MAX_PORT}, and not the same as PORT.")
    _check_networks("BATCHGATE_PROXY_NETWORKS", values["proxy_networks"])
    home = Path(values["home"]).absolute()
    values["home"] = home
    values["database_url"] = with_driver(values["database_url"] or f"sqlite:///{home / 'batchgate.db'}")
    values["listen_url"] = with_driver(values["listen_url"])
    values["blob_url"] = values["blob_url"] or (home / "blobs").as_uri()
    values["public_url"] = (values["public_url"] or f"http://127.0.0.1:{values['port']}").rstrip("/")
    return Settings(environment=source, **values)


def _read(name: str, default: Any, source: Mapping[str, str]) -> Any:
    text = source.get(name, "").strip()
    if not text:
        return default
    kind = type(default)
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise SettingsError(f"{name} must be true or false, not {text!r}.")
        return BOOLEANS[text.lower()]
    try:
        value = kind(text)
    except ValueError as error:
        expected = "an integer" if kind is int else "a number"
        raise SettingsError(f"{name} must be {expected}, not {text!r}.") from error
    if isinstance(value, int | float) and value < 0:
        raise SettingsError(f"{name} must be 0 or more, not {text!r}.")
    return value


def _check_networks(name: str, text: str) -> None:
    for network in text.split(","):
        try:
            ip_network(network.strip(), strict=False)
        except ValueError as error:
            raise SettingsError(f"{name} must list networks such as 10.0.0.0/8, not {network.strip()!r}.") from error


def with_driver(url: str) -> str:
    """Returns the URL of a database with the driver that is used for it."""
    # Heroku uses postgres://, SQLAlchemy only knows postgresql://, and the driver here is psycopg 3.
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url
