"""Slots are limited in number, and for each owner."""

from contextlib import ExitStack

import pytest

from app.lib.threads.slots import Slots


def test_an_owner_gets_its_slots_and_others_theirs_up_to_the_total() -> None:
    slots = Slots(total=2, each=1)
    with ExitStack() as stack:
        assert stack.enter_context(slots.slot(1))
        assert not stack.enter_context(slots.slot(1))
        assert stack.enter_context(slots.slot(2))
        assert not stack.enter_context(slots.slot(3))
    with slots.slot(3) as is_free:
        assert is_free


def test_a_slot_is_free_again_after_a_failure() -> None:
    slots = Slots(total=1, each=1)
    with pytest.raises(ZeroDivisionError), slots.slot(1):
        assert 1 / 0
    with slots.slot(1) as is_free:
        assert is_free
