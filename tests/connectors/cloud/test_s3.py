"""Objects in a bucket: of a real server that speaks S3, and of one that answers what it should not."""

import pytest

from app.connectors.cloud import s3
from app.connectors.cloud.aws import Keys, SigV4
from app.connectors.cloud.s3 import Bucket, Place
from app.connectors.contract.errors import (
    ConfigurationError,
    MissingError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
)
from app.connectors.contract.objects import NewFile, Payload
from app.connectors.http.redaction import Redaction
from app.connectors.http.wire import Answer
from tests.fakes.bedrock_app import ACCESS_KEY_ID, BUCKET, BedrockApp
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.support.native_jobs import new_file, secrets_in, target
from tests.support.seaweed import REGION, SECRET

NAMES = ["plain.txt", "a b+c%2F&<x>~.jsonl", "größe 漢字 👋.pdf", "..", "a/b\\c", "x" * 600]


def bucket_at(url, name, *, prefix="team/", secret=SECRET):
    keys = Keys(f'{{"access_key_id":"{ACCESS_KEY_ID}","secret_access_key":"{secret}"}}', region=REGION)
    place = Place(bucket=name, region=REGION, prefix=prefix, url=url)
    return Bucket(target("bedrock", url, key=secret), place, auth=SigV4(keys, "s3"), redaction=Redaction(keys.secrets))


@pytest.fixture
def fake():
    with ServedApp(BedrockApp(api_key=SECRET)) as server:
        yield server


@pytest.fixture
def bucket(fake):
    bucket = bucket_at(fake.url, BUCKET)
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def real(seaweed):
    name = seaweed.bucket("objects")
    bucket = bucket_at(seaweed.url, name)
    yield bucket
    bucket.close()


@pytest.fixture(params=["real", "small"])
def either(request):
    """The bucket of the real server, and that of the fake, which is held against it."""
    return request.getfixturevalue("real" if request.param == "real" else "bucket")


def read(manager):
    with manager as download:
        return b"".join(download.chunks)


@pytest.mark.parametrize("name", NAMES)
def test_an_object_comes_and_goes(either, name):
    made = either.put(new_file(b"hello" * 1000, filename=name, purpose="user_data"))

    assert made.id.startswith(f"s3://{either.place.bucket}/team/") and (made.bytes, made.purpose) == (5000, "user_data")
    seen = either.head(made.id)
    assert (seen.id, seen.bytes, seen.purpose) == (made.id, 5000, "user_data")
    [listed] = [file for file in either.objects().items if file.id == made.id]
    assert (listed.filename, listed.bytes) == (seen.filename, 5000)
    assert abs(listed.created_at - seen.created_at) < 2000
    assert read(either.get(made.id)) == b"hello" * 1000
    either.delete(made.id)
    either.delete(made.id)
    for call in (lambda: either.head(made.id), lambda: read(either.get(made.id))):
        with pytest.raises(MissingError) as missing:
            call()
        assert (missing.value.status, missing.value.code) == (404, "NoSuchKey")


def test_a_big_file_streams_in_one_put_that_is_signed_as_a_whole(real):
    piece, opened = bytes(range(256)) * 4096, []

    def pieces():
        opened.append(True)
        return (piece for _ in range(20))

    made = real.put(NewFile("big.bin", "user_data", Payload(20 * len(piece), pieces)))

    assert real.head(made.id).bytes == 20 * len(piece) and len(opened) == 2
    with real.get(made.id) as download:
        assert download.length == 20 * len(piece)
        assert sum(len(chunk) for chunk in download.chunks) == 20 * len(piece)
    real.delete(made.id)


def test_boto3_sees_the_same_objects(seaweed):
    name = seaweed.bucket("seen-by-boto3")
    ours = bucket_at(seaweed.url, name)
    made = ours.put(new_file(b"hello", filename="a b.txt", purpose="batch"))
    key = made.id.removeprefix(f"s3://{name}/")
    head = seaweed.client.head_object(Bucket=name, Key=key)
    seaweed.client.put_object(Bucket=name, Key="team/theirs/x.txt", Body=b"bye")
    seaweed.client.put_object(Bucket=name, Key="other/x.txt", Body=b"no")

    assert (head["ContentLength"], head["Metadata"]) == (5, {"purpose": "batch"})
    assert {file.filename for file in ours.objects().items} == {"a b.txt", "x.txt"}
    assert read(ours.get(f"s3://{name}/team/theirs/x.txt")) == b"bye"
    ours.close()


def test_lists_have_pages(fake, bucket):
    fake.app.s3.page = 3
    made = {bucket.put(new_file(b"x", filename=f"{n}.txt")).id for n in range(7)}

    found, after = [], None
    while True:
        page = bucket.objects(after=after)
        found += [file.id for file in page.items]
        after = page.after
        if after is None:
            break
    assert len(found) == 7 and set(found) == made


def test_files_of_one_name_are_several_objects_but_a_name_of_ours_and_a_folder_are_kept(bucket):
    same = {bucket.put(new_file(b"x", filename="a.txt")).id for _ in range(2)}
    ours = bucket.put(new_file(b"x", filename="batchgate-0123.jsonl"))
    kept = bucket.put(new_file(b"x", filename="a.txt", folder="team/7/file-1/"))

    assert len(same) == 2
    assert ours.id == f"s3://{BUCKET}/team/batchgate-0123.jsonl"
    assert kept.id == f"s3://{BUCKET}/team/7/file-1/a.txt"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/team/x",
        f"s3://{BUCKET}/x",
        f"s3://{BUCKET}/teammates/x",
        f"s3://{BUCKET}/team/",
        f"s3://{BUCKET}/team/../x",
        f"s3://{BUCKET}/team/./x",
        "team/x",
        "",
    ],
)
def test_what_lies_elsewhere_is_missing_and_nobody_is_asked(fake, bucket, uri):
    for call in (lambda: bucket.head(uri), lambda: read(bucket.get(uri)), lambda: bucket.delete(uri)):
        with pytest.raises(MissingError) as missing:
            call()
        assert not missing.value.sent
    with pytest.raises(RefusedError) as refused:
        bucket.put(new_file(b"x", folder="elsewhere/"))
    assert refused.value.code == "invalid_folder" and fake.requests == []


def test_what_one_put_cannot_take_is_refused_before_it_is_read(fake, bucket):
    with pytest.raises(RefusedError) as refused:
        bucket.put(NewFile("x", "batch", Payload(5 * 2**30 + 1, lambda: pytest.fail("it was read"))))

    assert (refused.value.status, refused.value.code) == (413, "EntityTooLarge") and fake.requests == []


def test_an_account_without_a_bucket_says_so(fake):
    none = bucket_at(fake.url, "", prefix="")
    for call in (none.check, none.objects, lambda: none.put(new_file(b"x"))):
        with pytest.raises(RefusedError, match="AWS_BEDROCK_BUCKET"):
            call()
    with pytest.raises(MissingError):
        none.head("s3:///x")
    assert fake.requests == []


@pytest.mark.parametrize("key", ["real", "small"])
def test_wrong_keys_are_refused_and_show_nowhere(request, key, fake):
    url = request.getfixturevalue("seaweed").url if key == "real" else fake.url
    name = request.getfixturevalue("real").place.bucket if key == "real" else BUCKET
    other = bucket_at(url, name, secret="sk-canary-other")
    for call in (other.check, lambda: other.put(new_file(b"x")), lambda: read(other.get(f"s3://{name}/team/x"))):
        with pytest.raises(RefusedError) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (403, "SignatureDoesNotMatch")
        assert not secrets_in(refused.value, "sk-canary-other")
    with pytest.raises(RefusedError) as silent:
        other.head(f"s3://{name}/team/x")
    assert silent.value.status == 403
    other.close()


def test_a_bucket_that_is_not_there_is_no_missing_object(fake):
    other = bucket_at(fake.url, "not-there")
    for call in (other.check, lambda: read(other.get("s3://not-there/team/x")), lambda: other.put(new_file(b"x"))):
        with pytest.raises(RefusedError) as refused:
            call()
        assert refused.value.code == "NoSuchBucket" and not isinstance(refused.value, MissingError)
    other.close()


def test_a_bucket_elsewhere_says_where():
    xml = b"<Error><Code>PermanentRedirect</Code><Endpoint>e</Endpoint></Error>"
    told = s3.reword(Answer(301, {"x-amz-bucket-region": "eu-west-1"}, xml))

    assert told.status == 400 and b"eu-west-1" in told.body and b"AWS_REGION" in told.body


@pytest.mark.parametrize(
    ("place", "url"),
    [
        (Place(bucket="data", region="eu-west-1"), "https://data.s3.eu-west-1.amazonaws.com"),
        (Place(bucket="my.data", region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.data"),
        (Place(bucket="data", region="cn-north-1"), "https://data.s3.cn-north-1.amazonaws.com.cn"),
        (Place(bucket="data", region="r", url="http://minio:9000"), "http://minio:9000/data"),
    ],
)
def test_addresses(place, url):
    assert "".join(s3._address(place)) == url


@pytest.mark.parametrize("fields", [{"bucket": "Data"}, {"bucket": "a/b"}, {"prefix": "a b/"}, {"prefix": "a/../"}])
def test_places_that_are_none(fields):
    with pytest.raises(ConfigurationError):
        Place(**{"bucket": "data", "region": "r", **fields})


FAULTS = {
    "429": (Fault(status=429, body=b""), OverloadedError),
    "slow down": (Fault(status=503, body=b"<Error><Code>SlowDown</Code><Message>m</Message></Error>"), OverloadedError),
    "500": (Fault(status=500, body=b"<Error><Code>InternalError</Code></Error>"), UpstreamServerError),
    "expired": (Fault(status=400, body=b"<Error><Code>ExpiredToken</Code><Message>m</Message></Error>"), RefusedError),
    "html": (Fault(status=502, body=b"<!doctype html><title>x</title>"), UpstreamServerError),
    "reset": (Fault(reset=True), UpstreamError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors(fake, bucket, fault):
    injected, kind = FAULTS[fault]
    fake.faults.add(injected)
    uri = f"s3://{BUCKET}/team/x"
    calls = (lambda: bucket.put(new_file(b"x")), bucket.objects, lambda: read(bucket.get(uri)))
    for call in calls:
        with pytest.raises(kind) as wrong:
            call()
        assert not secrets_in(wrong.value)
        if fault == "expired":
            assert wrong.value.status == 403


MORE = b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
LIST = b"<ListBucketResult>%s" + MORE + b"</ListBucketResult>"
ENTITIES = b'<!DOCTYPE a [<!ENTITY e "ee"><!ENTITY f "&e;&e;">]>'
ROW = b"<Contents><Key>team/x</Key><Size>%s</Size><LastModified>%s</LastModified></Contents>"
NONSENSE = {
    "nothing": b"",
    "json": b"{}",
    "cut": LIST[:60],
    "another": b"<Other/>",
    "not utf-8": b"<ListBucketResult>\xff</ListBucketResult>",
    "utf-16": "<!DOCTYPE a><ListBucketResult/>".encode("utf-16"),
    "entities": ENTITIES + b"<ListBucketResult><Name>&f;</Name></ListBucketResult>",
    "size": LIST % (ROW % (b"many", b"2026-01-01T00:00:00Z")),
    "time": LIST % (ROW % (b"1", b"yesterday")),
    "elsewhere": LIST % b"<Contents><Key>x</Key></Contents>",
    "no key": LIST % b"<Contents><Size>1</Size></Contents>",
    "itself": LIST % b"",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_lists_that_make_no_sense_are_bad_answers(fake, bucket, name):
    fake.faults.add(Fault(status=200, body=NONSENSE[name]))
    with pytest.raises(UpstreamServerError) as wrong:
        bucket.objects(after="t")
    assert wrong.value.code == "bad_answer"


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "x"}, {"Last-Modified": "yesterday"}, {"Last-Modified": "\x7f"}, {"X-Amz-Meta-Purpose": ""}],
)
def test_heads_that_make_no_sense_are_upstream_errors_or_taken(fake, bucket, headers):
    fake.faults.add(Fault(status=200, headers=headers))
    try:
        bucket.head(f"s3://{BUCKET}/team/x")
    except UpstreamError as error:
        assert str(error)


def test_a_missing_bucket_is_no_missing_object(bucket, fake):
    """HEAD has no body, so only another call tells one from the other."""
    made = bucket.put(new_file(b"x"))
    gone = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
    fake.faults.add(Fault(method="HEAD", status=404, body=b""))
    fake.faults.add(Fault(method="GET", status=404, body=gone, content_type="application/xml", times=1))
    with pytest.raises(RefusedError) as refused:
        bucket.head(made.id)
    assert (type(refused.value), refused.value.code) == (RefusedError, "NoSuchBucket")
    assert bucket.head(made.id).bytes == 1  # as the list shows it, whatever HEAD says
    with pytest.raises(MissingError):
        bucket.head(f"{made.id}x")


def test_a_purpose_beyond_ascii_comes_back_as_it_was(either):
    made = either.put(new_file(b"x", purpose="für später"))
    assert either.head(made.id).purpose == "für später"


def test_nobody_asks_s3_for_json(bucket, fake):
    made = bucket.put(new_file(b"x"))
    bucket.head(made.id)
    read(bucket.get(made.id))
    assert {request.headers["accept"] for request in fake.requests} == {"*/*"}
