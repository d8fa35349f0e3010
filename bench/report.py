"""What a benchmark found: figures, each with its baseline, their ratio, and what was wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, wanted: value >= wanted,
    "<=": lambda value, wanted: value <= wanted,
    "==": lambda value, wanted: value == wanted,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. What is judged is the ratio, or `value` when there is no baseline."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    wanted: tuple[str, float] | None = None

    @property
    def ratio(self) -> float | None:
        """`value` in terms of the baseline."""
        return self.value / self.baseline if self.baseline else None

    @property
    def passed(self) -> bool | None:
        """None when nothing is wanted of this figure."""
        if self.wanted is None:
            return None
        operator, limit = self.wanted
        judged = self.value if self.ratio is None else self.ratio
        return OPERATORS[operator](judged, limit)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON report."""
        wanted = None if self.wanted is None else "{} {:g}".format(*self.wanted)
        told = {"name": self.name, "value": self.value, "unit": self.unit, "baseline": self.baseline}
        return told | {"ratio": self.ratio, "wanted": wanted, "passed": self.passed}


@dataclass(slots=True)
class Report:
    """The figures of one benchmark, in the order in which they are told."""

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
        wanted: tuple[str, float] | None = None,
    ) -> Figure:
        """A figure; with `wanted` such as (">=", 0.85) it decides whether the benchmark passes."""
        figure = Figure(name, value, unit, baseline, wanted)
        self.figures.append(figure)
        return figure

    @property
    def passed(self) -> bool:
        """False when any figure is not as wanted."""
        return all(figure.passed is not False for figure in self.figures)

    def table(self) -> str:
        """The figures as text."""
        head = ("figure", "value", "baseline", "ratio", "wanted", "")
        rows = [head, *(_cells(figure) for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(_padded(row, widths)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """For the JSON report."""
        figures = [figure.as_dict() for figure in self.figures]
        return {"name": self.name, "passed": self.passed, "figures": figures, "notes": self.notes}


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        "" if figure.baseline is None else f"{_number(figure.baseline)} {figure.unit}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.wanted is None else "{} {:g}".format(*figure.wanted),
        {True: "PASS", False: "FAIL", None: ""}[figure.passed],
    )


def _padded(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.ljust(width) if n in (0, 5) else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
