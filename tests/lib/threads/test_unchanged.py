"""Values that are kept until the store changes."""

from collections.abc import Callable

from app.lib.threads.unchanged import MAX_KEPT, Unchanged


class Store:
    """A store of numbers, whose version and clock a test moves."""

    def __init__(self) -> None:
        self.version: int | None = 1
        self.now = 0.0
        self.reads = 0

    def read(self) -> int:
        self.reads += 1
        return self.reads


def kept(store: Store) -> Unchanged[int]:
    return Unchanged(lambda: store.version, for_s=1.0, clock=lambda: store.now)


def get(values: Unchanged[int], name: str, look_up: Callable[[], int | None]) -> int | None:
    return values.get(name, look_up, fits=lambda value: True)


def test_a_value_is_kept_until_its_time_or_the_version_is_another() -> None:
    store = Store()
    values = kept(store)
    assert [get(values, "a", store.read) for _ in range(3)] == [1, 1, 1]
    store.now = 0.99
    assert get(values, "a", store.read) == 1
    store.now = 1.0
    assert get(values, "a", store.read) == 2
    store.version = 2
    assert get(values, "a", store.read) == 3
    assert get(values, "b", store.read) == 4


def test_nothing_is_kept_while_the_version_is_unknown() -> None:
    store = Store()
    values = kept(store)
    get(values, "a", store.read)
    store.version = None
    assert [get(values, "a", store.read) for _ in range(2)] == [2, 3]


def test_what_changes_during_the_look_up_is_looked_up_again() -> None:
    store = Store()
    values = kept(store)

    def read_and_change() -> int:
        store.version = 2
        return store.read()

    assert get(values, "a", read_and_change) == 1
    assert get(values, "a", store.read) == 2


def test_what_is_not_there_is_not_kept_and_names_do_not_fill_the_memory() -> None:
    store = Store()
    values = kept(store)
    assert get(values, "a", lambda: None) is None
    assert get(values, "a", store.read) == 1
    for number in range(MAX_KEPT + 1):
        get(values, str(number), store.read)
    assert get(values, "a", store.read) > MAX_KEPT


def test_a_value_that_does_not_fit_is_neither_used_nor_kept() -> None:
    store = Store()
    values = kept(store)
    assert get(values, "a", store.read) == 1
    assert values.get("a", store.read, fits=lambda value: False) == 2
    assert get(values, "a", store.read) == 1
    assert values.get("b", store.read, fits=lambda value: False) == 3
    assert get(values, "b", store.read) == 4
