"""A fitting request for every operation: its path filled with ids, a body that is all right, things to be used up."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from secrets import token_hex
from typing import Any

from tests.e2e.isolation.world import Belongings, Names, begun, canary, post, put, upload
from tests.support.batches import CHAT, chat_line
from tools.docs.access import Route

Body = dict[str, Any]
MODEL = "fake-model"  # which the fake of OpenAI lists


def filled(route: Route, names: Names, managed: Mapping[str, str] | None = None) -> str:
    """The path of `route` with the ids of `names`; those of the management API are in `managed`."""
    in_container = "{container_id}" in route.path
    found = {
        "file_id": names.container_file if in_container else names.file,
        **({"file_id": names.source} if route.operation == "file_estimate" else {}),
        "batch_id": names.batch,
        "upload_id": names.upload,
        "container_id": names.container,
        "webhook_endpoint_id": names.webhook_endpoint,
        "webhook_delivery_id": names.webhook_delivery,
        "model_id": MODEL,
        "provider": "openai",
        "account": "env",
        "asset": "start.js",
        **(managed or {}),
    }
    return route.path.format(**found)


def body(route: Route, names: Names, word: str) -> Body:
    """What goes with a request of the operation that is to succeed. A route that is new has to be entered here."""
    make = OF_ANTHROPIC.get(route.operation) if route.path.startswith("/anthropic/") else None
    return (make or BODIES[route.operation])(names, canary(word))


def fresh(route: Route, owner: Belongings) -> Names:
    """Names to use up: what the operation ends or deletes is made for it."""
    make = FRESH.get(route.operation)
    return make(owner, owner.kept) if make else owner.kept


def _nothing(_names: Names, _word: str) -> Body:
    return {}


def _form(field: str) -> Callable[[Names, str], Body]:
    def made(_names: Names, word: str) -> Body:
        more = {"purpose": "user_data"} if field == "file" else {}
        return {"data": {**more, field: (io.BytesIO(f"{word} part".encode()), f"{word}.txt")}}

    return made


def _container_file(_names: Names, word: str) -> Body:
    return {"data": {"file": (io.BytesIO(word.encode()), f"{word}-{token_hex(4)}.txt")}}


def _upload(_names: Names, word: str) -> Body:
    return {"json": {"filename": f"{word}.txt", "purpose": "user_data", "bytes": 10, "mime_type": "text/plain"}}


def _complete(names: Names, _word: str) -> Body:
    return {"json": {"part_ids": [names.part]}}


def _batch(_names: Names, word: str) -> Body:
    return {"json": {"requests": [chat_line(word, word)], "endpoint": CHAT, "provider": "local"}}


def _messages(_names: Names, word: str) -> Body:
    params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": word}]}
    return {"json": {"requests": [{"custom_id": word, "params": params}], "provider": "local"}}


def _container(_names: Names, word: str) -> Body:
    return {"json": {"name": word, "provider": "local"}}


def _hook(_names: Names, word: str) -> Body:
    return {"json": {"name": word, "url": f"https://hooks.example.com/{word}", "event_types": ["batch.failed"]}}


def _sample(_names: Names, _word: str) -> Body:
    return {"json": {"event_type": "batch.failed"}}


READS = (
    "healthz", "readyz", "file_list", "file_retrieve", "file_content", "file_estimate", "batch_list", "batch_retrieve",
    "batch_results", "batch_lines", "container_list", "container_retrieve", "container_file_list",
    "container_file_retrieve", "container_file_content", "model_list", "key_quota", "project_list", "project_retrieve",
    "key_list", "key_retrieve", "account_list", "pause_list", "price_list", "budget_list", "event_list", "usage_list",
    "key_check", "model_retrieve", "webhook_endpoint_list", "webhook_endpoint_retrieve", "webhook_event_type_list",
    "webhook_delivery_list", "webhook_delivery_retrieve", "provider_webhook", "openapi", "docs", "docs_asset",
    "off_peak_list",
)  # fmt: skip
BODIES: dict[str, Callable[[Names, str], Body]] = {
    **dict.fromkeys(READS, _nothing),
    **dict.fromkeys(("file_delete", "batch_delete", "batch_cancel", "batch_retry", "upload_cancel"), _nothing),
    **dict.fromkeys(("batch_pause", "batch_resume", "batch_clone"), _nothing),
    "batch_update": lambda _names, _word: {"json": {"priority": 1}},
    **dict.fromkeys(("container_delete", "container_file_delete"), _nothing),
    **dict.fromkeys(("key_rotate", "key_expire", "key_revoke", "project_archive", "project_cancel_batches"), _nothing),
    "file_upload": _form("file"),
    "upload_create": _upload,
    "upload_part_add": _form("data"),
    "upload_complete": _complete,
    "batch_create": _batch,
    "container_create": _container,
    "container_file_create": _container_file,
    "webhook_endpoint_create": _hook,
    "webhook_endpoint_update": _hook,
    "webhook_endpoint_test": _sample,
    **dict.fromkeys(("webhook_endpoint_delete", "webhook_endpoint_secret_rotate", "webhook_delivery_replay"), _nothing),
}

OF_ANTHROPIC = {"batch_create": _messages}


def _file(owner: Belongings, names: Names) -> Names:
    return replace(names, file=upload(owner.client, f"{owner.canary}.txt", b"x", purpose="user_data", provider="local"))


def _pending(owner: Belongings, names: Names) -> Names:
    pending, part = begun(owner.client, owner.word)
    return replace(names, upload=pending, part=part)


def _running(owner: Belongings, names: Names) -> Names:
    return replace(names, batch=post(owner.client, "/v1/batches", **_batch(names, owner.canary))["id"])


def _over(owner: Belongings, names: Names) -> Names:
    return replace(names, batch=owner.spare.pop())


def _box(owner: Belongings, names: Names) -> Names:
    container = post(owner.client, "/v1/containers", **_container(names, owner.canary))["id"]
    inside = put(owner.client, container, f"{owner.canary}.txt", b"x")
    return replace(names, container=container, container_file=inside)


def _endpoint(owner: Belongings, names: Names) -> Names:
    return replace(
        names, webhook_endpoint=post(owner.client, "/v1/webhook_endpoints", **_hook(names, owner.canary))["id"]
    )


FRESH: dict[str, Callable[[Belongings, Names], Names]] = {
    "file_delete": _file,
    "upload_complete": _pending,
    "upload_cancel": _pending,
    "upload_part_add": _pending,
    **dict.fromkeys(("batch_cancel", "batch_pause", "batch_resume", "batch_update"), _running),
    "batch_delete": _over,
    **dict.fromkeys(("batch_retry", "batch_clone"), lambda owner, names: replace(names, batch=owner.spare[0])),
    "container_delete": _box,
    "container_file_delete": _box,
    "container_file_create": _box,
    "webhook_endpoint_delete": _endpoint,
    "webhook_endpoint_update": _endpoint,
}


def never(names: Names) -> Names:
    """Ids of the same shapes that nobody ever had."""

    def other(name: str) -> str:
        prefix = name[: max(name.find("-"), name.find("_")) + 1]
        return prefix + token_hex(len(name))[: len(name) - len(prefix)]

    fields = {field: other(getattr(names, field)) for field in Names.__dataclass_fields__}
    return Names(**fields)
