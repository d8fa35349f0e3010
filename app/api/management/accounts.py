"""Routes of accounts. They are added and removed only at the command line: no provider key passes through `/api`."""

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.request import actor, changes, query
from app.api.management.wire import account_wire
from app.api.operation import answer, list_answer, operation
from app.errors import InvalidRequestError
from app.schemas.management import ChangeAccount, Page
from app.services.accounts import admin

blueprint = Blueprint("accounts", __name__)


@blueprint.get("/accounts")
@operation("account_list", Page)
def list_() -> Response:
    """Accounts by provider and name, including retired ones while their key is kept."""
    page = query(Page)
    accounts = [account_wire(account) for account in admin.list_(gateway())]
    if page["after"] is not None:
        ids = [account["id"] for account in accounts]
        if page["after"] not in ids:
            raise InvalidRequestError(f"after: there is no account {page['after']!r:.100}.", param="after")
        accounts = accounts[ids.index(page["after"]) + 1 :]
    return list_answer(accounts[: page["limit"]], has_more=len(accounts) > page["limit"])


@blueprint.put("/accounts/<string:provider>/<string:name>")
@operation("account_change")
def change(provider: str, name: str) -> Response:
    """Change the given fields. Nothing new is sent to a disabled account; its batches wait."""
    g.object_id = f"{provider}/{name}"
    fields = changes(ChangeAccount)
    return answer(account_wire(admin.change(gateway(), provider=provider, name=name, **fields, actor=actor())))
