"""The provider that a request names, in whichever place it may do so."""

from flask import g, request

from app.api.context import gateway
from app.errors import InvalidRequestError
from app.services.accounts import choose

HEADER = "x-model-provider"


def explicit_provider(*values: str | None) -> str | None:
    """The provider that the query, a header or `values` (the `provider` of a form or JSON body) name, or None.

    Raises InvalidRequestError when two of them differ or one is unknown, and UnsupportedOperationError when the
    provider does not have the operation of this request.
    """
    if not values and not request.query_string and HEADER not in request.headers:
        return None
    named = [
        request.args.get("provider"),
        request.args.get(HEADER),
        request.headers.get(HEADER),
        *values,
    ]
    providers = list(dict.fromkeys(value.strip().lower() for value in named if value and value.strip()))
    if len(providers) > 1:
        text = f"The request names more than one provider: {providers[0]:.60} and {providers[1]:.60}."
        raise InvalidRequestError(text, param="provider")
    if not providers:
        return None
    [provider] = providers
    if not gateway().accounts.is_known(provider):
        known = ", ".join(gateway().accounts.known())
        raise InvalidRequestError(f"provider {provider!r:.60} is not known; use one of {known}.", param="provider")
    choose.check_named(gateway(), provider, g.request_type)
    return provider


def sdk_provider() -> str | None:
    """The provider whose own SDK sent the request, if that can be told."""
    return "azure" if request.args.get("api-version", "").strip() else None
