"""bench/simulate: no line is lost or made up, ceilings hold, and the same seed gives the same tables."""

from dataclasses import replace

from bench.simulate.plan import Plan
from bench.simulate.run import simulate
from bench.simulate.tables import Outcome, tables, uses, waits

SMALL = Plan(
    lines_a_day=2e7,
    projects=30,
    workers=3,
    capacities=3,
    seconds=3.0,
    latency_s=0.3,
    concurrency=32,
    database_cores=1,
    largest_batch=500,
    tight=0.3,
    tight_share=0.5,
)


def accounted(found: Outcome) -> int:
    return found.ended + sum(found.open.values())


def test_every_line_is_somewhere_and_no_ceiling_is_passed() -> None:
    found = simulate(SMALL)
    assert found.arrived > 300
    assert accounted(found) == found.arrived
    assert 0.3 * found.arrived < found.ended <= sum(provider.answered for provider in found.providers)
    assert any(provider.refused for provider in found.providers)
    assert all(p.most <= ceiling for p, ceiling in zip(found.providers, found.ceilings, strict=True))
    assert found.store.written["ledger"] == found.ended
    assert found.store.written["lines_inserted"] == found.arrived
    assert tables(simulate(SMALL)) == tables(found) != tables(simulate(replace(SMALL, seed=2)))


def test_results_that_are_collected_for_longer_make_fewer_chunks() -> None:
    found, fewer = simulate(SMALL), simulate(replace(SMALL, flush_ms=1000))
    assert accounted(fewer) == fewer.arrived == found.arrived
    assert fewer.store.written["chunks"] < 0.7 * found.store.written["chunks"]
    assert uses(fewer)["puts of one prefix of S3"] < uses(found)["puts of one prefix of S3"]
    assert max(max(seconds, default=0.0) for seconds in waits(found).values()) < SMALL.seconds
