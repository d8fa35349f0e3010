"""Several stores as one: where blobs are read while they are moved, and where they are said to be."""

from pathlib import Path

import pytest

from app.blobs import BlobError, BlobMissingError, LocalBlobs, Location, Stores, open_store

KEY, MOVED = "ab" * 20, "cd" * 20


def put(store: LocalBlobs, data: bytes, key: str) -> None:
    writer = store.open_write(key)
    writer.write(data)
    writer.commit()


class Rows:
    """What the rows say, and how often they were asked."""

    def __init__(self, **places: Location) -> None:
        self.places = places
        self.asked = 0

    def locate(self, key: str) -> Location | None:
        self.asked += 1
        return self.places.get(key)


@pytest.fixture
def new(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "new")


@pytest.fixture
def old(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "old")


def test_new_blobs_go_to_the_default_store(new: LocalBlobs, old: LocalBlobs) -> None:
    stores = Stores(new, [old], Rows().locate)
    writer = stores.open_write(KEY)
    writer.write(b"new")
    writer.commit()
    assert b"".join(new.stream(KEY)) == b"new"
    assert (stores.url, stores.backend) == (new.url, "local")


def test_blobs_are_read_where_their_rows_say(new: LocalBlobs, old: LocalBlobs) -> None:
    put(old, b"old", KEY)
    put(new, b"other", KEY)
    stores = Stores(new, [old], Rows(**{KEY: Location(old.url, KEY)}).locate)
    assert b"".join(stores.stream(KEY)) == b"old"
    assert stores.open_read(KEY).read(0, 9) == b"old"


def test_with_one_store_no_row_is_read(new: LocalBlobs) -> None:
    put(new, b"x", KEY)
    rows = Rows()
    stores = Stores(new, [], rows.locate)
    assert b"".join(stores.stream(KEY)) == b"x"
    assert stores.path(KEY) == new.path(KEY)
    assert rows.asked == 0


def test_a_blob_that_was_moved_is_found_though_its_name_is_new(new: LocalBlobs) -> None:
    put(new, b"x", MOVED)
    stores = Stores(new, [], Rows(**{KEY: Location(new.url, MOVED)}).locate)
    assert b"".join(stores.stream(KEY)) == b"x"
    assert stores.path(KEY) == new.path(MOVED)


def test_what_no_row_knows_is_missing(new: LocalBlobs) -> None:
    for rows in (Rows(), Rows(**{KEY: Location(new.url, KEY)})):
        with pytest.raises(BlobMissingError):
            Stores(new, [], rows.locate).stream(KEY)


def test_a_folder_with_another_name_than_before_is_still_the_folder(new: LocalBlobs) -> None:
    stores = Stores(new, [], Rows().locate)
    assert stores.at("file:///as/it/was/mounted/before") is new


def test_a_store_that_is_not_known_is_named_with_the_setting(new: LocalBlobs) -> None:
    stores = Stores(new, [], Rows(**{KEY: Location("s3://gone/x", KEY)}).locate)
    with pytest.raises(BlobError, match=r"in s3://gone/x, which .* does not know: add it to BATCHGATE_BLOB_STORES"):
        stores.open_read(KEY)


def test_a_reader_and_a_stream_go_on_in_the_store_that_the_blob_was_moved_to(
    request: pytest.FixtureRequest, new: LocalBlobs
) -> None:
    old = open_store(request.getfixturevalue("seaweed").address())
    data = bytes(range(256)) * 20_000
    writer = old.open_write(KEY)
    writer.write(data)
    writer.commit()
    rows = Rows(**{KEY: Location(old.url, KEY)})
    stores = Stores(new, [old], rows.locate)
    reader, stream = stores.open_read(KEY), stores.stream(KEY, length=len(data))
    put(new, data, MOVED)
    rows.places[KEY] = Location(new.url, MOVED)
    old.delete(KEY)
    assert reader.read(3_000_000, 500) == data[3_000_000:3_000_500]
    assert b"".join(stream) == data
