"""An estimate on the wire: money is dollars as decimal text, null where it is unknown."""

from typing import Any

from app.lib import money
from app.services.batches.cost import FileEstimate
from app.services.batches.estimate import Sums

MOST_SHOWN = 2**53  # beyond it, JSON's numbers are not exact


def wire(found: FileEstimate) -> dict[str, Any]:
    """The estimate as answers have it."""
    total = found.estimate.total
    return {
        "object": "file.estimate",
        "file_id": found.file_id,
        "execution": found.execution,
        "lines": found.estimate.lines,
        "invalid_lines": found.estimate.invalid_lines,
        "models": [_model(found, name, sums) for name, sums in found.estimate.models.items()],
        "input_tokens": total.input_tokens,
        "max_output_tokens": min(total.max_output_tokens, MOST_SHOWN) if total.lines_with_limit else None,
        "lines_without_max_output_tokens": total.lines - total.lines_with_limit,
        "output_tokens": min(total.output_tokens(found.default_output_tokens), MOST_SHOWN),
        "default_output_tokens": found.default_output_tokens,
        "estimated_cost": _dollars(found.costs.total),
    }


def _model(found: FileEstimate, name: str, sums: Sums) -> dict[str, Any]:
    return {
        "model": name,
        "lines": sums.lines,
        "input_tokens": sums.input_tokens,
        "output_tokens": min(sums.output_tokens(found.default_output_tokens), MOST_SHOWN),
        "estimated_cost": _dollars(found.costs.models.get(name)),
    }


def _dollars(picodollars: int | None) -> str | None:
    return None if picodollars is None else money.dollars(picodollars)
