"""Inputs that are a burden to plan, beside a project that only wants its lines sent."""

import pytest

from tests.e2e.neighbours.street import Street

pytestmark = pytest.mark.one_database


def test_an_input_without_a_valid_line_stops_nobody(street: Street) -> None:
    street.measure_alone()
    batch = street.hostile.start(b"{not json}\n" * 50_000)
    street.assert_good_is_not_slowed()
    assert street.hostile.reasons(batch) == {"invalid_json_line"}
