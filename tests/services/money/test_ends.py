"""No way to end a batch forgets what it has reserved: whatever moves batches on is known here."""

import ast
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "app" / "data"
# Functions that change batches, and lead to none of the states that are never left.
TO_NO_END = {
    "work.claim",
    "work.end_due",
    "work.hold",
    "work.release",
    "work.renew",
    "work.start",
    "work.start_jobs",
    "batches.cancel",
    "batches.mark_deleted",
    "batches.pause",
    "batches.resume",
    "batches.steer",
    "batches.wait_for_off_peak",
    "budgets.stop_batch",
    "prices.freeze",
    "retention.mark",
    "segments._adding",
}


def test_whatever_ends_a_batch_gives_back_what_it_reserved() -> None:
    changing, giving_back = set(), set()
    for path in DATA.rglob("*.py"):
        source = path.read_text()
        # A module with leases on batches writes to them through `_LEASES`, too.
        writes = ("update(batches)", "_LEASES.") if "LeasedTable(batches)" in source else ("update(batches)",)
        for node in ast.parse(source).body:
            words = ast.unparse(node)
            if not isinstance(node, ast.FunctionDef) or not any(write in words for write in writes):
                continue
            name = f"{path.stem}.{node.name}"
            changing.add(name)
            if "refund(connection, " in words:
                giving_back.add(name)
    assert giving_back == {"work.end", "work.fail", "work.follow"}
    assert changing - giving_back == TO_NO_END
