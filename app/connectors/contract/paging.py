"""The one loop over a provider's pages."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Page

T = TypeVar("T")

# More pages than any list has that a provider filters, or keeps for a while only.
MAX_PAGES = 100
# The code of a search that found nothing in a list that could not be read whole.
UNREAD_ROWS = "unread_rows"


class ReadPage(Protocol[T]):
    """Reads the page that `after` leads to; None is for the first."""

    def __call__(self, *, after: str | None) -> Page[T]: ...


def each_page(read: ReadPage[T], *, max_pages: int | None = None) -> Iterator[Page[T]]:
    """Every page of a list, in the provider's order. Stop iterating to read no further.

    Raises UpstreamServerError for a list that still goes on after `max_pages`, and what `read` raises.
    """
    after: str | None = None
    count = 0
    while max_pages is None or count < max_pages:
        page = read(after=after)
        yield page
        after = page.after
        count += 1
        if after is None:
            return
    raise UpstreamServerError(f"The provider's list does not end within {max_pages} pages.", code="bad_answer")


def matching(pages: Iterable[Page[T]], fits: Callable[[T], bool]) -> list[T]:
    """The items of all pages that fit.

    Raises UpstreamServerError when there are none, and rows that could not be read: one of those may have been it.
    """
    found: list[T] = []
    unread = 0
    for page in pages:
        found += [item for item in page.items if fits(item)]
        unread += page.unread
    if unread and not found:
        raise UpstreamServerError(f"{unread} rows of the provider's list make no sense.", code=UNREAD_ROWS)
    return found


def whole(page: Page[T]) -> Page[T]:
    """`page`, of which every row is needed. Raises UpstreamServerError when some could not be read."""
    if page.unread:
        raise UpstreamServerError(f"{page.unread} rows of the provider's list make no sense.", code=UNREAD_ROWS)
    return page
