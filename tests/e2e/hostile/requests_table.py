"""Malformed requests, one row each: what is sent, what must be answered, and the field that must be named."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAT = "/v1/chat/completions"
BOUNDARY = "b0undary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Bad:
    """`{file}`, `{batch}`, ... stand for ids that the test makes first, `{foreign_file}`, ... for another project's."""

    method: str
    path: str
    status: int
    param: str | None = None
    json: Any = None
    data: bytes | None = None
    form: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None


def part(name: str, value: bytes, *, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FILE = part("file", b"{}\n", filename="in.jsonl")
PURPOSE = part("purpose", b"batch")


def raw_form(path: str, data: bytes, status: int, param: str | None = None) -> Bad:
    return Bad("POST", path, status, param, data=data, content_type=FORM)


def upload(
    status: int, param: str | None, *, filename: str = "in.jsonl", content: bytes = b"{}\n", **fields: str
) -> Bad:
    form = {"purpose": "batch", **fields, "file": (io.BytesIO(content), filename)}
    return Bad("POST", "/v1/files", status, param, form={k: v for k, v in form.items() if v != ""})


def batch(status: int, param: str | None, **fields: Any) -> Bad:
    body = {"input_file_id": "{file}", "endpoint": CHAT, "completion_window": "24h", **fields}
    return Bad("POST", "/v1/batches", status, param, json={k: v for k, v in body.items() if v is not ...})


def container(status: int, param: str | None, **fields: Any) -> Bad:
    return Bad("POST", "/v1/containers", status, param, json={"name": "c", **fields})


ODD_IDS = (
    "x",
    "%00",
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "a" * 5000,
    "%ff%fe",
    "'; DROP TABLE files;--",
    "%F0%9F%92%A9",
    "file-%0a",
)

FORMS = [
    raw_form("/v1/files", b"", 400),
    raw_form("/v1/files", b"garbage", 400),
    raw_form("/v1/files", FILE + PURPOSE, 400),
    raw_form("/v1/files", END, 400, "file"),
    raw_form("/v1/files", PURPOSE + END, 400, "file"),
    raw_form("/v1/files", FILE + END, 400, "purpose"),
    raw_form("/v1/files", FILE + FILE + PURPOSE + END, 400, "file"),
    raw_form("/v1/files", PURPOSE + part("file", b"{}") + END, 400, "file"),
    raw_form("/v1/files", PURPOSE + part("other", b"{}", filename="in.jsonl") + END, 400, "file"),
    raw_form("/v1/files", PURPOSE + PURPOSE + FILE + END, 400, "purpose"),
    raw_form("/v1/files", part("purpose", b"\xff\xfe") + FILE + END, 400, "purpose"),
    raw_form("/v1/files", part("purpose", b"a" * 70_000) + FILE + END, 413, "purpose"),
    raw_form("/v1/files", b"".join(part(f"f{n}", b"x") for n in range(100)) + FILE + END, 413),
    Bad("POST", "/v1/files", 400, "Content-Type", data=b"{}", content_type="application/json"),
    Bad("POST", "/v1/files", 400, "Content-Type", data=FILE + END, content_type="multipart/form-data"),
    Bad("POST", "/v1/files", 400, "Content-Type"),
    upload(400, "purpose", purpose="nonsense"),
    upload(400, "purpose", purpose="ba\x00tch"),
    upload(400, "file", filename="in.txt"),
    upload(400, "file", content=b""),
    upload(400, "file", filename="a" * 300 + ".jsonl"),
    upload(400, "provider", provider="nonesuch"),
    upload(400, "expires_after.seconds", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "5"}),
    upload(400, "expires_after.seconds", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "1e9"}),
    upload(400, "expires_after.anchor", **{"expires_after[anchor]": "birth", "expires_after[seconds]": "3600"}),
    upload(400, "expires_after.seconds", **{"expires_after[anchor]": "created_at"}),
    upload(400, "storage_config", storage_config='{"s3": {"bucket": "b"}}'),
    upload(400, "storage_config", storage_config="{not json"),
    upload(400, "storage_config", **{"storage_config[gcs][bucket]": "b"}),
]

FILES = [
    *[
        Bad("GET", f"/v1/files?limit={limit}", 400, "limit")
        for limit in ("0", "-1", "10001", "abc", "1.5", "9" * 400, "%00")
    ],
    Bad("GET", "/v1/files?order=sideways", 400, "order"),
    Bad("GET", "/v1/files?after=file-nope", 400, "after"),
    Bad("GET", "/v1/files?after=%00", 400, "after"),
    Bad("GET", "/v1/files?after={foreign_file}", 400, "after"),
    Bad("GET", "/v1/files?provider=nonesuch", 400, "provider"),
    Bad("GET", "/v1/files?provider=local", 400, "provider", headers={"x-model-provider": "ollama"}),
    *[Bad("GET", f"/v1/files/{odd}", 404) for odd in ODD_IDS],
    *[Bad("DELETE", f"/v1/files/{odd}", 404) for odd in ODD_IDS[:5]],
    *[Bad("GET", f"/v1/files/{odd}/content", 404) for odd in ODD_IDS[:5]],
    Bad("GET", "/v1/files/{foreign_file}", 404, "id"),
    Bad("DELETE", "/v1/files/{foreign_file}", 404, "id"),
    Bad("GET", "/v1/files/{foreign_file}/content", 404, "id"),
    Bad("GET", "/v1/files/{foreign_file}/estimate", 404),
    Bad("GET", "/v1/files/{file}?provider=openai", 404, "id"),
    Bad("DELETE", "/v1/files/{used_file}", 409, "id"),
    Bad("GET", "/v1/files/{file}/content", 416, "Range", headers={"Range": "bytes=999999-"}),
    Bad("PATCH", "/v1/files/{file}", 405),
    Bad("PUT", "/v1/files", 405),
    Bad("GET", "/v1/nothing", 404),
    Bad("GET", "/v1//files", 404),
]

BATCHES = [
    Bad("POST", "/v1/batches", 400, data=b"", content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b"{not json", content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b"[]", content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b'"text"', content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b"\xff\xfe{}", content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b"[" * 100_000, content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=b'{"a":' * 100_000, content_type="application/json"),
    Bad("POST", "/v1/batches", 400, data=json.dumps({"endpoint": "\ud800"}).encode(), content_type="application/json"),
    batch(400, "input_file_id", input_file_id="file-nope"),
    batch(400, "input_file_id", input_file_id="{foreign_file}"),
    batch(400, "input_file_id", input_file_id="{note}"),
    batch(400, "input_file_id", input_file_id=7),
    batch(400, "input_file_id", input_file_id="a\x00b"),
    batch(400, None, input_file_id=...),
    batch(400, None, requests=[{"custom_id": "a", "body": {}}]),
    batch(400, "endpoint", endpoint="/v1/nothing"),
    batch(400, "endpoint", endpoint=...),
    batch(400, "endpoint", endpoint=["/v1/chat/completions"]),
    batch(400, "completion_window", completion_window="25h"),
    batch(400, "completion_window", completion_window=24),
    batch(400, "metadata", metadata={f"k{n}": "v" for n in range(17)}),
    batch(400, "metadata", metadata="text"),
    batch(400, None, metadata={"k": "v" * 513}),
    batch(400, None, metadata={"k" * 65: "v"}),
    batch(400, None, metadata={"k": 1}),
    batch(400, None, metadata={"k": "\x00"}),
    batch(400, "execution", execution="magic"),
    batch(400, None, execution="provider"),
    batch(400, "provider", provider="nonesuch"),
    batch(400, "provider", provider=9),
    batch(400, None, provider="elevenlabs"),
    batch(400, "provider", provider="anthropic"),
    batch(400, "provider", provider="ollama"),
    batch(400, "output_expires_after.seconds", output_expires_after={"anchor": "created_at", "seconds": 1}),
    batch(400, "output_expires_after", output_expires_after=3600),
    batch(400, "model", model=5),
    batch(400, None, input_file_id=..., requests=[]),
    batch(400, None, input_file_id=..., requests="text"),
    batch(400, None, input_file_id=..., requests=[{"body": {}}]),
    batch(400, None, input_file_id=..., requests=[{"custom_id": 5, "body": {}}]),
    batch(400, None, input_file_id=..., requests=[7]),
    *[Bad("GET", f"/v1/batches?limit={limit}", 400, "limit") for limit in ("0", "-5", "101", "x")],
    Bad("GET", "/v1/batches?after=batch_nope", 400, "after"),
    Bad("GET", "/v1/batches?after={foreign_batch}", 400, "after"),
    Bad("GET", "/v1/batches?status=odd", 400, "status"),
    *[Bad("GET", f"/v1/batches/{odd}", 404) for odd in ODD_IDS],
    *[Bad("POST", f"/v1/batches/{odd}/cancel", 404) for odd in ODD_IDS[:4]],
    Bad("GET", "/v1/batches/{foreign_batch}", 404, "batch_id"),
    Bad("POST", "/v1/batches/{foreign_batch}/cancel", 404, "batch_id"),
    Bad("DELETE", "/v1/batches/{foreign_batch}", 404, "batch_id"),
    Bad("GET", "/v1/batches/{foreign_batch}/results", 404, "batch_id"),
    Bad("GET", "/v1/batches/{foreign_batch}/lines", 404, "batch_id"),
    Bad("POST", "/v1/batches/{foreign_batch}/retry", 404, "batch_id"),
    Bad("POST", "/v1/batches/{cancelled_batch}/cancel", 409),
    Bad("DELETE", "/v1/batches/{batch}", 409),
    Bad("POST", "/v1/batches/{batch}/retry", 409),
    Bad("GET", "/v1/batches/{batch}/results?limit=-1", 400, "limit"),
    Bad("GET", "/v1/batches/{batch}/results?after=zzz", 400, "after"),
    Bad("GET", "/v1/batches/{batch}/lines?state=odd", 400, "state"),
]

UPLOADS = [
    Bad("POST", "/v1/uploads", 400, json={}),
    Bad(
        "POST",
        "/v1/uploads",
        400,
        "bytes",
        json={"filename": "a", "purpose": "user_data", "mime_type": "text/plain", "bytes": -1},
    ),
    Bad(
        "POST",
        "/v1/uploads",
        400,
        "bytes",
        json={"filename": "a", "purpose": "user_data", "mime_type": "text/plain", "bytes": 2**70},
    ),
    Bad(
        "POST",
        "/v1/uploads",
        400,
        "purpose",
        json={"filename": "a", "purpose": "x", "mime_type": "text/plain", "bytes": 1},
    ),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, "part_ids", json={}),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, "part_ids", json={"part_ids": ["part_nope"]}),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, json={"part_ids": "x"}),
    Bad("POST", "/v1/uploads/{foreign_upload}/complete", 404, json={"part_ids": ["part_x"]}),
    Bad("POST", "/v1/uploads/{foreign_upload}/cancel", 404),
    raw_form("/v1/uploads/{foreign_upload}/parts", part("data", b"x", filename="p") + END, 404),
    raw_form("/v1/uploads/{upload}/parts", part("file", b"x", filename="p") + END, 400, "data"),
    raw_form("/v1/uploads/{upload}/parts", part("data", b"", filename="p") + END, 400, "data"),
    Bad("POST", "/v1/uploads/{upload}/parts", 400, "Content-Type", json={}),
]

CONTAINERS = [
    Bad("POST", "/v1/containers", 400, "name", json={}),
    container(400, "name", name=""),
    container(400, "name", name="a\x00"),
    container(400, "memory_limit", memory_limit="3g"),
    container(400, "expires_after.minutes", expires_after={"anchor": "last_active_at", "minutes": 21}),
    container(400, "expires_after.anchor", expires_after={"anchor": "created_at", "minutes": 5}),
    container(400, "file_ids", file_ids=["file-nope"]),
    container(400, "file_ids", file_ids=["{foreign_file}"]),
    container(400, None, file_ids=[1]),
    container(400, None, network_policy={"type": "open"}),
    container(400, None, provider="ollama"),
    container(400, "metadata", metadata=[1]),
    *[Bad("GET", f"/v1/containers?limit={limit}", 400, "limit") for limit in ("0", "101", "-1", "no")],
    *[Bad("GET", f"/v1/containers/{odd}", 404) for odd in ODD_IDS],
    Bad("GET", "/v1/containers/{foreign_container}", 404, "container_id"),
    Bad("DELETE", "/v1/containers/{foreign_container}", 404, "container_id"),
    Bad("GET", "/v1/containers/{foreign_container}/files", 404),
    Bad("GET", "/v1/containers/{container}/files/cfile_nope", 404),
    Bad("GET", "/v1/containers/{container}/files/cfile_nope/content", 404),
    Bad("POST", "/v1/containers/{container}/files", 400, "file_id", json={}),
    Bad("POST", "/v1/containers/{container}/files", 400, "file_id", json={"file_id": "{foreign_file}"}),
    *[
        Bad("POST", "/v1/containers/{container}/files", 400, "file_path", json={"file_id": "{file}", "file_path": path})
        for path in ("../x", "/etc/passwd", "/mnt/data/../../etc/passwd", "a\x00b", "/mnt/data/")
    ],
    Bad("POST", "/v1/containers", 400, "Idempotency-Key", json={"name": "c"}, headers={"Idempotency-Key": "k" * 256}),
]

TABLE = [*FORMS, *FILES, *BATCHES, *UPLOADS, *CONTAINERS]
