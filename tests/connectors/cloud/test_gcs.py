"""Objects in a bucket: of a stand-in that is not ours, of the fake, and of one that answers what it should not."""

import pytest

from app.connectors.cloud import gcs
from app.connectors.cloud.gcs import Place
from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import NewFile, Payload
from app.connectors.http.auth import bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.fakes.vertex_app import BUCKET, VertexApp
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, refuses, tolerates, variants
from tests.support.gcs import make_bucket
from tests.support.native_jobs import new_file, secrets_in, target

TOKEN = "sk-canary-secret"
NAMES = ["plain.txt", "a b+c%2F&<x>~.jsonl", "größe 漢字 👋.pdf", "..", "a/b\\c", "line\r\nbreak", "x" * 600]
NEWLINES = b"line\r\n--boundary\r\n" * 100


def bucket_at(url, *, prefix="team/", name=BUCKET):
    remote = Remote(url, Redaction(TOKEN), bearer(TOKEN))
    return gcs.Bucket(target("vertex", url), Place(bucket=name, prefix=prefix), remote)


@pytest.fixture
def fake():
    with ServedApp(VertexApp(api_key=TOKEN)) as server:
        yield server


@pytest.fixture
def bucket(fake):
    bucket = bucket_at(fake.url)
    yield bucket
    bucket.close()


@pytest.fixture
def real(gcs_server):
    make_bucket(gcs_server, BUCKET)
    bucket = bucket_at(gcs_server, prefix="objects/")
    yield bucket
    for file in bucket.objects().items:
        bucket.delete(file.id)
    bucket.close()


@pytest.fixture(params=["real", "small"])
def either(request):
    """The bucket of the server that is not ours, and that of the fake, which is held against it."""
    return request.getfixturevalue("real" if request.param == "real" else "bucket")


def read(manager):
    with manager as download:
        return b"".join(download.chunks)


@pytest.mark.parametrize("name", NAMES)
def test_an_object_comes_and_goes(either, name):
    if name == "x" * 600 and "objects/" in either.place.prefix:
        name = "x" * 100  # fake-gcs-server makes files of them
    made = either.put(new_file(NEWLINES, filename=name, purpose="user_data"))

    assert made.id.startswith(either.place.uri(either.place.prefix))
    assert (made.bytes, made.purpose) == (len(NEWLINES), "user_data")
    seen = either.head(made.id)
    assert (seen.id, seen.bytes, seen.purpose) == (made.id, len(NEWLINES), "user_data")
    assert [file.bytes for file in either.objects().items if file.id == made.id] == [len(NEWLINES)]
    assert read(either.get(made.id)) == NEWLINES
    either.delete(made.id)
    with pytest.raises(MissingError):
        either.delete(made.id)
    for call in (lambda: either.head(made.id), lambda: read(either.get(made.id))):
        with pytest.raises(MissingError) as missing:
            call()
        assert missing.value.status == 404


@pytest.mark.parametrize("size", [0, 1, gcs.AT_ONCE_BYTES, gcs.AT_ONCE_BYTES + 1, 12_345_678])
def test_files_of_any_size_go_as_they_are(either, size):
    piece, opened = bytes(range(251)) * 1000, []

    def pieces():
        opened.append(1)
        left = size
        while left > 0:
            yield piece[:left]
            left -= len(piece)

    made = either.put(NewFile("big.bin", "batch", Payload(size, pieces)))

    assert (made.bytes, made.purpose, len(opened)) == (size, "batch", 1)
    with either.get(made.id) as download:
        assert sum(map(len, download.chunks)) == size
    either.delete(made.id)


def test_names_lie_below_the_prefix_each_in_its_own_place(bucket):
    first, second = bucket.put(new_file(b"1", filename="a.txt")), bucket.put(new_file(b"2", filename="a.txt"))
    own = bucket.put(new_file(b"3", filename="batchgate-0123.jsonl"))
    placed = bucket.put(new_file(b"4", filename="a.txt", folder="team/p1/file-9/"))

    assert first.id != second.id
    assert own.id == f"gs://{BUCKET}/team/batchgate-0123.jsonl"
    assert placed.id == f"gs://{BUCKET}/team/p1/file-9/a.txt"
    for folder in ("elsewhere/", "team/../elsewhere/", ""):
        with pytest.raises(RefusedError) as outside:
            bucket.put(new_file(b"5", folder=folder))
        assert (outside.value.code, outside.value.sent) == ("invalid_folder", False)


@pytest.mark.parametrize(
    "uri",
    [
        "gs://acme-batches/other/a",
        "gs://other/team/a",
        "gs://acme-batches/team/",
        "gs://acme-batches/team/../other/a",
        "s3://acme-batches/team/a",
        "team/a",
        "",
    ],
)
def test_what_lies_elsewhere_is_missing_without_a_call(fake, bucket, uri):
    for call in (bucket.head, bucket.delete, lambda uri: read(bucket.get(uri))):
        with pytest.raises(MissingError):
            call(uri)
    assert fake.requests == []


def test_objects_are_listed_to_the_end(fake, bucket):
    fake.app.gcs.page = 2
    for name in ("team/c", "team/a", "team/b/1", "team/folder/", "outside", "teamwork"):
        fake.app.memory.put(BUCKET, name, b"x")
    first = bucket.objects()
    rest = bucket.objects(after=first.after)

    assert [file.id for file in (*first.items, *rest.items)] == [
        f"gs://{BUCKET}/team/{name}" for name in ("a", "b/1", "c")
    ]
    assert rest.after is None


def test_a_folder_is_one_file(either):
    folder = f"{either.place.prefix}out/"
    for name, data in (("p1.jsonl", b"one\n"), ("p2.jsonl", b"two\n")):
        either.put(new_file(data, filename=name, folder=folder))
    uri = either.place.uri(folder)

    assert (either.head(uri).bytes, either.head(uri).filename) == (8, "out")
    assert read(either.get(uri)) == b"one\ntwo\n"
    either.delete(uri)
    either.delete(uri)
    assert list(either.below(uri)) == []
    with pytest.raises(MissingError):
        either.head(uri)


def test_an_upload_session_is_followed_to_no_other_host(fake, bucket):
    fake.app.gcs.origin = "http://127.0.0.1:1"
    with pytest.raises(UpstreamError, match="at another host"):
        bucket.put(NewFile("big", "batch", Payload(gcs.AT_ONCE_BYTES + 1, lambda: iter([b"x"]))))


def test_an_upload_that_breaks_makes_nothing(fake, bucket):
    size = gcs.AT_ONCE_BYTES + 1
    fake.faults.add(Fault(method="PUT", reset=True))
    with pytest.raises(UpstreamError) as broken:
        bucket.put(NewFile("big", "batch", Payload(size, lambda: iter([b"x" * size]))))

    assert broken.value.sent
    assert bucket.objects().items == []


def test_an_account_needs_a_bucket(fake):
    bucket = bucket_at(fake.url, name="")
    for call in (bucket.objects, bucket.check, lambda: bucket.put(new_file(b"x"))):
        with pytest.raises(RefusedError) as none:
            call()
        assert none.value.code == "no_bucket"
    assert fake.requests == []


@pytest.mark.parametrize("place", [("Upper", ""), ("a", ""), ("fine", "a//"), ("fine", "../"), ("fine", "a b/")])
def test_places_that_are_none(place):
    with pytest.raises(ConfigurationError):
        Place(bucket=place[0], prefix=place[1])


URI = f"gs://{BUCKET}/team/a"
OBJECT = {"name": "team/a", "size": "5", "timeCreated": "2026-01-02T03:04:05.678Z", "metadata": {"purpose": "batch"}}
CALLS = {
    "head": lambda b: b.head(URI),
    "put": lambda b: b.put(new_file(b"x")),
    "objects": lambda b: b.objects(),
}
GOOD = {"head": OBJECT, "put": OBJECT, "objects": {"items": [OBJECT], "nextPageToken": "x"}}
FIELDS = {
    "head": (*OBJECT, "metadata.purpose"),
    "put": tuple(OBJECT),
    "objects": ("items", "items.0", "items.0.name", "items.0.size", "nextPageToken"),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(fake, bucket, name):
    for answer in NEVER_RIGHT.values():
        refuses(lambda: CALLS[name](bucket), fake, answer)
    for answer in variants(GOOD[name], *FIELDS[name]):
        tolerates(lambda: CALLS[name](bucket), fake, answer)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(fake, bucket, name, fault):
    injected, kind = FAULTS[fault]
    fake.faults.add(injected)
    with pytest.raises(kind) as wrong:
        CALLS[name](bucket)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in fake.requests if request.method == "POST") <= 1


def test_a_wrong_token_is_in_no_error(fake, bucket):
    fake.app.api_key = "another"
    with pytest.raises(RefusedError) as wrong:
        bucket.head(URI)

    assert wrong.value.status == 401 and "[redacted]" in wrong.value.message
    assert not secrets_in(wrong.value)


def test_a_missing_bucket_is_no_missing_object(bucket, fake):
    body = b'{"error":{"code":404,"message":"The specified bucket does not exist.","errors":[{"reason":"notFound"}]}}'
    made = bucket.put(new_file(b"x"))
    fake.faults.add(Fault(status=404, body=body))
    for call in (lambda: bucket.head(made.id), lambda: read(bucket.get(made.id)), lambda: bucket.delete(made.id)):
        with pytest.raises(RefusedError) as refused:
            call()
        assert type(refused.value) is RefusedError
