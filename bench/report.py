"""The figures of a benchmark, each with its baseline, their ratio and its target."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
    "==": lambda value, limit: value == limit,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. The target applies to the ratio, or to `value` if there is no baseline."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    target: tuple[str, float] | None = None

    @property
    def ratio(self) -> float | None:
        """`value` divided by the baseline."""
        return self.value / self.baseline if self.baseline else None

    @property
    def passed(self) -> bool | None:
        """True if the target is met; None without a target."""
        if self.target is None:
            return None
        operator, limit = self.target
        value = self.value if self.ratio is None else self.ratio
        return OPERATORS[operator](value, limit)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        target = None if self.target is None else "{} {:g}".format(*self.target)
        figure = {"name": self.name, "value": self.value, "unit": self.unit, "baseline": self.baseline}
        return figure | {"ratio": self.ratio, "target": target, "passed": self.passed}


@dataclass(slots=True)
class Report:
    """The figures of a benchmark, in the order of the table."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        baseline: float | None = None,
        target: tuple[str, float] | None = None,
    ) -> Figure:
        """Add a figure. A `target`, such as (">=", 0.85), decides whether the benchmark passes."""
        figure = Figure(name, value, unit, baseline, target)
        self.figures.append(figure)
        return figure

    @property
    def passed(self) -> bool:
        """False if any figure misses its target."""
        return all(figure.passed is not False for figure in self.figures)

    def table(self) -> str:
        """Format the figures as a text table."""
        head = ("figure", "value", "baseline", "ratio", "target", "")
        rows = [head, *(_cells(figure) for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(_padded(row, widths)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        figures = [figure.as_dict() for figure in self.figures]
        return {"name": self.name, "passed": self.passed, "figures": figures, "notes": self.notes}


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        "" if figure.baseline is None else f"{_number(figure.baseline)} {figure.unit}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.target is None else "{} {:g}".format(*figure.target),
        {True: "PASS", False: "FAIL", None: ""}[figure.passed],
    )


def _padded(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.ljust(width) if n in (0, 5) else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
