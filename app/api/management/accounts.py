"""Accounts: credentials at providers. Their keys are added and removed at the command line only."""

from typing import Any

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.asking import actor, changes, query
from app.api.operation import answer, list_answer, operation
from app.errors import InvalidRequestError
from app.schemas.management import ChangeAccount, Page
from app.services.accounts import admin
from app.services.accounts.admin import AccountInfo

blueprint = Blueprint("accounts", __name__)


@blueprint.get("/accounts")
@operation("account_list")
def list_() -> Response:
    """Accounts by provider and name, retired ones while their key is kept for their work."""
    asked = query(Page)
    found = [_wire(account) for account in admin.list_(gateway())]
    if asked["after"] is not None:
        ids = [account["id"] for account in found]
        if asked["after"] not in ids:
            raise InvalidRequestError(f"after: there is no account {asked['after']!r:.100}.", param="after")
        found = found[ids.index(asked["after"]) + 1 :]
    return list_answer(found[: asked["limit"]], has_more=len(found) > asked["limit"])


@blueprint.put("/accounts/<string:provider>/<string:name>")
@operation("account_change")
def change(provider: str, name: str) -> Response:
    """Set the fields that are sent; `disabled` keeps new work away, what the account has goes on."""
    g.object_id = f"{provider}/{name}"
    asked = changes(ChangeAccount)
    return answer(_wire(admin.change(gateway(), provider=provider, name=name, **asked, actor=actor())))


def _wire(account: AccountInfo) -> dict[str, Any]:
    return {
        "id": f"{account.provider}/{account.name}",
        "object": "account",
        "provider": account.provider,
        "name": account.name,
        "source": account.source,
        "state": account.state,
        "base_url": account.base_url,
        "weight": account.weight,
        "max_concurrency": account.max_concurrency,
        "limits": dict(account.limits),
        "models": dict(account.models),
        "options": list(account.options),
        "abilities": account.abilities,
    }
