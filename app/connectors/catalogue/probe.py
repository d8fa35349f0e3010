"""Providers that are not in the catalogue but speak OpenAI's dialect: their abilities, declared or probed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.connectors.catalogue.declarations import LINES, LINES_ONLY, MIB, OPENAI_SHAPED
from app.connectors.contract.abilities import Abilities, FileLimits, JobLimits, Support, operations
from app.connectors.contract.base import Target
from app.connectors.contract.errors import UpstreamServerError
from app.lib import json

if TYPE_CHECKING:
    from app.connectors.http.api import Api
    from app.connectors.http.wire import Answer

GROUPS = ("files", "batches")
NATIVE: str = Support.NATIVE.value
EMULATED: str = Support.EMULATED.value
NONE: str = Support.NONE.value
# Statuses of an existing API to a GET: it lists, rejects the key, or rejects the method.
THERE = (200, 401, 403, 405)
DEFAULT = {"files": EMULATED, "batches": EMULATED}


class AbilityError(ValueError):
    """Invalid abilities, or ones that do not go together; the message says which do."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The abilities of such a provider, and `module:Class` of its connector."""

    abilities: Abilities
    path: str


def declared(words: Mapping[str, str]) -> dict[str, str]:
    """All abilities from those that were declared (`{"batches": "native"}`). Raises AbilityError."""
    for group, support in words.items():
        if group not in GROUPS or support not in (NATIVE, EMULATED, NONE):
            raise AbilityError(
                f"--ability {group}={support}: give files or batches, and native, emulated or none, as batches=native."
            )
    abilities = {**DEFAULT, **words}
    if abilities["batches"] == NATIVE and words.get("files", NATIVE) != NATIVE:
        raise AbilityError("Native batches take their input from native files: declare --ability files=native, too.")
    if abilities["batches"] == NATIVE:
        abilities["files"] = NATIVE
    if abilities["batches"] == EMULATED and abilities["files"] == NONE:
        raise AbilityError("Batches need files: declare --ability files=emulated or files=native.")
    return abilities


def shape(stored: Mapping[str, Any]) -> Shape:
    """The abilities and connector for the result of `declared` or `probed`."""
    words = {**DEFAULT, **stored}
    groups = {kind: " ".join(g for g in GROUPS if words[g] == kind) for kind in (NATIVE, EMULATED)}
    native_batches = words["batches"] == NATIVE
    # Few servers delete batches: the gateway hides its own.
    emulated = f"{groups[EMULATED]} batch_delete" if native_batches else groups[EMULATED]
    abilities = Abilities(
        operations(native=groups[NATIVE], emulated=emulated),
        lines=LINES,
        files=FileLimits(bytes=512 * MIB) if words["files"] == NATIVE else FileLimits(),
        jobs=JobLimits(endpoints=LINES, bytes=200 * MIB, lines=50_000) if native_batches else JobLimits(),
    )
    return Shape(abilities, OPENAI_SHAPED if groups[NATIVE] else LINES_ONLY)


def probed(target: Target) -> dict[str, str]:
    """Abilities as the server's answers show. Raises UpstreamError if it is away or its answers are inconclusive."""
    # Imported here: this module also describes stored accounts, which needs no HTTP.
    from app.connectors.http.api import Api
    from app.connectors.providers.openai.lines import has_version

    api = Api(target)
    version = "" if has_version(target.base_url) else "/v1"
    try:
        abilities = {group: _support(api, f"{version}/{group}", target.call_timeout_s) for group in GROUPS}
    finally:
        api.close()
    if abilities["batches"] == NATIVE and abilities["files"] != NATIVE:
        abilities["batches"] = EMULATED
    return abilities


def _support(api: "Api", path: str, timeout_s: float) -> str:
    answer = api.fetch(path, timeout_s=timeout_s)
    if answer.status == 404:
        return EMULATED
    if answer.status in THERE and _is_json(answer):
        return NATIVE
    raise UpstreamServerError(
        f"GET {path} was answered with status {answer.status}, which does not show whether the API exists.",
        status=answer.status,
    )


def _is_json(answer: "Answer") -> bool:
    try:
        return isinstance(json.loads(answer.body), dict | list)
    except ValueError:
        return False
