"""Accounts at providers: tried out, switched off and on, their ceilings and abilities. For admins."""

from flask import Blueprint, Response, g, request

from app.api.context import gateway
from app.api.dashboard import pages
from app.api.operation import operation
from app.errors import InvalidRequestError
from app.services.accounts import admin, pauses

MAX_PAUSES = 200
MAX_DIGITS = 9

blueprint = Blueprint("accounts", __name__)

ACCOUNT = "/accounts/<provider>/<name>"


@blueprint.get("/accounts")
@operation("ui_accounts")
def list_() -> Response:
    """All accounts, their pauses, and what their providers can do."""
    pages.signed_in().actor()
    listed = admin.list_(gateway())
    providers = list(dict.fromkeys(account.provider for account in listed if account.state == "enabled"))
    abilities = {provider: gateway().accounts.abilities(provider).operations for provider in providers}
    return pages.page(
        "accounts.html",
        accounts=listed,
        pauses=pauses.list_(gateway(), limit=MAX_PAUSES),
        providers=providers,
        abilities=abilities,
        operations=list(dict.fromkeys(name for each in abilities.values() for name in each)),
        trial=None,
    )


@blueprint.post(f"{ACCOUNT}/test")
@operation("account_test")
def test(provider: str, name: str) -> Response:
    """Makes a call that needs the account's key, and says what came of it."""
    pages.signed_in().actor()
    [trial] = admin.try_out(gateway(), provider=provider, name=name)
    return pages.page("trial.html", trial=trial)


@blueprint.post(f"{ACCOUNT}/switch")
@operation("account_change")
def switch(provider: str, name: str) -> Response:
    """Disables or enables an account: nothing new is sent to a disabled one."""
    actor = pages.signed_in().actor()
    g.object_id = f"{provider}/{name}"
    disabled = {"off": True, "on": False}.get(request.form.get("to", ""))
    if disabled is None:
        raise InvalidRequestError("to: must be on or off.", param="to")
    admin.change(gateway(), provider=provider, name=name, disabled=disabled, actor=actor)
    return pages.see("/ui/accounts")


@blueprint.post(f"{ACCOUNT}/ceiling")
@operation("account_change")
def ceiling(provider: str, name: str) -> Response:
    """Changes how many requests the account may have in flight."""
    g.object_id = f"{provider}/{name}"
    actor, given = pages.signed_in().actor(), request.form.get("max_concurrency", "")
    if not (given.isascii() and given.isdecimal() and len(given) <= MAX_DIGITS and int(given) > 0):
        raise InvalidRequestError("The ceiling must be a whole number from 1 on.", param="max_concurrency")
    admin.change(gateway(), provider=provider, name=name, max_concurrency=int(given), actor=actor)
    return pages.see("/ui/accounts")


@blueprint.post(f"{ACCOUNT}/resume")
@operation("pause_end")
def resume(provider: str, name: str) -> Response:
    """Ends the pauses of an account: workers send again within seconds."""
    pauses.end(gateway(), provider=provider, name=name, actor=pages.signed_in().actor())
    return pages.see("/ui/accounts")
