"""Run a plan."""

import math
import random

from bench.simulate.figures import Figures
from bench.simulate.fleet import TICK_S, Provider, Worker
from bench.simulate.loop import Database, Loop
from bench.simulate.plan import Plan, arrivals, home, shares
from bench.simulate.store import Store
from bench.simulate.tables import Outcome

MIN_CEILING = 8


def simulate(plan: Plan, figures: Figures | None = None) -> Outcome:
    """Simulate `plan.seconds` of it. With the same plan and figures, the outcome is the same."""
    before = random.getstate()
    random.seed(plan.seed)  # of the engine's own jitter
    try:
        return _simulate(plan, figures or Figures())
    finally:
        random.setstate(before)


def _simulate(plan: Plan, figures: Figures) -> Outcome:
    dice = random.Random(plan.seed)
    loop = Loop()
    database = Database(loop, cores=plan.database_cores, held_ms=figures.commit_ms + figures.round_trips_ms)
    ceilings, providers = _providers(plan, dice)
    store = Store(loop, database, figures, ceilings)
    workers = [Worker(number, plan, loop, store, providers, dice.randrange(2**32)) for number in range(plan.workers)]
    for worker in workers:
        loop.at(dice.uniform(0, TICK_S), worker.tick)
    arrived = 0
    for arrival in arrivals(plan, dice):
        arrived += arrival.lines
        loop.at(arrival.at, lambda arrival=arrival: store.arrive(arrival))  # type: ignore[misc]
    loop.run(plan.seconds)
    return Outcome(plan, figures, store, database, providers, ceilings, workers, arrived)


def _providers(plan: Plan, dice: random.Random) -> tuple[list[int], list[Provider]]:
    needs = [0.0] * plan.capacities
    for project, share in enumerate(shares(plan)):
        needs[home(plan, project)] += share * plan.rate * plan.latency_s
    ceilings = [max(MIN_CEILING, math.ceil(need * plan.ceiling)) for need in needs]
    tight = set(dice.sample(range(plan.capacities), math.ceil(plan.capacities * plan.tight)))
    limits = [
        max(MIN_CEILING // 2, math.ceil(needs[n] * plan.tight_share)) if n in tight else ceiling
        for n, ceiling in enumerate(ceilings)
    ]
    return ceilings, [Provider(limit) for limit in limits]
