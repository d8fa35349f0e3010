"""Finds out whether a new credential or base URL reaches the account at the provider that the gateway's objects are in.

Another account at the provider has none of the native objects in SQL, so the credential must be able to read one.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from app.connectors.contract.base import Connector, Target
from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamError
from app.connectors.contract.refusals import Kind
from app.services.accounts.load import Loader

CANDIDATES = 2  # objects of each kind to look for: one may have expired at the provider
CALL_TIMEOUT_S = 10.0


class Verdict(Enum):
    """Whether a new key belongs to the same account at the provider."""

    SAME = "same"
    OTHER = "other"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, and what the provider said if it gave none."""

    verdict: Verdict
    reason: str = ""


def find_out(
    loader: Loader, target: Target, held: Sequence[tuple[str, str]], *, abilities: Mapping[str, str] | None = None
) -> Finding:
    """Looks for `held`, pairs of kind and native id, with the credential and URL of `target`.

    An account that holds nothing may be any. `abilities` are those of a compatible provider.
    """
    if not held:
        return Finding(Verdict.SAME)
    try:
        with closing(loader.connector(target, abilities, max_s=CALL_TIMEOUT_S)) as connector:
            is_same = any(_has(connector, kind, native_id) for kind, native_id in held)
    except UpstreamError as error:
        return Finding(Verdict.UNREACHABLE, error.for_operator)
    except ConfigurationError as error:
        return Finding(Verdict.UNREACHABLE, str(error))
    return Finding(Verdict.SAME if is_same else Verdict.OTHER)


def _has(connector: Connector, kind: str, native_id: str) -> bool:
    """Returns whether the account of `connector` has this object. Raises UpstreamError when that is unknown now."""
    retrieve = {
        "job": connector.retrieve_job,
        "file": connector.retrieve_file,
        "container": connector.retrieve_container,
    }[kind]
    try:
        retrieve(native_id)
    except NotImplementedError:
        return False
    except RefusedError as error:
        if error.kind is Kind.AGAIN:
            raise
        return False
    return True
