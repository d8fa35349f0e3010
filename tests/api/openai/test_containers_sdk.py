"""Containers and their files through the official OpenAI SDK, unchanged, on each of its base URLs."""

from collections.abc import Iterator

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from app.services.gateway import Gateway
from tests.api.openai.test_containers import age, make_file
from tests.support.server import LiveServer


@pytest.fixture(params=["/v1", "/openai/v1", "/openai"])
def sdk(live_server: LiveServer, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """The SDK, pointed at the gateway."""
    with OpenAI(base_url=live_server.url + request.param, api_key=live_server.key, max_retries=0) as client:
        yield client


def test_the_sdk_makes_lists_and_deletes_containers(sdk: OpenAI) -> None:
    made = [
        sdk.containers.create(
            name=f"box {n}", expires_after={"anchor": "last_active_at", "minutes": 3}, memory_limit="4g"
        )
        for n in range(5)
    ]

    assert made[0].expires_after is not None and made[0].expires_after.minutes == 3
    assert (made[0].status, made[0].memory_limit) == ("running", "4g")
    assert sdk.containers.retrieve(made[0].id).name == "box 0"
    assert [item.id for item in sdk.containers.list(limit=2, order="asc")] == [item.id for item in made]
    assert [item.id for item in sdk.containers.list(name="box 3")] == [made[3].id]
    sdk.containers.delete(made[0].id)
    with pytest.raises(NotFoundError):
        sdk.containers.retrieve(made[0].id)


def test_the_sdk_works_on_files_of_a_container(sdk: OpenAI, gateway: Gateway) -> None:
    file_id = make_file(gateway, "alpha", b"a,b\n1,2\n")
    box = sdk.containers.create(name="box", file_ids=[file_id])
    copied = sdk.containers.files.create(box.id, file_id=file_id)
    uploaded = sdk.containers.files.create(box.id, file=("notes.txt", b"some notes"))

    assert uploaded.path.endswith("-notes.txt") and uploaded.bytes == 10
    assert sdk.containers.files.content.retrieve(uploaded.id, container_id=box.id).read() == b"some notes"
    assert sdk.containers.files.content.retrieve(copied.id, container_id=box.id).read() == b"a,b\n1,2\n"
    assert len(list(sdk.containers.files.list(box.id, limit=1))) == 3
    assert sdk.containers.files.retrieve(copied.id, container_id=box.id).source == "user"
    sdk.containers.files.delete(copied.id, container_id=box.id)
    with pytest.raises(NotFoundError, match="not found on container"):
        sdk.containers.files.retrieve(copied.id, container_id=box.id)


def test_the_sdk_hears_that_a_container_is_expired(sdk: OpenAI, gateway: Gateway) -> None:
    box = sdk.containers.create(name="box")
    age(gateway, box.id, minutes=21)

    assert sdk.containers.retrieve(box.id).status == "expired"
    with pytest.raises(BadRequestError, match="Container is expired"):
        sdk.containers.files.list(box.id)
