"""A key on the wire: Bifrost's words beside the gateway's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.management.asking import seconds
from app.lib import money
from app.schemas.management import PERIODS
from app.services.access import keys
from app.services.access.keys import KeyInfo
from app.services.money.budgets import Budget

ANY = "*"
# (Bifrost's limit, its duration) of the limits that both have.
RATES = {
    "requests_per_minute": ("request_max_limit", "request_reset_duration", "1m"),
    "tokens_per_day": ("token_max_limit", "token_reset_duration", "1d"),
}
DURATIONS = {period: duration for duration, period in PERIODS.items()}


def fields_of(asked: Mapping[str, Any], limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """What was `asked` as fields of a key. `rate_limit` changes those of `limits` that it names."""
    fields = {name: value for name, value in asked.items() if name not in ("provider_configs", "rate_limit")}
    if "provider_configs" in asked:
        fields |= _lists(asked["provider_configs"] or ())
    if "rate_limit" in asked:
        fields["limits"] = _limits(asked["rate_limit"], limits or {})
    return fields


def wire(key: KeyInfo, budgets: Sequence[Budget] | None = None, *, value: str | None = None) -> dict[str, Any]:
    """A key as answers have it, with its budgets where they were looked up; `value` is the key itself."""
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
        shown["budgets"] = [wire_of_budget(budget) for budget in budgets]
    return shown if value is None else {**shown, "value": value}


def wire_of_budget(budget: Budget) -> dict[str, Any]:
    """A budget as answers have it: dollars as text."""
    return {
        "id": budget.id,
        "object": "budget",
        "project": budget.project,
        "key": budget.key,
        "period": budget.period,
        "reset_duration": DURATIONS.get(budget.period),
        "max_limit": money.dollars(budget.limit),
        "current_usage": money.dollars(budget.spent),
        "reserved": money.dollars(budget.reserved),
        "left": money.dollars(budget.left),
        "period_start": seconds(budget.period_start),
        "created_at": seconds(budget.created_at),
    }


def budget_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Bifrost's `budget` as arguments of budgets.set_."""
    period = "total" if asked["reset_duration"] is None else PERIODS[asked["reset_duration"]]
    return {"period": period, "limit_picodollars": asked["max_limit"]}


def _lists(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Bifrost's list of providers, each with its models, as two lists."""
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


def _limits(asked: Mapping[str, Any] | None, limits: Mapping[str, int]) -> dict[str, int]:
    changed: dict[str, int | None] = dict(limits)
    for name, (most, _, _) in RATES.items():
        if asked is None or most in asked:
            changed[name] = None if asked is None else asked[most]
    return {name: value for name, value in changed.items() if value is not None}


def _rate_limit(limits: Mapping[str, int]) -> dict[str, Any] | None:
    shown: dict[str, Any] = {}
    for name, (most, duration, unit) in RATES.items():
        shown |= {most: limits.get(name), duration: unit if name in limits else None}
    return shown if any(name in limits for name in RATES) else None
