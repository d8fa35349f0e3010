"""The webhook of one batch: an endpoint of the project, or a URL and a secret that came with the batch."""

import hmac
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from app.auth import signatures
from app.auth.signatures import BadSecretError
from app.data.webhooks import endpoints
from app.data.webhooks.endpoints import NewEndpoint
from app.errors import InvalidRequestError
from app.lib import ids
from app.services.gateway import Caller, Gateway
from app.services.webhooks import messages
from app.services.webhooks.endpoints import check_url

PARAM = "webhook"
Webhook = str | Mapping[str, Any]


def check(gateway: Gateway, caller: Caller, webhook: Webhook | None) -> None:
    """Raises InvalidRequestError for a webhook that a new batch cannot have. Holds no connection while it resolves."""
    if webhook is None:
        return
    if isinstance(webhook, str):
        with gateway.database.read() as connection:
            _named(connection, caller, webhook)
        return
    check_url(gateway, webhook["url"], param=f"{PARAM}.url")
    try:
        signatures.key(webhook["secret"])
    except BadSecretError as error:
        raise InvalidRequestError(f"{PARAM}.secret: {error}", param=f"{PARAM}.secret") from error


def attach(gateway: Gateway, connection: Connection, caller: Caller, webhook: Webhook | None) -> int | None:
    """The row id of the endpoint that a new batch tells of its end, inserted if it came with the batch.

    Batches of a project that bring the same along share a row, and so the patience with it.
    """
    if webhook is None:
        return None
    if isinstance(webhook, str):
        return _named(connection, caller, webhook)
    url, secret, payload = webhook["url"], webhook["secret"], webhook["payload"]
    text = f"{caller.project_id}\0{url}\0{payload}\0{secret}"
    fingerprint = hmac.digest(gateway.pepper(), b"webhook_endpoints.fingerprint\0" + text.encode(), "sha256").hex()
    known = endpoints.find_by_fingerprint(connection, project_id=caller.project_id, fingerprint=fingerprint)
    if known is not None and endpoints.touch(connection, known):
        return known
    public_id = ids.new(ids.WEBHOOK_ENDPOINT)
    made = endpoints.ensure_brought(
        connection,
        NewEndpoint(
            public_id=public_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            scope=endpoints.BATCH,
            name="",
            url=url,
            event_types=None,
            payload=payload,
            sealed_secret=gateway.ring.seal(secret.encode(), purpose=messages.purpose("sealed_secret", public_id)),
            secret_hint=signatures.hint(secret),
            fingerprint=fingerprint,
        ),
    )
    return made


def _named(connection: Connection, caller: Caller, public_id: str) -> int:
    found = None
    if public_id.isprintable():
        found = endpoints.find(connection, project_id=caller.project_id, public_id=public_id)
    if found is None:
        raise InvalidRequestError(
            f"{PARAM}: there is no webhook endpoint {public_id!r:.100} in this project.", param=PARAM
        )
    return found.id
