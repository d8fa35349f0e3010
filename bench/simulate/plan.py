"""What is simulated: how much work, whose, and what there is to do it with."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet and its load. Projects are of very different sizes (Zipf); each uses one account and model.

    `ceilings` are what operators set for each account and model, as a multiple of what its load needs; of
    `tight` of them the provider really takes less (`tight_share`), and refuses the rest with 429 and `retry_after_s`.
    """

    seed: int = 1
    lines_a_day: float = 1e9
    projects: int = 1000
    workers: int = 200
    capacities: int = 40
    seconds: float = 30.0
    concurrency: int = 64
    latency_s: float = 0.8
    ceiling: float = 1.6
    tight: float = 0.1
    tight_share: float = 0.8
    retry_after_s: float = 1.0
    database_cores: int = 16
    skew: float = 0.8
    smallest_batch: int = 20
    largest_batch: int = 20_000
    flush_ms: int = 250

    @property
    def rate(self) -> float:
        """Lines a second."""
        return self.lines_a_day / DAY_S


PRESETS = {
    "1e5": Plan(
        lines_a_day=1e5, projects=20, workers=1, capacities=2, seconds=600, database_cores=1, largest_batch=2000
    ),
    "1e7": Plan(
        lines_a_day=1e7, projects=200, workers=4, capacities=8, seconds=120, database_cores=4, largest_batch=5000
    ),
    "1e8": Plan(lines_a_day=1e8, projects=500, workers=24, capacities=16, seconds=60, database_cores=8),
    "1e9": Plan(),
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that comes in."""

    at: float
    project: int
    capacity: int
    lines: int


def shares(plan: Plan) -> list[float]:
    """Which part of all lines each project has, the largest first."""
    weights = [(rank + 1) ** -plan.skew for rank in range(plan.projects)]
    total = sum(weights)
    return [weight / total for weight in weights]


def home(plan: Plan, project: int) -> int:
    """The account and model of a project. The large ones are spread evenly."""
    return project % plan.capacities


def arrivals(plan: Plan, dice: random.Random) -> Iterator[Arrival]:
    """Batches in the order of time. Large projects send more of them, and larger ones."""
    found = []
    for project, share in enumerate(shares(plan)):
        lines = share * plan.rate * plan.seconds
        mean = min(plan.largest_batch / 2, max(plan.smallest_batch, lines / 4))
        # Of sizes between the smallest and the largest.
        expected = plan.smallest_batch + mean * (exp(-plan.smallest_batch / mean) - exp(-plan.largest_batch / mean))
        at = dice.expovariate(share * plan.rate / expected)
        while at < plan.seconds:
            size = int(min(plan.largest_batch, max(plan.smallest_batch, dice.expovariate(1 / mean))))
            found.append(Arrival(at, project, home(plan, project), size))
            at += dice.expovariate(share * plan.rate / expected)
    return iter(sorted(found, key=lambda arrival: (arrival.at, arrival.project)))
