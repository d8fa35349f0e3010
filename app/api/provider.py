"""Which provider a request names, in whichever of the places where it may."""

from flask import g, request

from app.api.context import gateway
from app.errors import InvalidRequestError
from app.services.accounts import choose


def explicit_provider(*values: str | None) -> str | None:
    """The provider that query, header and `values` (form or JSON `provider`) name, or None.

    Raises InvalidRequestError when two of them disagree or one is unknown, and UnsupportedOperationError when it
    does not have the operation of this request.
    """
    named = [
        request.args.get("provider"),
        request.args.get("x-model-provider"),
        request.headers.get("x-model-provider"),
        *values,
    ]
    found = list(dict.fromkeys(value.strip().lower() for value in named if value and value.strip()))
    if len(found) > 1:
        text = f"The request names more than one provider: {found[0]:.60} and {found[1]:.60}."
        raise InvalidRequestError(text, param="provider")
    if found and not gateway().accounts.is_known(found[0]):
        known = ", ".join(gateway().accounts.known())
        raise InvalidRequestError(f"provider {found[0]!r:.60} is not known; known are {known}.", param="provider")
    if not found:
        return None
    choose.check_named(gateway(), found[0], g.request_type)
    return found[0]


def sdk_provider() -> str | None:
    """The provider whose own SDK sent the request, if that can be told."""
    return "azure" if "api-version" in request.args else None
