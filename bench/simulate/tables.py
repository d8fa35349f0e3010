"""What came of a simulation, as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.simulate.figures import Figures
from bench.simulate.fleet import ANSWER, Provider, Worker
from bench.simulate.loop import Database
from bench.simulate.plan import DAY_S, Plan, shares
from bench.simulate.store import Store

RETENTION_DAYS = 30
WAL_BYTES_A_SECOND = 200e6  # of a good disk, or of the network to a replica
PUTS_A_SECOND = 3500  # that Amazon S3 takes of one prefix
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was counted. `arrived` are lines of batches that came in."""

    plan: Plan
    figures: Figures
    store: Store
    database: Database
    providers: Sequence[Provider]
    ceilings: Sequence[int]
    workers: Sequence[Worker]
    arrived: int

    @property
    def ended(self) -> int:
        return self.store.written["lines_ended"]

    @property
    def open(self) -> dict[str, int]:
        """Lines that have not ended, by where they are."""
        runs = [run for worker in self.workers for run in worker.scheduler.runs()]
        unclaimed = (last - first + 1 for batch in self.store.batches for first, last in batch.free)
        return {
            "waits for its rows": self.store.planning,
            "waits in the store": sum(unclaimed),
            "waits at a worker": sum(run.waiting for run in runs),
            "is out": sum(run.out for run in runs),
            "has a result that is not written": sum(run.unwritten_bytes for run in runs) // len(ANSWER),
        }


def tables(found: Outcome) -> str:
    """All tables, as text."""
    parts = (_load(found), _waits(found), _permits(found), _writes(found), _limits(found))
    return "\n\n".join(f"{title}\n\n{_table(rows)}" for title, rows in parts)


def _load(found: Outcome) -> tuple[str, list[Row]]:
    plan, seconds = found.plan, found.plan.seconds
    late = sum(lines for at, lines in found.store.ends if at >= seconds * 2 / 3)
    sent = sum(provider.answered + provider.refused for provider in found.providers)
    rows = [
        ("", "lines", "a second"),
        ("came in", f"{found.arrived:,}", f"{found.arrived / seconds:,.0f}"),
        ("ended", f"{found.ended:,}", f"{found.ended / seconds:,.0f}"),
        ("of these in the last third", f"{late:,}", f"{late / seconds * 3:,.0f}"),
        *((f"at the end {name}", f"{number:,}", "") for name, number in found.open.items()),
        ("calls", f"{sent:,}", f"{sent / seconds:,.0f}"),
        ("of these refused (429)", f"{sum(p.refused for p in found.providers):,}", ""),
    ]
    title = (
        f"{plan.lines_a_day:,.0f} lines a day: {plan.projects:,} projects, {plan.workers} workers, {plan.capacities} "
        f"accounts and models, {seconds:g} s (seed {plan.seed})"
    )
    return title, rows


def waits(found: Outcome) -> dict[str, list[float]]:
    """Seconds from the arrival of each batch to its first line, by how large its project is."""
    names = shares(found.plan)
    classes: dict[str, list[float]] = {"the 10 largest": [], "the next 90": [], "the others": []}
    for batch in found.store.batches:
        if batch.created > 0.8 * found.plan.seconds:
            continue  # those that came last had no time
        first = found.plan.seconds if batch.first_sent is None else batch.first_sent
        rank = batch.project
        name = "the 10 largest" if rank < 10 else "the next 90" if rank < 100 else "the others"
        classes[name].append(first - batch.created)
    assert names
    return classes


def _waits(found: Outcome) -> tuple[str, list[Row]]:
    rows: list[Row] = [("projects", "share of lines", "batches", "median", "95%", "99%", "longest")]
    parts = shares(found.plan)
    sizes = {
        "the 10 largest": sum(parts[:10]),
        "the next 90": sum(parts[10:100]),
        "the others": sum(parts[100:]),
    }
    for name, seconds in waits(found).items():
        if seconds:
            ordered = sorted(seconds)
            marks = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 0.99, 1.0)]
            rows.append((name, f"{sizes[name]:.0%}", f"{len(ordered):,}", *(f"{mark:.2f} s" for mark in marks)))
    return "Queue wait, from the batch to its first line, by project", rows


def _permits(found: Outcome) -> tuple[str, list[Row]]:
    rows: list[Row] = [
        ("account and model", "ceiling", "provider takes", "limit at the end", "most out", "mean", "refused")
    ]
    by_use = sorted(range(len(found.providers)), key=lambda n: -found.providers[n].refused)
    limits = [int(row.limit) for row in found.store.rows.values()]
    for number in by_use[:5]:
        provider = found.providers[number]
        told = f"{provider.limit:,}" if provider.limit < found.ceilings[number] else "all"
        mean = provider.line_s / found.plan.seconds
        texts = (f"{limits[number]:,}", f"{provider.most:,}", f"{mean:,.0f}", f"{provider.refused:,}")
        rows.append((f"{number}", f"{found.ceilings[number]:,}", told, *texts))
    over = sum(p.most > ceiling for p, ceiling in zip(found.providers, found.ceilings, strict=True))
    return f"Permits, where most was refused first; beyond its ceiling was none but {over}", rows


def _writes(found: Outcome) -> tuple[str, list[Row]]:
    seconds, done, figures = found.plan.seconds, found.store.written, found.figures
    lines, chunks = max(1, done["lines_ended"]), max(1, done["chunks"])
    wal = lines * figures.wal_bytes_per_line + chunks * figures.wal_bytes_per_chunk
    kept = found.plan.lines_a_day * figures.row_bytes_per_line * RETENTION_DAYS
    a_day = DAY_S / seconds
    rows = [
        ("", "a second", "a day"),
        (
            "rows of lines, inserted",
            f"{done['lines_inserted'] / seconds:,.0f}",
            f"{done['lines_inserted'] * a_day:,.0f}",
        ),
        ("rows of lines, ended", f"{lines / seconds:,.0f}", f"{lines * a_day:,.0f}"),
        ("rows of the ledger", f"{done['ledger'] / seconds:,.0f}", f"{done['ledger'] * a_day:,.0f}"),
        ("chunks", f"{chunks / seconds:,.0f}", f"{chunks * a_day:,.0f}"),
        ("lines in a chunk", f"{lines / chunks:.1f}", ""),
        ("transactions", f"{found.database.transactions.total() / seconds:,.0f}", ""),
        ("write-ahead log", f"{wal / seconds / 1e6:,.1f} MB", f"{wal * a_day / 1e9:,.0f} GB"),
        ("objects", f"{done['objects'] / seconds:,.0f}", f"{done['objects'] * a_day:,.0f}"),
        (f"rows kept for {RETENTION_DAYS} days", "", f"{kept / 1e9:,.0f} GB"),
    ]
    return "Rows and bytes", rows


def uses(found: Outcome) -> dict[str, float]:
    """How much of each thing is used, as a part of what there is."""
    plan, seconds = found.plan, found.plan.seconds
    database, figures = found.database, found.figures
    lines, chunks = found.ended, found.store.written["chunks"]
    held = {"capacity": 0.0, "batch": 0.0}
    for row, held_s in database.row_held_s.items():
        kind = "batch" if isinstance(row, tuple) and row[0] == "batch" else "capacity"
        held[kind] = max(held[kind], held_s)
    wal = lines * figures.wal_bytes_per_line + chunks * figures.wal_bytes_per_chunk
    takes = [min(p.limit, ceiling) for p, ceiling in zip(found.providers, found.ceilings, strict=True)]
    return {
        "lines in flight at workers": sum(w.line_s for w in found.workers) / plan.workers / plan.concurrency / seconds,
        "CPU of workers": sum(w.cpu_s for w in found.workers) / plan.workers / seconds,
        "the busiest worker's CPU": max(w.cpu_s for w in found.workers) / seconds,
        "what providers take, all together": sum(p.line_s for p in found.providers) / sum(takes) / seconds,
        "cores of the database": database.busy_s.total() / plan.database_cores / seconds,
        "the row of the busiest account and model": held["capacity"] / seconds,
        "the row of the busiest batch": held["batch"] / seconds,
        "write-ahead log of 200 MB a second": wal / seconds / WAL_BYTES_A_SECOND,
        "puts of one prefix of S3": found.store.written["objects"] / seconds / PUTS_A_SECOND,
    }


def _limits(found: Outcome) -> tuple[str, list[Row]]:
    rows: list[Row] = [("what", "in use", "full at lines a day, if nothing else changes")]
    for name, use in sorted(uses(found).items(), key=lambda each: -each[1]):
        rows.append((name, f"{use:.0%}", f"{found.plan.lines_a_day / use:.1e}" if use else ""))
    return "What breaks first", rows


def _table(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
