"""The URLs at which providers tell of their jobs, one for each account. No key: the signature is looked at instead."""

from flask import Blueprint, Response, request

from app.api.body import Body
from app.api.context import gateway
from app.api.operation import operation
from app.errors import GatewayError
from app.services.backups import fence
from app.services.jobs import incoming
from app.services.jobs.incoming import Message

blueprint = Blueprint("provider_webhooks", __name__)


@blueprint.post("/webhooks/<string:provider>/<string:account>")
@operation("provider_webhook")
def take(provider: str, account: str) -> Response:
    """Note that a job may have ended. The answer is the same whatever was sent."""
    message = _message()
    if message is not None and fence.state(gateway()).state == fence.OPEN:
        incoming.take(gateway(), provider, account, message)
    return Response(status=204)


def _message() -> Message | None:
    """The message; None when it cannot be one."""
    headers = {name: request.headers[name] for name in incoming.HEADERS if name in request.headers}
    if len(headers) < len(incoming.HEADERS) or (request.content_length or 0) > incoming.MAX_BYTES:
        return None
    body, data = Body(request), bytearray()
    try:
        while len(data) <= incoming.MAX_BYTES and (piece := body.read(incoming.MAX_BYTES + 1 - len(data))):
            data += piece
    except GatewayError:
        return None
    return Message(headers, bytes(data)) if len(data) <= incoming.MAX_BYTES else None
