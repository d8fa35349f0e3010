"""The wire format of keys: Bifrost's fields next to the gateway's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.management.request import seconds
from app.api.management.wire import budget_wire
from app.schemas.management import PERIODS
from app.services.access import keys
from app.services.access.keys import KeyInfo
from app.services.money.budgets import Budget

ANY = "*"
# Limits that Bifrost has, too: (its field for the limit, its field for the duration, the duration).
RATES = {
    "requests_per_minute": ("request_max_limit", "request_reset_duration", "1m"),
    "tokens_per_day": ("token_max_limit", "token_reset_duration", "1d"),
}


def fields_of(body: Mapping[str, Any], limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Converts a request body to fields of a key. `rate_limit` changes only those of `limits` that it names."""
    fields = {name: value for name, value in body.items() if name not in ("provider_configs", "rate_limit")}
    if "provider_configs" in body:
        fields |= _lists(body["provider_configs"] or ())
    if "rate_limit" in body:
        fields["limits"] = _limits(body["rate_limit"], limits or {})
    return fields


def key_wire(key: KeyInfo, budgets: Sequence[Budget] | None = None, *, value: str | None = None) -> dict[str, Any]:
    """Renders a key for responses, with its budgets if given; `value` is the key itself."""
    shown: dict[str, Any] = {
        "id": key.public_id,
        "object": "virtual_key",
        "name": key.name,
        "description": key.description,
        "project": key.project,
        "kind": key.kind,
        "role": key.role,
        "state": key.state,
        "is_active": key.state == keys.ACTIVE,
        "provider_configs": _configs(key),
        "accounts": key.accounts,
        "providers": key.providers,
        "models": key.models,
        "endpoints": key.endpoints,
        "networks": key.networks,
        "limits": dict(key.limits),
        "rate_limit": _rate_limit(key.limits),
        "issuer": key.issuer,
        "subject": key.subject,
        "created_at": seconds(key.created_at),
        "expires_at": seconds(key.expires_at),
        "revoked_at": seconds(key.revoked_at),
        "stopped_at": seconds(key.stopped_at),
        "previous_until": seconds(key.previous_until),
    }
    if budgets is not None:
        shown["budgets"] = [budget_wire(budget) for budget in budgets]
    return shown if value is None else {**shown, "value": value}


def budget_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Converts Bifrost's `budget` to arguments of budgets.set_."""
    period = "total" if body["reset_duration"] is None else PERIODS[body["reset_duration"]]
    return {"period": period, "limit_picodollars": body["max_limit"]}


def _lists(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Converts Bifrost's list of providers with their models to the two lists of a key."""
    models: list[str] = []
    for config in configs:
        allowed = config.get("allowed_models") or (ANY,)
        models += [f"{config['provider']}/{model}" for model in ((ANY,) if ANY in allowed else allowed)]
    is_all = all(model.endswith(f"/{ANY}") for model in models)
    return {"providers": [config["provider"] for config in configs] or None, "models": None if is_all else models}


def _configs(key: KeyInfo) -> list[dict[str, Any]] | None:
    if key.providers is None:
        return None
    return [{"provider": provider, "allowed_models": _models_at(key, provider)} for provider in key.providers]


def _models_at(key: KeyInfo, provider: str) -> list[str]:
    if key.models is None:
        return [ANY]
    others = tuple(f"{name}/" for name in key.providers or () if name != provider)
    return [model.removeprefix(f"{provider}/") for model in key.models if not model.startswith(others)]


def _limits(rate_limit: Mapping[str, Any] | None, limits: Mapping[str, int]) -> dict[str, int]:
    changed: dict[str, int | None] = dict(limits)
    for name, (field, _, _) in RATES.items():
        if rate_limit is None or field in rate_limit:
            changed[name] = None if rate_limit is None else rate_limit[field]
    return {name: value for name, value in changed.items() if value is not None}


def _rate_limit(limits: Mapping[str, int]) -> dict[str, Any] | None:
    shown: dict[str, Any] = {}
    for name, (field, duration, unit) in RATES.items():
        shown |= {field: limits.get(name), duration: unit if name in limits else None}
    return shown if any(name in limits for name in RATES) else None
