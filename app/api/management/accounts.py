"""Routes of accounts. They are added and removed only at the command line: no provider key passes through `/api`."""

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.request import actor, body, changes, query
from app.api.management.wire import account_wire, off_peak_wire
from app.api.operation import answer, list_answer, operation
from app.errors import InvalidRequestError
from app.schemas.management import ChangeAccount, Page, SetOffPeak
from app.services.accounts import admin, off_peak

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


@blueprint.get("/accounts/<string:provider>/<string:name>/off_peak")
@operation("off_peak_list")
def list_off_peak(provider: str, name: str) -> Response:
    """The off-peak hours of an account."""
    found = off_peak.list_(gateway(), provider=provider, name=name)
    return list_answer([off_peak_wire(each) for each in found], has_more=False)


@blueprint.put("/accounts/<string:provider>/<string:name>/off_peak")
@operation("off_peak_set")
def set_off_peak(provider: str, name: str) -> Response:
    """Give an account these off-peak hours, and no others."""
    g.object_id = f"{provider}/{name}"
    given = [off_peak.read(**each) for each in body(SetOffPeak)["windows"]]
    found = off_peak.set_(gateway(), given, provider=provider, name=name, actor=actor())
    return list_answer([off_peak_wire(each) for each in found], has_more=False)
