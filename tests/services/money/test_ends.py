"""No way to end a batch forgets what it has reserved: whatever moves batches on is known here."""

import ast
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "app" / "data"
# Functions that change batches, and lead to none of the states that are never left.
TO_NO_END = {
    "batch_work.claim",
    "batch_work.end_due",
    "batch_work.hold",
    "batch_work.release",
    "batch_work.start",
    "batch_work.start_jobs",
    "batches.cancel",
    "batches.mark_deleted",
    "budgets.stop_batch",
    "prices.freeze",
    "retention.mark",
    "segments.count",
}


def test_whatever_ends_a_batch_gives_back_what_it_reserved() -> None:
    changing, giving_back = set(), set()
    for path in DATA.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            words = ast.unparse(node)
            if not isinstance(node, ast.FunctionDef) or "update(batches)" not in words:
                continue
            name = f"{path.stem}.{node.name}"
            changing.add(name)
            if "refund(connection, " in words:
                giving_back.add(name)
    assert giving_back == {"batch_work.end", "batch_work.fail", "jobs.follow"}
    assert changing - giving_back == TO_NO_END
