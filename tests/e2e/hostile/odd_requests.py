"""More malformed requests: each field with each wrong type, each route with each wrong method, and plain oddities."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.hostile.requests_table import CHAT, END, FILE, PURPOSE, Bad, part, raw_form

LONG = "x" * 100_000
NO_TEXT = (5, 1.5, True, [], {}, "", "a\x00b", "a\x1bb", LONG)
NO_NUMBER = ("abc", "", 1.5, True, [], {}, -1, 0, 10**30)
NO_OBJECT = (5, True, "text", [1])
NO_LIST = (5, True, "text", {})

BATCH = {"input_file_id": "{file}", "endpoint": CHAT, "completion_window": "24h"}
UPLOAD = {"filename": "a.txt", "purpose": "user_data", "mime_type": "text/plain", "bytes": 3}
CREATED = {"anchor": "created_at", "seconds": 3600}
ACTIVE = {"anchor": "last_active_at", "minutes": 5}

# (path, a body that would pass, {field: values that it must not have})
BODIES: list[tuple[str, Mapping[str, Any], Mapping[str, tuple[Any, ...]]]] = [
    (
        "/v1/batches",
        BATCH,
        {
            **dict.fromkeys(("input_file_id", "endpoint", "completion_window", "model", "provider"), NO_TEXT),
            "execution": NO_TEXT,
            "metadata": NO_OBJECT,
            "output_expires_after": (*NO_OBJECT, {}, {"anchor": "created_at"}),
            "requests": NO_LIST,
        },
    ),
    (
        "/v1/uploads",
        UPLOAD,
        {
            **dict.fromkeys(("filename", "purpose", "mime_type"), (*NO_TEXT[:5], *NO_TEXT[6:], None)),
            "bytes": (*NO_NUMBER, None),
            "provider": NO_TEXT,
            "expires_after": NO_OBJECT,
        },
    ),
    ("/v1/uploads/{upload}/complete", {"part_ids": ["part_x"]}, {"part_ids": NO_LIST, "md5": (5, "a\x00", LONG)}),
    (
        "/v1/containers",
        {"name": "c"},
        {
            "name": (*NO_TEXT, None),
            "provider": NO_TEXT,
            "memory_limit": NO_TEXT,
            "metadata": NO_OBJECT,
            "expires_after": NO_OBJECT,
            "network_policy": (*NO_OBJECT, {}, {"type": "allowlist"}, {"type": "disabled", "allowed_domains": ["a.b"]}),
            "file_ids": (*NO_LIST, [None], [[]], ["{file}", 5], ["file-x"] * 501),
        },
    ),
    ("/v1/containers/{container}/files", {"file_id": "{file}"}, {"file_id": NO_TEXT, "file_path": (*NO_TEXT, "..")}),
    ("/v1/batches/{batch}/retry", {}, {"metadata": NO_OBJECT, "completion_window": NO_TEXT}),
]

METHODS = [
    (path, method)
    for path, wrong in {
        "/v1/files": ("PUT", "PATCH", "DELETE"),
        "/v1/files/{file}": ("POST", "PUT", "PATCH"),
        "/v1/files/{file}/content": ("POST", "DELETE"),
        "/v1/uploads": ("GET", "DELETE"),
        "/v1/uploads/{upload}/parts": ("GET", "PUT"),
        "/v1/uploads/{upload}/complete": ("GET",),
        "/v1/batches": ("PUT", "DELETE"),
        "/v1/batches/{batch}": ("PUT", "PATCH"),
        "/v1/batches/{batch}/cancel": ("GET", "DELETE"),
        "/v1/batches/{batch}/results": ("POST",),
        "/v1/containers": ("PUT", "DELETE"),
        "/v1/containers/{container}": ("POST", "PATCH"),
        "/v1/containers/{container}/files": ("PUT", "DELETE"),
        "/v1/models": ("POST",),
        "/healthz": ("POST",),
    }.items()
    for method in wrong
]


def fields() -> Iterator[Bad]:
    """Each field of each JSON body with each value that it must not have."""
    for path, body, wrong in BODIES:
        for name, values in wrong.items():
            for value in values:
                yield Bad("POST", path, 400, name, json={**body, name: value})
    for inner in ("x", 1.5, True, [], 0, -1, 10**30, None):
        yield Bad("POST", "/v1/uploads", 400, json={**UPLOAD, "expires_after": {**CREATED, "seconds": inner}})
        yield Bad("POST", "/v1/containers", 400, json={"name": "c", "expires_after": {**ACTIVE, "minutes": inner}})


def raw_json(path: str, text: str | bytes, status: int = 400, param: str | None = None) -> Bad:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return Bad("POST", path, status, param, data=data, content_type="application/json")


DEEP = "[" * 100_000 + "]" * 100_000
BODIES_AS_TEXT = [
    raw_json(path, text)
    for path in ("/v1/batches", "/v1/containers", "/v1/uploads", "/v1/uploads/{upload}/complete")
    for text in (
        "null",
        "5",
        "{",
        '{"a": 1,}',
        "{'name': 'c'}",
        '{"name": NaN}',
        '{"name": "c"} trailing',
        '{"name": "\\ud800"}',
        '{"name": "\ud800"}',
        b'{"name": "\xff"}',
        b"\x00" * 10,
        "\ufeff{}",
        f'{{"name": {DEEP}}}',
        f'{{"name": "c", "metadata": {{"a": {DEEP}}}}}',
        '{"name": 1e999999}',
        '{"name": ' + "9" * 10_000 + "}",
    )
] + [
    raw_json("/v1/containers", '{"name": "c", "name": 5}', 400, "name"),
    raw_json("/v1/batches", '{"requests": [], "requests": []}'),
    raw_json("/v1/batches", '{"endpoint": "/v1/embeddings", "requests": [{"custom_id": "a", "body": ' + DEEP + "}]}"),
    raw_json("/v1/batches", '{"requests": [{"custom_id": "a", "body": {"x": "\\ud800"}}]}'),
    raw_json("/v1/containers", '{"name": "c", "x": "' + "y" * 5_000_000 + '"}', 413),
]

INLINE = [
    Bad("POST", "/v1/batches", 400, param, json={"endpoint": CHAT, "requests": [good, wrong]})
    for good in ({"custom_id": "a", "body": {"model": "m"}},)
    for param, wrong in (
        ("requests[1]", "text"),
        ("requests[1]", None),
        ("requests[1].custom_id", {"body": {}}),
        ("requests[1].custom_id", {"custom_id": "", "body": {}}),
        ("requests[1].custom_id", {"custom_id": "a\x00", "body": {}}),
        ("requests[1].custom_id", {"custom_id": LONG, "body": {}}),
        ("requests[1].body", {"custom_id": "b"}),
        ("requests[1].body", {"custom_id": "b", "body": []}),
        ("requests[1].params", {"custom_id": "b", "params": "x"}),
        ("requests[1].method", {"custom_id": "b", "body": {}, "method": "GET"}),
        ("requests[1].url", {"custom_id": "b", "body": {}, "url": 5}),
        ("requests[1].url", {"custom_id": "b", "body": {}, "url": "/v1/embeddings"}),
    )
]

PART = b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"'
MULTIPART = [
    raw_form("/v1/files", b"--wrong\r\n\r\n--wrong--\r\n", 400),
    raw_form("/v1/files", PURPOSE + b"--b0undary\r\n\r\nno head\r\n" + END, 400),
    raw_form("/v1/files", PURPOSE + b"--b0undary\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, 400),
    raw_form("/v1/files", PURPOSE + b"--b0undary\r\nContent-Disposition: attachment\r\n\r\nx\r\n" + END, 400),
    raw_form("/v1/files", PURPOSE + PART + b"\r\nX: " + b"y" * 500_000 + b"\r\n\r\n{}\r\n" + END, 413),
    raw_form("/v1/files", PURPOSE + PART + b"\r\n", 400),
    raw_form("/v1/files", PURPOSE + PART + b"\r\n\r\n{}", 400),
    raw_form("/v1/files", PURPOSE + PART + b"\r\n\r\n{}\r\n--b0undary", 400),
    raw_form("/v1/files", PURPOSE + FILE + part("file", b"{}", filename="2.jsonl") + END, 400, "file"),
    raw_form("/v1/files", PURPOSE + part("file", b"{}", filename="a%00b.jsonl".replace("%00", "\x00")) + END, 400),
    raw_form("/v1/files", PURPOSE + part("file", b"{}", filename="a%0D%0Ab.jsonl") + END, 400, "file"),
    raw_form("/v1/files", part("purpose", b"batch\x00") + FILE + END, 400, "purpose"),
    raw_form("/v1/files", part("purpose", b"") + FILE + END, 400, "purpose"),
    raw_form("/v1/files", part("Purpose", b"batch") + FILE + END, 400, "purpose"),
    raw_form("/v1/files", PURPOSE + part("expires_after[]", b"5") + FILE + END, 400),
    raw_form("/v1/files", PURPOSE + part("expires_after", b"5") + FILE + END, 400, "expires_after"),
    raw_form("/v1/files", PURPOSE + part("storage_config[]", b"5") + FILE + END, 400, "storage_config"),
    raw_form("/v1/files", PURPOSE + part("storage_config", b"[]") + FILE + END, 400, "storage_config"),
    raw_form("/v1/files", PURPOSE + part("storage_config", DEEP.encode()[:60_000]) + FILE + END, 400, "storage_config"),
    raw_form("/v1/files", PURPOSE + part("provider", b"local") + part("provider", b"openai") + FILE + END, 400),
    *[
        Bad("POST", "/v1/files", 400, "Content-Type", data=FILE + END, content_type=kind)
        for kind in (
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" + "b" * 300,
            "multipart/mixed; boundary=b0undary",
            "application/x-www-form-urlencoded",
            "text/plain",
            "nonsense",
            "",
        )
    ],
    raw_form("/v1/containers/{container}/files", END, 400, "file"),
    raw_form("/v1/containers/{container}/files", FILE + FILE + END, 400, "file"),
    raw_form("/v1/containers/{container}/files", FILE + part("file_path", b"../../etc/passwd") + END, 400, "file_path"),
    raw_form("/v1/containers/{container}/files", FILE + part("file_path", b"/mnt/data/../x") + END, 400, "file_path"),
    raw_form("/v1/containers/{container}/files", FILE + part("file_path", b"\xff") + END, 400, "file_path"),
    raw_form("/v1/containers/{foreign_container}/files", FILE + END, 404),
    raw_form("/v1/uploads/{cancelled_upload}/parts", part("data", b"x", filename="p") + END, 409),
    raw_form("/v1/uploads/upload_nope/parts", part("data", b"x", filename="p") + END, 404),
]

PROVIDERS = [
    Bad(method, path, 400, "provider", headers={"x-model-provider": name}, json=body)
    for name in ("nonesuch", "\xff\xfe", "local, openai", "x" * 5000)
    for method, path, body in (
        ("GET", "/v1/files", None),
        ("GET", "/v1/files/{file}", None),
        ("GET", "/v1/batches", None),
        ("POST", "/v1/batches", BATCH),
        ("POST", "/v1/uploads", UPLOAD),
        ("POST", "/v1/containers", {"name": "c"}),
        ("GET", "/v1/containers/{container}/files", None),
        ("DELETE", "/v1/containers/{container}", None),
    )
] + [
    Bad("POST", "/v1/batches?provider=openai", 400, "provider", json={**BATCH, "provider": "local"}),
    Bad("POST", "/v1/containers?provider=openai", 400, "provider", json={"name": "c", "provider": "local"}),
    Bad("POST", "/v1/uploads?x-model-provider=openai", 400, "provider", json={**UPLOAD, "provider": "local"}),
    Bad("POST", "/v1/batches", 400, json={**BATCH, "model": "anthropic/claude"}),
]

FOREIGN = [
    Bad("GET", "/v1/containers?after={foreign_container}", 400, "after"),
    Bad("GET", "/v1/containers/{container}/files?after=cfile_nope", 400, "after"),
    Bad("GET", "/v1/containers/{container}/files?after={foreign_container_file}", 400, "after"),
    Bad("GET", "/v1/containers/{container}/files/{foreign_container_file}", 404, "file_id"),
    Bad("GET", "/v1/containers/{container}/files/{foreign_container_file}/content", 404, "file_id"),
    Bad("DELETE", "/v1/containers/{container}/files/{foreign_container_file}", 404, "file_id"),
    Bad("GET", "/v1/containers/{foreign_container}/files/{foreign_container_file}", 404, "container_id"),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, "part_ids", json={"part_ids": ["{foreign_part}"]}),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, "part_ids", json={"part_ids": ["{part}", "{part}"]}),
    Bad("POST", "/v1/uploads/{upload}/complete", 400, "md5", json={"part_ids": ["{part}"], "md5": "0" * 32}),
    Bad("POST", "/v1/uploads/{cancelled_upload}/complete", 409, "id", json={"part_ids": ["{part}"]}),
    Bad("POST", "/v1/containers/{container}/files", 409, "file_path", json={"file_id": "{file}", "file_path": "a.txt"}),
    Bad("GET", "/v1/batches/{batch}/results?after={foreign_batch}", 400, "after"),
    Bad("GET", "/v1/batches/{batch}/lines?after={foreign_batch}", 400, "after"),
    Bad("GET", "/v1/files?after={foreign_batch}", 400, "after"),
    Bad("GET", "/v1/batches?after={file}", 400, "after"),
    Bad("GET", "/v1/containers/{batch}", 404),
    Bad("GET", "/v1/batches/{file}", 404),
]

PATHS = [
    Bad("GET", path, 404)
    for path in (
        "/v1/files/",
        "/v1/files/../files",
        "/v1/files/..%5c..%5cetc",
        "/v1/files/{file}/content/",
        "/v1/files/{file}/content/../../x",
        "/v1/files/%2e%2e/content",
        "/v1/files/{file}%00",
        "/v1/files/{file}%20",
        "/v1/files/{file}%2fcontent%00",
        "/v1/files/%ed%a0%80",
        "/v1/containers/{container}/files/..%2f..%2f..%2fetc%2fpasswd/content",
        "/v1/containers//files",
        "/v1/batches//cancel",
        "/openai/openai/batches/{batch}/results",
        "/openai/v2/files",
        "/static/../wsgi.py",
        "/etc/passwd",
    )
]

QUERIES = [
    Bad("GET", f"{path}?{query}", 400, query.partition("=")[0])
    for path, queries in {
        "/v1/files": ("limit=+-1", "limit=1e3", "limit=0x10", "limit=%d9%a1", "order=ASC", "after=%ff",
                      "after=" + "a" * 3000, "purpose=batch%00"),
        "/v1/batches": ("limit=1e2", "after=%00", "status=done"),
        "/v1/containers": ("order=up", "after=%00", "name=%00", "name=" + "n" * 3000),
        "/v1/containers/{container}/files": ("limit=0", "limit=-1", "limit=101", "order=x", "after=%00"),
        "/v1/batches/{batch}/results": ("limit=0", "limit=x", "after=%00", "after=batch_req_x", "after=" + "9" * 3000),
        "/v1/batches/{batch}/lines": ("limit=0", "limit=1001", "after=-1"),
    }.items()
    for query in queries
]  # fmt: skip

HEADERS = [
    *[
        Bad("POST", path, 400, "Idempotency-Key", headers={"Idempotency-Key": value}, json=body)
        for value in ("", "k" * 256, "a\x7fb")
        for path, body in (("/v1/containers", {"name": "c"}), ("/v1/batches", BATCH), ("/v1/uploads", UPLOAD))
    ],
    *[
        Bad(method, "/v1/files/{file}/content", 416, "Range", headers={"Range": value})
        for method in ("GET",)
        for value in ("bytes=-0", "bytes=999999999999999999-", "bytes=5000-6000")
    ],
]

ODD = [
    *[Bad(method, path, 405) for path, method in METHODS],
    *fields(),
    *BODIES_AS_TEXT,
    *INLINE,
    *MULTIPART,
    *PROVIDERS,
    *FOREIGN,
    *PATHS,
    *QUERIES,
    *HEADERS,
]

# Answers below 400, or a refusal; but nothing that is the gateway's fault.
SURVIVED = [
    {"Range": value}
    for value in ("", "bytes", "bytes=", "bytes=a-b", "bytes=5-1", "lines=1-2", "bytes=0-1,3-4", "bytes=" + "9" * 5000)
] + [
    {"Range": "bytes=0-1", "If-Range": value} for value in ("", '"x"', "W/x", "yesterday", "\xff", '"' * 1000)
] + [
    {"If-None-Match": value} for value in ("", "*", "x", "\xff", ",,,", '"' * 1000)
] + [
    {"Accept": value} for value in ("", ";", "a/b;q=x", "\xff", "*/*;q=" + "9" * 1000, "application/json;q=nan")
] + [
    {"Content-Type": "\xff"}, {"Cookie": "a=" + "b" * 5000}, {"Accept-Encoding": "\x7f"}, {"Host": ""},
    {"Host": "a b/c"}, {"X-Forwarded-For": "x" * 5000}, {"x-request-id": "mine"}, {"Transfer-Encoding": "nonsense"},
    {"Content-Length": "x"},
]  # fmt: skip
