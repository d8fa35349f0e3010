"""Ids in the body of a line that name objects of a provider's account. Projects share accounts, so none is passed on.

Ids of the project's own files are replaced first, where `file_refs` finds them.

An id is known by its name: `id`, or one that ends with it. What is no such id is listed here: by name, or as a place
where names are the caller's own. `tools/vendor_types` derives the names from the types of the vendors' SDKs, and a test
tries every one of them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Names without `_id` whose text is an id, or whose value reads the account's objects.
OWNED = frozenset({"container", "conversation", "data_sources", "files", "skills", "vector_stores"})
# Ids that pair things within the body, or that the caller made up.
FREE = frozenset(
    {
        "approval_request_id",
        "call_id",
        "caller_id",
        "connector_id",  # one of a public list
        "custom_id",
        "download_id",
        "parent_span_id",
        "reference_id",
        "reference_ids",
        "request_id",
        "session_id",
        "span_id",
        "subagent_id",
        "tab_id",
        "tool_call_id",
        "tool_id",
        "tool_use_id",
        "trace_id",
        "user_id",
    }
)
# Members whose own `id` names nothing in the account.
FREE_HOLDERS = frozenset({"document", "function", "tool_choice", "trace", "user"})
# Where names are the caller's own: pairs, examples for the caller's tools, settings of the caller's shell.
PAIRS = frozenset({"metadata", "logit_bias", "input_examples", "attributes", "headers", "env", "guided_json"})
TOOL_USES = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
SCHEMAS = frozenset({"schema", "input_schema", "output_schema"})
SCHEMA_HOLDERS = frozenset({"json_schema", "format", "response_format", "output_format"})
FUNCTIONS = (None, "function")
INPUT = "input"
# Members of an item that say nothing: with no others, it stands for one that the account keeps. In some lists it is a
# choice from a public list, or pairs things within the body.
BARE = frozenset({"id", "type", "status"})
CHOICES = frozenset({"plugins", "rules", "pending_safety_checks", "acknowledged_safety_checks", "tool_calls"})

# Addresses that a server reads with the account's permissions, or from its own disk.
STORES = (
    "gs://",
    "s3://",
    "az://",
    "abfs://",
    "abfss://",
    "wasbs://",
    "oss://",
    "cos://",
    "fileid://",
    "ms://",
    "file://",
)
SCHEME_LENGTH = 12
ADDRESSES = frozenset({"url", "uri", "file_data", "content"})

_NOTHING, _OWNED, _ID, _PAIRS, _MAYBE, _ADDRESS = range(6)
_NESTED = (dict, list)
_kinds: dict[str, int] = {}
MAX_KINDS = 4096
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MAYBE_PAIRS = SCHEMAS | {"parameters", "input", "arguments", "data"}
_FLAT = frozenset(name.replace("_", "") for name in (*OWNED, "file_id", "file_ids", "container_id", "vector_store_ids"))


def find(body: Mapping[str, Any]) -> str | None:
    """The path of an id in `body` that names an object with an owner, or None."""
    # First without paths: most lines have no such id.
    return next(_paths(body, "body"), None) if _holds(body) else None


def word_of(name: str) -> str:
    """A member's name in small letters and underscores: some servers ignore its case, or take fileId for file_id."""
    return _CAPITAL.sub("_", name).lower().replace("-", "_")


def is_schema(name: str, holder: Mapping[str, Any], reached_by: str) -> bool:
    """True when the member `name` of `holder` is a JSON schema, which describes fields and names nothing."""
    if name == "parameters":
        is_tool = isinstance(holder.get("name"), str) and holder.get("type") in FUNCTIONS and reached_by != ""
        return is_tool or reached_by == "function"
    if name in SCHEMAS:
        return reached_by in SCHEMA_HOLDERS or isinstance(holder.get("name"), str)
    return False


def is_free(name: str, holder: Mapping[str, Any], reached_by: str) -> bool:
    """True when names in the member `name` of `holder` are the caller's own."""
    return _is_free(_kind(name), name, holder, reached_by)


def _holds(body: Mapping[str, Any]) -> bool:
    """True when `find` will find an id. One pass without recursion, for this is done for every line."""
    kinds = _kinds
    waiting: list[tuple[Any, str, bool]] = [(body, "", False)]
    while waiting:
        value, reached_by, in_list = waiting.pop()
        if type(value) is list:
            waiting += [(inner, reached_by, True) for inner in value if type(inner) in _NESTED]
            continue
        for name, inner in value.items():
            kind = kinds.get(name)
            if kind is None:
                kind = _learn(name)
            if kind == _ADDRESS:  # without a call: each message has content
                if type(inner) is str and "://" in inner[:SCHEME_LENGTH] and _is_stored(inner):
                    return True
            elif kind and inner:
                if _names(kind, name, inner, value, reached_by, in_list):
                    return True
                if _is_free(kind, name, value, reached_by):
                    continue
            if type(inner) in _NESTED:
                waiting.append((inner, name, False))
    return False


def _paths(value: Any, path: str, reached_by: str = "", *, in_list: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _paths(inner, f"{path}[{position}]", reached_by, in_list=True)
    elif isinstance(value, dict):
        for name, inner in value.items():
            kind = _kind(name)
            if inner and kind != _NOTHING and _names(kind, name, inner, value, reached_by, in_list):
                yield f"{path}.{name}"
            elif not _is_free(kind, name, value, reached_by):
                yield from _paths(inner, f"{path}.{name}", name)


def _learn(name: str) -> int:
    """The kind of a name, remembered: callers use few names, and a hostile one cannot fill the memory."""
    if len(_kinds) >= MAX_KINDS:
        _kinds.clear()
    kind = _kinds[name] = _kind(name)
    return kind


def _kind(name: str) -> int:
    word = word_of(name)
    if word == "id":
        return _ID
    if word in PAIRS:
        return _PAIRS
    if word in _MAYBE_PAIRS:
        return _MAYBE
    if word in ADDRESSES or word.endswith(("_url", "_uri")):
        return _ADDRESS
    is_id = word.endswith(("_id", "_ids")) and word not in FREE
    return _OWNED if is_id or word in OWNED or word.replace("_", "") in _FLAT else _NOTHING


def _names(kind: int, name: str, inner: Any, holder: Mapping[str, Any], reached_by: str, in_list: bool) -> bool:
    """True when a member that is not empty names an object."""
    if kind == _OWNED:
        if name == "skill_id" and holder.get("type") == "anthropic":
            return False  # everybody has these
        if isinstance(inner, list):
            return any(isinstance(each, str) for each in inner) or name.lower() == "data_sources"
        return isinstance(inner, str)
    if kind == _ADDRESS:
        return isinstance(inner, str) and _is_stored(inner)
    if kind != _ID or not isinstance(inner, str):
        return False
    if not in_list:
        return reached_by != "" and reached_by not in FREE_HOLDERS
    return _is_reference(holder, reached_by)


def _is_stored(address: str) -> bool:
    return address[:SCHEME_LENGTH].lower().startswith(STORES)


def _is_reference(item: Mapping[str, Any], reached_by: str) -> bool:
    """True for an item of a list that has an id in place of its content."""
    named = item.get("type")
    if named is None and reached_by == INPUT:
        return "role" not in item
    if named == "reasoning":
        return not (item.get("encrypted_content") or item.get("content"))
    if named == "image_generation_call":
        return not item.get("result")
    return named == "item_reference" or (item.keys() <= BARE and reached_by not in CHOICES)


def _is_free(kind: int, name: str, holder: Mapping[str, Any], reached_by: str) -> bool:
    if kind != _MAYBE:
        return kind == _PAIRS
    if name == "input":
        return _is_tool_use(holder.get("type")) and isinstance(holder[name], dict) and reached_by != ""
    if name == "arguments":
        return isinstance(holder[name], dict)
    if name == "data":
        return holder.get("type") == "json"
    return is_schema(name, holder, reached_by)


def _is_tool_use(named: Any) -> bool:
    return isinstance(named, str) and named in TOOL_USES
