"""Estimates on the wire: money is dollars as decimal text, null where it is unknown."""

from typing import Any

from app.lib import money
from app.services.batches.cost import FileEstimate
from app.services.batches.estimate import Sums

MAX_SHOWN = 2**53  # beyond it, JSON's numbers are not exact


def wire(estimated: FileEstimate) -> dict[str, Any]:
    """The estimate object without its `extra_fields`."""
    total = estimated.estimate.total
    return {
        "object": "file.estimate",
        "file_id": estimated.file_id,
        "execution": estimated.execution,
        "lines": estimated.estimate.lines,
        "invalid_lines": estimated.estimate.invalid_lines,
        "models": [_model(estimated, name, sums) for name, sums in estimated.estimate.models.items()],
        "input_tokens": total.input_tokens,
        "max_output_tokens": min(total.max_output_tokens, MAX_SHOWN) if total.lines_with_limit else None,
        "lines_without_max_output_tokens": total.lines - total.lines_with_limit,
        "output_tokens": min(total.output_tokens(estimated.default_output_tokens), MAX_SHOWN),
        "default_output_tokens": estimated.default_output_tokens,
        "estimated_cost": _dollars(estimated.costs.total),
    }


def _model(estimated: FileEstimate, name: str, sums: Sums) -> dict[str, Any]:
    return {
        "model": name,
        "lines": sums.lines,
        "input_tokens": sums.input_tokens,
        "output_tokens": min(sums.output_tokens(estimated.default_output_tokens), MAX_SHOWN),
        "estimated_cost": _dollars(estimated.costs.models.get(name)),
    }


def _dollars(picodollars: int | None) -> str | None:
    return None if picodollars is None else money.dollars(picodollars)
