"""Generate docs/access.md from the routes: the status that each kind of caller gets at each route.

`tests/e2e/isolation` calls every route as every kind of caller and compares the statuses with this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import Rule

from app import api
from app.api.anthropic import PREFIX as ANTHROPIC
from app.api.auth import require_admin, require_credential, require_key
from app.api.openai import AZURE_PREFIX, PREFIXES
from app.api.operation import WRITES
from app.services.metrics import server

UNKNOWN = ("none", "wrong", "revoked", "expired")
FOREIGN = "another project's"
VIEWER, MEMBER, ADMIN = "viewer", "member", "admin"
CALLERS = (*UNKNOWN, FOREIGN, VIEWER, MEMBER, ADMIN)
FACES = (*PREFIXES.values(), AZURE_PREFIX)
VENDORS = {"Anthropic's API": f"{ANTHROPIC}/v1"}
MANAGEMENT = "/api"
DASHBOARD = "/ui"
TELLS_NOTHING = 204
OPEN, KEY, ADMINS, TOKEN = "anybody", "any key", "admins", "a token of its own"
# Ids outside the path: (operation, field, status if the project has no such object).
ELSEWHERE = (
    ("batch_create", "`input_file_id`", 400),
    ("batch_create", "`webhook`", 400),
    ("batch_list", "`after`", 400),
    ("batch_lines", "`after`", 400),
    ("batch_results", "`after`", 400),
    ("container_create", "`file_ids`", 400),
    ("container_file_create", "`file_id`", 400),
    ("container_file_list", "`after`", 400),
    ("container_list", "`after`", 400),
    ("file_list", "`after`", 400),
    ("upload_complete", "`part_ids`", 400),
    ("webhook_delivery_list", "`after`", 400),
    ("webhook_delivery_list", "`batch_id`", 400),
    ("webhook_delivery_list", "`endpoint_id`", 400),
    ("webhook_endpoint_list", "`after`", 400),
)

HEAD = """# Access

The HTTP status that each kind of caller gets at each route. Generated from the routes by `make docs`; the tests in
`tests/e2e/isolation` call every route under every prefix as each of these callers and compare the status.

- **none, wrong, revoked, expired**: no credential, an invalid one, and virtual keys that have been revoked or have
  expired.
- **another project's**: a member's key of another project, used with ids of this project's objects. Its lists and new
  objects belong to its own project.
- **viewer, member, admin**: keys of the project itself, by role.

The response for another project's object is identical to the response for an object that does not exist, except for
the requested id, the request id and the latency. `HEAD` gets the status of the corresponding `GET`.
"""
FACE_HEAD = """
## Files, batches, containers, webhooks

These routes exist under `/v1`, `/openai/v1` and `/openai`. Routes marked A also exist under `/openai/openai`.

"""
ELSEWHERE_HEAD = """
## Ids in queries and bodies

An id in a query or body that the project does not have is rejected with 400 and the name of the field in `param`,
whether it belongs to another project or does not exist. Each project has its own `Idempotency-Key` values.

"""
VENDOR_HEAD = """
## {name}

The same objects, as this API's own clients see them.

"""
MANAGEMENT_HEAD = """
## Management

Here, a key with the role admin manages all projects. Elsewhere, it acts in its own project only.

"""
HEALTH_HEAD = """
## Health, and webhooks of providers

`/metrics` is off, and 404, until `BATCHGATE_METRICS_TOKEN` is set; then it is 401 for whoever does not send that.

"""


@dataclass(frozen=True, slots=True)
class Route:
    """An operation at a path. `guard`: who has access. `names_object`: the path contains a project's id."""

    operation: str
    method: str
    path: str
    guard: str
    names_object: bool

    @property
    def is_write(self) -> bool:
        """True if viewers are not allowed to use it."""
        return self.operation.endswith(WRITES)


def routes(flask: Flask) -> dict[tuple[str, str], Route]:
    """Return the routes of the API except OPTIONS, by (method, rule). HEAD has the operation of its GET."""
    routes_by_rule = {}
    for rule in flask.url_map.iter_rules():
        if rule.rule.startswith(DASHBOARD):
            continue  # its pages answer to sessions
        operation = str(getattr(flask.view_functions[rule.endpoint], "request_type", "unknown"))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            is_of_project = bool(rule.arguments - {"model_id"})
            route = Route(operation, method, _path(rule), _guard(flask, rule), is_of_project)
            routes_by_rule[method, rule.rule] = route
    return routes_by_rule


def status(route: Route, caller: str) -> int:
    """Return the status that `caller` gets for an otherwise valid request."""
    if route.guard == OPEN:
        return TELLS_NOTHING if route.operation == "provider_webhook" else 200
    if route.guard == TOKEN:
        return 404
    if caller in UNKNOWN:
        return 401
    if route.guard == ADMINS:
        return 200 if caller == ADMIN else 403
    if route.is_write and caller == VIEWER:
        return 403
    return 404 if route.names_object and caller == FOREIGN else 200


def render() -> str:
    """Render the page as Markdown."""
    flask = Flask(__name__, static_folder=None)
    api.register(flask, None)  # type: ignore[arg-type]  # no request is made, so no gateway is needed
    prefixes: dict[Route, set[str]] = {}
    for route in routes(flask).values():
        face = face_of(route.path)
        bare = Route(route.operation, route.method, route.path.removeprefix(face), route.guard, route.names_object)
        if route.method != "HEAD":
            prefixes.setdefault(bare, set()).add(face)
    faces = {route: "A" if AZURE_PREFIX in where else "" for route, where in prefixes.items() if where & set(FACES)}
    managed = {route: "" for route, where in prefixes.items() if MANAGEMENT in where}
    others = {route: "" for route, where in prefixes.items() if where == {""}}
    elsewhere = "".join(f"| {operation} | {field} | {code} |\n" for operation, field, code in ELSEWHERE)
    parts = [HEAD, FACE_HEAD, _table(faces)]
    for name, prefix in VENDORS.items():
        shown = {route: "" for route, where in prefixes.items() if prefix in where}
        parts += [VENDOR_HEAD.format(name=name), _table(shown, prefix=prefix)]
    parts += [ELSEWHERE_HEAD, "| operation | id | status |\n|---|---|---|\n", elsewhere]
    parts += [MANAGEMENT_HEAD, _table(managed, prefix=MANAGEMENT)]
    return "".join([*parts, HEALTH_HEAD, _table(others)])


def face_of(path: str) -> str:
    """Return the longest prefix that matches the path; "" for health."""
    matching = [prefix for prefix in (*FACES, *VENDORS.values(), MANAGEMENT) if path.startswith(f"{prefix}/")]
    return max(matching, key=len, default="")


def _table(marks: Mapping[Route, str], *, prefix: str = "") -> str:
    lines = [f"| operation | route | {' | '.join(CALLERS)} |\n", f"|---|---|{'---|' * len(CALLERS)}\n"]
    for route, mark in sorted(marks.items(), key=lambda item: (item[0].operation, item[0].path, item[0].method)):
        name = f"`{route.method} {prefix}{route.path}` {mark}".strip()
        codes = " | ".join(str(status(route, caller)) for caller in CALLERS)
        lines.append(f"| {route.operation} | {name} | {codes} |\n")
    return "".join(lines)


def _path(rule: Rule) -> str:
    return "".join(f"{{{part}}}" if is_dynamic else part for is_dynamic, part in rule._trace).lstrip("|")


def _guard(flask: Flask, rule: Rule) -> str:
    if rule.rule == server.PATH:
        return TOKEN
    names = rule.endpoint.split(".")
    parents = [".".join(names[:count]) for count in range(1, len(names))]
    hooks = [hook for parent in parents for hook in flask.before_request_funcs.get(parent, [])]
    if require_admin in hooks:
        return ADMINS
    return KEY if require_key in hooks or require_credential in hooks else OPEN
