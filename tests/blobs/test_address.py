"""Which stores can be named, and what is said about others."""

from pathlib import Path

import pytest

from app.blobs import Address, LocalBlobs, checked, open_store
from app.blobs.address import AddressError, check_distinct, parsed


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("gs://my.bucket_1/a//b/", "gs://my.bucket_1/a/b"),
        ("az://container/prefix", "az://container/prefix"),
        ("file:///srv/a%20b", "file:///srv/a%20b"),
    ],
)
def test_rows_keep_one_form_of_each_url(url: str, kept: str) -> None:
    assert checked(Address(url), name="X").url == kept


@pytest.mark.parametrize(
    "url",
    [
        *("/var/blobs", "file://", "file://host/path", "ftp://bucket/x", "s3://", "s3://Bucket", "s3://b/../c"),
        *("s3://b/a?endpoint=x", "s3://b/#x", "s3://user:secret@bucket/x", "s3://b/a b", "s3://b/" + "x" * 300),
    ],
)
def test_other_urls_are_refused_without_what_is_secret_in_them(url: str) -> None:
    with pytest.raises(AddressError, match="BATCHGATE_BLOB_URL") as raised:
        checked(Address(url), name="BATCHGATE_BLOB_URL")
    assert "secret" not in str(raised.value)


def test_a_folder_opens_a_local_store(tmp_path: Path) -> None:
    assert isinstance(open_store(Address(tmp_path.as_uri())), LocalBlobs)


def test_stores_are_read_from_json_or_a_file_with_it(tmp_path: Path) -> None:
    more = '"endpoint": "http://minio:9000/", "path_style": false, "key_id": "k", "secret": "s"'
    text = f'[{{"url": "s3://old/x", {more}}}]'
    (tmp_path / "stores.json").write_text(text)
    expected = [Address("s3://old/x", "http://minio:9000", path_style=False, key_id="k", secret="s")]
    assert parsed(text, name="X") == parsed(str(tmp_path / "stores.json"), name="X") == expected
    assert parsed(" ", name="X") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"url": "s3://bucket", "secret": "canary"]', "X is not valid JSON"),
        ("/nowhere/canary.json", "X is neither a JSON list nor the path of a readable file"),
        ('["canary"]', r'X\[0\] must be an object with a "url"'),
        ('[{"url": "s3://bucket", "sekret": "canary"}]', r"X\[0\]: 'sekret' is not known"),
        ('[{"url": "s3://bucket", "path_style": "canary"}]', r"X\[0\].path_style must be true or false"),
        ('[{"url": "s3://bucket"}, {"url": "ftp://bucket"}]', r"X\[1\].url must be file:///path"),
        ('[{"url": "s3://bucket", "endpoint": "minio:9000"}]', r"X\[0\].url: its endpoint must be https://host"),
    ],
)
def test_what_is_wrong_with_a_list_of_stores_is_said(text: str, said: str) -> None:
    with pytest.raises(AddressError, match=said) as raised:
        parsed(text, name="X")
    assert "canary" not in str(raised.value)


def test_two_stores_never_share_a_url() -> None:
    two = [Address("s3://b/x", "http://one"), Address("s3://b/x", "http://two")]
    with pytest.raises(AddressError, match="names the store s3://b/x twice"):
        check_distinct(two, name="X")
