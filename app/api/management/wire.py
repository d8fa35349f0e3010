"""The wire format of projects, accounts, prices, budgets, usage and events: money as text, instants as Unix seconds."""

from typing import Any

from app.api.management.request import seconds
from app.lib import hours, money
from app.schemas.management import PERIODS
from app.services.access.projects import Project
from app.services.accounts import off_peak
from app.services.accounts.admin import AccountInfo
from app.services.accounts.off_peak import OffPeak
from app.services.accounts.pauses import ShownPause
from app.services.events.browse import Event
from app.services.money import price_import
from app.services.money.budgets import Budget
from app.services.money.price_book import ListedPrice
from app.services.money.usage import Usage

DURATIONS = {period: duration for duration, period in PERIODS.items()}


def project_wire(project: Project) -> dict[str, Any]:
    """Renders a project."""
    return {
        "id": project.name,
        "object": "project",
        "name": project.name,
        "description": project.description,
        "default_provider": project.default_provider,
        "limits": dict(project.limits),
        "is_active": project.archived_at is None,
        "created_at": seconds(project.created_at),
        "archived_at": seconds(project.archived_at),
    }


def account_wire(account: AccountInfo) -> dict[str, Any]:
    """Renders an account, without its key and the values of its options."""
    return {
        "id": f"{account.provider}/{account.name}",
        "object": "account",
        "provider": account.provider,
        "name": account.name,
        "source": account.source,
        "state": account.state,
        "base_url": account.base_url,
        "weight": account.weight,
        "max_concurrency": account.max_concurrency,
        "limits": dict(account.limits),
        "models": dict(account.models),
        "options": list(account.options),
        "abilities": account.abilities,
    }


def pause_wire(pause: ShownPause) -> dict[str, Any]:
    """Renders a pause. `model` is null for the whole account, `project` for all projects."""
    return {
        "id": pause.id,
        "object": "pause",
        "account": f"{pause.provider}/{pause.account}",
        "model": pause.model or None,
        "project": pause.project,
        "kind": pause.kind,
        "since": seconds(pause.since),
        "paused_until": seconds(pause.paused_until),
        "pauses": pause.pauses,
        "status_code": pause.status_code,
        "code": pause.code or None,
        "message": pause.message or None,
    }


def price_wire(price: ListedPrice) -> dict[str, Any]:
    """Renders a price."""
    return {
        "id": price.id,
        "object": "price",
        "provider": price.provider,
        "model": price.model,
        "input": price_import.dollars(price.input),
        "cached": price_import.dollars(price.cached),
        "output": price_import.dollars(price.output),
        "batch_percent": price.batch_percent,
        "cached_batch_percent": price.cached_batch_percent,
        "valid_from": seconds(price.valid_from),
        "valid_until": seconds(price.valid_until),
        "source": price.source,
    }


def budget_wire(budget: Budget) -> dict[str, Any]:
    """Renders a budget for responses, with dollars as text."""
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


def usage_wire(item: Usage) -> dict[str, Any]:
    """Renders the sums of a group. `cost` is dollars of entries with a known cost, `unknown_costs` counts others."""
    return {
        "name": item.name,
        "project": item.project,
        "lines": item.lines,
        "input_tokens": item.input_tokens,
        "cached_tokens": item.cached_tokens,
        "output_tokens": item.output_tokens,
        "reasoning_tokens": item.reasoning_tokens,
        "cost": money.dollars(item.cost),
        "unknown_costs": item.unknown,
    }


def event_wire(event: Event) -> dict[str, Any]:
    """Renders an event."""
    return {
        "id": event.id,
        "object": "event",
        "created_at": seconds(event.created_at),
        "actor": event.actor,
        "address": event.address,
        "project": event.project,
        "virtual_key": event.virtual_key,
        "source": event.source,
        "operation": event.operation,
        "object_id": event.object_id,
        "outcome": event.outcome,
        "status_code": event.status_code,
        "latency_ms": event.latency_ms,
        "request_id": event.request_id,
        "detail": event.detail,
    }


def off_peak_wire(window: OffPeak) -> dict[str, Any]:
    """Off-peak hours of an account; those without a model are of all."""
    each = window.hours
    return {
        "id": off_peak.text(window),
        "object": "off_peak",
        "model": window.model,
        "begins": hours.shown(each.begins),
        "ends": hours.shown(each.ends),
        "zone": each.zone,
        "days": each.days,
        "percent": each.percent,
    }
