"""How many threads the demo's model takes."""

from pathlib import Path

import pytest

from app.cli.demo.model import MAX_THREADS, threads_beside_gateway, usable_cores


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (4, 3), (64, MAX_THREADS)])
def test_a_core_is_left_to_the_gateway(cores: int, threads: int) -> None:
    assert threads_beside_gateway(cores) == threads


@pytest.mark.parametrize(("quota", "most"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_container_has_the_cores_of_its_quota(tmp_path: Path, quota: str, most: int | None) -> None:
    file = tmp_path / "cpu.max"
    everything = usable_cores(file)  # there is none
    file.write_text(quota)
    assert usable_cores(file) == (everything if most is None else most)
    file.write_text("nonsense")
    assert usable_cores(file) == everything
