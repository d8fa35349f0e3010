"""The loop over a provider's pages."""

import pytest

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Page
from app.connectors.contract.paging import each_page


def pages(count):
    """Reads pages that are numbered from 0, of which there are `count`; keeps what it was asked for."""
    seen = []

    def read(*, after):
        seen.append(after)
        number = int(after or 0)
        return Page([number], str(number + 1) if number + 1 < count else None)

    return read, seen


def test_every_page_is_read_once_and_in_order():
    read, seen = pages(3)
    assert [page.items for page in each_page(read)] == [[0], [1], [2]]
    assert seen == [None, "1", "2"]


def test_whoever_stops_reads_no_further():
    read, seen = pages(10**9)
    assert next(page for page in each_page(read) if page.items == [2]).after == "3"
    assert len(seen) == 3


def test_a_list_of_just_as_many_pages_as_may_be_is_complete():
    read, _ = pages(3)
    assert len(list(each_page(read, max_pages=3))) == 3


def test_a_list_without_an_end_is_a_bad_answer():
    read, seen = pages(10**9)
    with pytest.raises(UpstreamServerError, match="does not end within 3 pages") as endless:
        list(each_page(read, max_pages=3))
    assert endless.value.code == "bad_answer" and len(seen) == 3
