"""Usage: by day, model, key and project, as charts and as CSV. For admins, as on the API."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.download import SANDBOX
from app.api.operation import operation
from app.errors import InvalidRequestError
from app.services.money import usage
from app.services.money.usage import Usage

DAY_MS = 86_400_000
DAYS = (7, 30, 90, 365)
GROUPS = ("model", "key", "project", "provider")
MAX_ROWS = 100
WIDTH, BASE = 1000, 140
COLUMNS = (
    *("id", "name", "project", "lines", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
    *("cost", "unknown"),
)

blueprint = Blueprint("usage", __name__)


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in a chart."""

    x: float
    y: float
    width: float
    height: float
    label: str


@blueprint.get("/usage")
@operation("ui_usage")
def show() -> Response:
    """Cost and lines by day, and tables by model and key."""
    project = _project()
    begins, days = _period()
    group = request.args.get("by", "model")
    if group not in GROUPS or (group == "project" and project is not None):
        group = "model"
    by_day = usage.by(gateway(), "day", begins=begins, project=project, limit=DAYS[-1] + 1).items
    rows = usage.by(gateway(), group, begins=begins, project=project, limit=MAX_ROWS)
    return pages.page(
        "usage.html",
        days=days,
        choices=DAYS,
        group=group,
        groups=GROUPS,
        rows=sorted(rows.items, key=lambda row: (-row.cost, -row.lines)),
        has_more=rows.has_more,
        charts=[
            ("Cost", _bars(by_day, "cost", begins, days), max((row.cost for row in by_day), default=0), "money"),
            ("Lines", _bars(by_day, "lines", begins, days), max((row.lines for row in by_day), default=0), "number"),
        ],
        lines=sum(row.lines for row in by_day),
        cost=sum(row.cost for row in by_day),
        unknown=sum(row.unknown for row in by_day),
        tokens=sum(row.input_tokens + row.output_tokens for row in by_day),
        project=project,
    )


@blueprint.get("/usage.csv")
@operation("ui_usage_csv")
def download() -> Response:
    """The sums as CSV; cost in picodollars."""
    begins, _ = _period()
    group = request.args.get("by", "day")
    if group not in usage.GROUPS:
        raise InvalidRequestError(f"by: must be one of {', '.join(usage.GROUPS)}.", param="by")
    page = usage.by(gateway(), group, begins=begins, project=_project(), limit=10_000)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([group, *COLUMNS[1:-2], "cost_picodollars", "unknown"])
    for row in page.items:
        writer.writerow([_plain(getattr(row, name)) for name in COLUMNS])
    headers = {
        "Content-Disposition": f'attachment; filename="usage-by-{group}.csv"',
        "Content-Security-Policy": SANDBOX,
    }
    return Response(text.getvalue(), mimetype="text/csv", headers=headers)


def _plain(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _period() -> tuple[int, int]:
    """(its beginning in Unix ms, how many days it has)."""
    given = request.args.get("days", "")
    days = int(given) if given in {str(each) for each in DAYS} else DAYS[0]
    now = gateway().clock.now_ms()
    return now - now % DAY_MS - (days - 1) * DAY_MS, days


def _project() -> str | None:
    pages.signed_in().actor()
    return None if request.args.get("of") == "all" else caller().project


def _bars(rows: Sequence[Usage], name: str, begins: int, days: int) -> list[Bar]:
    found = {row.id: int(getattr(row, name)) for row in rows}
    most = max(found.values(), default=0)
    step = WIDTH / days
    bars = []
    for number in range(days):
        day = f"{datetime.fromtimestamp((begins + number * DAY_MS) / 1000, UTC):%Y-%m-%d}"
        height = BASE * found.get(day, 0) / most if most else 0
        if height:
            x, y, width = number * step, BASE - height, max(1, step * 0.8)
            bars.append(Bar(round(x, 1), round(y, 1), round(width, 1), round(height, 1), day))
    return bars
