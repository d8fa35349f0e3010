"""A value that is found once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.connectors.shared.once import Once


def test_threads_share_one_search():
    seen = []
    together = threading.Barrier(8)
    value = Once(lambda: seen.append(1) or len(seen))

    def use(_: int) -> int:
        together.wait()
        return value.value()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [1] * 8
    assert seen == [1]


def test_a_failure_is_not_kept():
    answers = iter([ValueError("not yet"), "found"])

    def find() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    value = Once(find)
    with pytest.raises(ValueError, match="not yet"):
        value.value()
    assert value.value() == "found"
