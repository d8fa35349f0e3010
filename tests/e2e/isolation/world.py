"""Projects full of things whose names, metadata and bytes hold canary words, and the ids of all of it."""

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.batches import CHAT, TERMINAL, chat_line
from tests.support.waiting import until
from tests.support.web import application

# What looks like an id of an object, of the gateway's or of a provider's.
ID = re.compile(r"\b(?:file-|batch_req_|batch_|cntr_|cfile_|upload_|part_|we_|whd_|evt_)[0-9a-f]{20,}(?:-\d+)?")


@dataclass
class Names:
    """The ids that a request may name."""

    file: str
    source: str
    batch: str
    upload: str
    part: str
    container: str
    container_file: str
    webhook_endpoint: str
    webhook_delivery: str


@dataclass
class Belongings:
    """What a project has: `kept` at the gateway, `native` at a provider, `outside` the provider's own ids of those."""

    word: str
    client: KeyClient
    kept: Names
    native: Names
    outside: Names
    ids: set[str] = field(default_factory=set)
    spare: list[str] = field(default_factory=list)

    @property
    def canary(self) -> str:
        """What is in every name, every metadata and all bytes."""
        return canary(self.word)


def canary(word: str) -> str:
    return f"canary-{word}"


def new_client(gateway: Gateway, word: str, **fields: Any) -> KeyClient:
    """A client with a new key of the project."""
    flask_app = application(gateway)
    flask_app.test_client_class = KeyClient
    client = flask_app.test_client()
    assert isinstance(client, KeyClient)
    client.key = keys.create(gateway, project=f"{canary(word)}-project", name=f"{canary(word)}-key", **fields).key
    return client


def furnish(gateway: Gateway, word: str, *, is_run: bool = True) -> Belongings:
    """Fill a project. A worker has to run, unless its batches are left to wait."""
    client = new_client(gateway, word)
    post(client, "/v1/batches", json=batch(word), headers={"Idempotency-Key": "the-same-in-both"})
    kept, native = made(gateway, client, word, "local"), made(gateway, client, word, "openai")
    if is_run:
        over(client, kept.batch, native.batch)
    found = Belongings(word, client, kept, native, outside(client, native) if is_run else native)
    found.ids = everything(client, found)
    return found


def over(client: KeyClient, *batches: str) -> None:
    """Wait until all of them are over."""
    for name in batches:
        until(lambda name=name: client.get(f"/v1/batches/{name}").json["status"] in TERMINAL)


def batch(word: str) -> dict[str, Any]:
    """A batch of inline lines, one of which fails."""
    lines = [chat_line(f"{canary(word)}-{n}", f"{canary(word)} {text}") for n, text in enumerate(("hi", "refuse-this"))]
    metadata = {f"{canary(word)}-name": f"{canary(word)}-value"}
    return {"requests": lines, "endpoint": CHAT, "completion_window": "24h", "metadata": metadata, "provider": "local"}


def made(gateway: Gateway, client: KeyClient, word: str, provider: str) -> Names:
    """One of everything, at a provider."""
    name = canary(word)
    file = upload(client, f"{name}.txt", f"{name} notes".encode(), purpose="user_data", provider=provider)
    data = b"".join(json.dumps(chat_line(f"{name}-{n}", f"{name} text", model="gpt-4o")).encode() + b"\n" for n in "ab")
    source = upload(client, f"{name}.jsonl", data, purpose="batch", provider=provider)
    metadata = {"metadata": {f"{name}-name": f"{name}-value"}}
    asked = {"input_file_id": source, "endpoint": CHAT, "completion_window": "24h", "provider": provider, **metadata}
    started = post(client, "/v1/batches", json=asked)["id"]
    pending, part = begun(client, word)
    box = post(client, "/v1/containers", json={"name": name, "provider": provider, "file_ids": [file], **metadata})
    inside = put(client, box["id"], f"{name}-inside.txt", f"{name} inside".encode())
    hook, delivery = hooked(gateway, client, word)
    return Names(file, source, started, pending, part, box["id"], inside, hook, delivery)


def hooked(gateway: Gateway, client: KeyClient, word: str) -> tuple[str, str]:
    """A webhook endpoint, and what was delivered to it."""
    url = f"{gateway.settings.environment['LOCAL_BASE_URL']}/{canary(word)}"
    body = {"name": canary(word), "url": url, "event_types": ["batch.completed"]}
    hook = post(client, "/v1/webhook_endpoints", json=body)["id"]
    post(client, f"/v1/webhook_endpoints/{hook}/test", json={"event_type": "batch.completed"})
    listed = client.get("/v1/webhook_deliveries", query_string={"endpoint_id": hook}).json
    # A batch that has just ended may be on its way there, too.
    return hook, next(str(each["id"]) for each in listed["data"] if each["state"] != "pending")


def begun(client: KeyClient, word: str) -> tuple[str, str]:
    """An upload of one part, and the part."""
    data = f"{canary(word)} part".encode()
    announced = {"filename": f"{canary(word)}-up.txt", "purpose": "user_data", "bytes": len(data)}
    pending = post(client, "/v1/uploads", json={**announced, "mime_type": "text/plain", "provider": "local"})["id"]
    form = {"data": (io.BytesIO(data), "part")}
    return pending, post(client, f"/v1/uploads/{pending}/parts", data=form)["id"]


def upload(client: KeyClient, filename: str, data: bytes, **fields: str) -> str:
    return str(post(client, "/v1/files", data={**fields, "file": (io.BytesIO(data), filename)})["id"])


def put(client: KeyClient, container: str, filename: str, data: bytes) -> str:
    form = {"file": (io.BytesIO(data), filename)}
    return str(post(client, f"/v1/containers/{container}/files", data=form)["id"])


def post(client: KeyClient, path: str, **request: Any) -> dict[str, Any]:
    answer = client.post(path, **request)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def outside(client: KeyClient, native: Names) -> Names:
    """What the provider calls these; what only the gateway has keeps its name."""

    def told(path: str) -> str:
        return str(client.get(f"/v1{path}").json["extra_fields"]["native_id"])

    return Names(
        file=told(f"/files/{native.file}"),
        source=native.source,
        batch=told(f"/batches/{native.batch}"),
        upload=native.upload,
        part=native.part,
        container=told(f"/containers/{native.container}"),
        container_file=told(f"/containers/{native.container}/files/{native.container_file}"),
        webhook_endpoint=native.webhook_endpoint,
        webhook_delivery=native.webhook_delivery,
    )


def everything(client: KeyClient, found: Belongings) -> set[str]:
    """Every id that the project itself is told, wherever it looks."""
    paths = ["/files", "/batches", "/containers", "/webhook_endpoints", "/webhook_deliveries"]
    for names in (found.kept, found.native):
        paths += [f"/files/{names.file}", f"/batches/{names.batch}", f"/batches/{names.batch}/lines"]
        paths += [f"/batches/{names.batch}/results", f"/containers/{names.container}/files"]
    told = {name for path in paths for name in ID.findall(client.get(f"/v1{path}").text)}
    for names in (found.kept, found.native, found.outside):
        told |= set(vars(names).values())
    # As other faces show them; their ids of batches have the gateway's own at the end.
    return told | {name.replace("file-", "file_") for name in told if name.startswith("file-")}
