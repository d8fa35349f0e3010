"""Whether a credential is good, for a proxy that asks before it takes in a body (nginx's `auth_request`)."""

from flask import Blueprint, Response

from app.api.auth import require_credential
from app.api.operation import operation
from app.lib import json

blueprint = Blueprint("keycheck", __name__)
blueprint.before_request(require_credential)


@blueprint.get("/keycheck")
@operation("key_check")
def keycheck() -> Response:
    """The credential opens the gateway. This counts against no limit, and decides nothing else."""
    return Response(json.dumps({"status": "ok"}), mimetype="application/json")
