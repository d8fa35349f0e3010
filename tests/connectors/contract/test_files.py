"""Files of a provider: each comes and goes, and all are listed to the end."""

import time
from contextlib import suppress
from dataclasses import asdict, replace

import pytest

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.paging import each_page
from tests.connectors.contract.specimens import SPECIMENS, abilities
from tests.support.native_jobs import encoded, job_lines, new_file

MINUTE_MS = 60_000


def with_files(*, added=False):
    """Every specimen that keeps files of its own; with `added`, those whose fake can be given many."""
    found = [each for each in SPECIMENS if abilities(each).support("file_upload") is Support.NATIVE]
    found = [each for each in found if each.add_file or not added]
    return pytest.mark.parametrize("specimen", found, ids=lambda specimen: specimen.provider)


def some_input(specimen, connector):
    """Bytes that every provider takes: the input of a job where it has jobs."""
    if connector.abilities.jobs.endpoints:
        return encoded(connector, job_lines(specimen.models[0], count=2, endpoint=specimen.endpoint))
    return b"hello\n" * 1000


def read(connector, native_id):
    with connector.read_file(native_id) as download:
        data = b"".join(download.chunks)
        assert download.length in (None, len(data))
        return data


@with_files()
def test_a_file_comes_and_goes(specimen, connector):
    data = some_input(specimen, connector)
    before = int(time.time() * 1000) - 1000
    made = connector.upload_file(
        new_file(data, filename=specimen.filename, endpoint=specimen.endpoint, lines=2, expires_after_s=3600)
    )
    ready = connector.retrieve_file(made.id)
    while ready.status == "processing":
        ready = connector.retrieve_file(made.id)

    expected = {"filename": specimen.filename, "purpose": "batch", "bytes": len(data), **specimen.file}
    assert {name: getattr(made, name) for name in expected} == expected
    assert before <= ready.created_at <= before + MINUTE_MS
    if specimen.file_lifetime_s:
        assert ready.expires_at == ready.created_at + specimen.file_lifetime_s * 1000
    assert ready.status == "processed" and made.status in ("processing", "processed")
    for name, value in asdict(replace(made, status="processed")).items():
        assert value in (None, "") or getattr(ready, name) in (value, None, "")  # where both say it
    assert made.id in [file.id for file in connector.list_files().items]
    if specimen.reads_uploads:
        assert read(connector, made.id) == data
    else:
        with pytest.raises(RefusedError) as refused:
            read(connector, made.id)
        assert refused.value.status == 400
    connector.delete_file(made.id)
    with suppress(MissingError):  # S3 says nothing
        connector.delete_file(made.id)
    for call in (connector.retrieve_file, lambda native_id: read(connector, native_id)):
        with pytest.raises(MissingError):
            call(made.id)
    assert connector.list_files().items == []


@with_files(added=True)
def test_files_are_listed_to_the_end(specimen, server, connector):
    made = [specimen.add_file(server.app, number) for number in range(specimen.many_files)]

    pages = list(each_page(connector.list_files))

    listed = [file.id.rpartition("/")[2] for page in pages for file in page.items]
    assert listed == [native_id.rpartition("/")[2] for native_id in made[:: -1 if specimen.files_newest_first else 1]]
    assert len(pages) > 1 or not specimen.pages
