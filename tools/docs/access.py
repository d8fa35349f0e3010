"""docs/access.md, made from the routes: which status each kind of caller gets where.

`tests/e2e/isolation` asks every route as every kind of caller, and compares what it gets with what is said here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import Rule

from app import api
from app.api.auth import require_admin, require_key
from app.api.openai import AZURE_PREFIX, PREFIXES
from app.api.operation import WRITES

UNKNOWN = ("none", "wrong", "revoked", "expired")
FOREIGN = "another project's"
VIEWER, MEMBER, ADMIN = "viewer", "member", "admin"
CALLERS = (*UNKNOWN, FOREIGN, VIEWER, MEMBER, ADMIN)
FACES = (*PREFIXES.values(), AZURE_PREFIX)
MANAGEMENT = "/api"
OPEN, KEY, ADMINS = "anybody", "any key", "admins"
# Ids that do not stand in the path: (operation, where, status when the project has no such object).
ELSEWHERE = (
    ("batch_create", "`input_file_id`", 400),
    ("batch_list", "`after`", 400),
    ("batch_lines", "`after`", 400),
    ("batch_results", "`after`", 400),
    ("container_create", "`file_ids`", 400),
    ("container_file_create", "`file_id`", 400),
    ("container_file_list", "`after`", 400),
    ("container_list", "`after`", 400),
    ("file_list", "`after`", 400),
    ("upload_complete", "`part_ids`", 400),
)

HEAD = """# Who gets what

Made from the routes by `make docs`. `tests/e2e/isolation` asks every route under every prefix as each of these callers,
and fails when an answer has another status than this page says.

- none, wrong, revoked, expired: no credential, one that never was, and virtual keys that have ended.
- another project's: a member's key of another project, which names objects of this one. What it lists and makes is its
  own.
- viewer, member, admin: keys of the project itself, by role.

An object of another project is answered as one that never was, to the byte, but for the id that was asked for, the id
of the request, and the latency. A `HEAD` is answered as the `GET` it stands for.
"""
FACE = """
## Files, batches, containers

Under `/v1`, `/openai/v1` and `/openai`; those marked A under `/openai/openai`, too.

"""
ELSEWHERE_HEAD = """
## Ids outside of paths

What a query or body names, and the project does not have, is refused with 400 and the name of the field (`param`),
whether it is another project's or never was. An `Idempotency-Key` of another project means nothing: each has its own.

"""
MANAGED = """
## Management

A key with the role admin manages all projects here, its own or not; elsewhere it acts in its own project only.

"""
OTHERS = """
## Health

"""


@dataclass(frozen=True, slots=True)
class Route:
    """An operation at a path. `guard` is who is let in; `names_object` that the path holds an id."""

    operation: str
    method: str
    path: str
    guard: str
    names_object: bool

    @property
    def is_write(self) -> bool:
        """True when a viewer may not do it."""
        return self.operation.endswith(WRITES)


def routes(flask: Flask) -> dict[tuple[str, str], Route]:
    """Every route of the application but OPTIONS, by (method, rule). HEAD is that of its GET."""
    found = {}
    for rule in flask.url_map.iter_rules():
        operation = str(getattr(flask.view_functions[rule.endpoint], "request_type", "unknown"))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            route = Route(operation, method, _path(rule), _guard(flask, rule), bool(rule.arguments))
            found[method, rule.rule] = route
    return found


def status(route: Route, caller: str) -> int:
    """What `caller` gets, where nothing else is wrong with the request."""
    if route.guard == OPEN:
        return 200
    if caller in UNKNOWN:
        return 401
    if route.guard == ADMINS:
        return 200 if caller == ADMIN else 403
    if route.is_write and caller == VIEWER:
        return 403
    return 404 if route.names_object and caller == FOREIGN else 200


def render() -> str:
    """The page as Markdown."""
    flask = Flask(__name__, static_folder=None)
    api.register(flask, None)  # type: ignore[arg-type]  # routes are only looked at
    at: dict[Route, set[str]] = {}
    for route in routes(flask).values():
        face = face_of(route.path)
        bare = Route(route.operation, route.method, route.path.removeprefix(face), route.guard, route.names_object)
        if route.method != "HEAD":
            at.setdefault(bare, set()).add(face)
    faces = {route: "A" if AZURE_PREFIX in where else "" for route, where in at.items() if where & set(FACES)}
    managed = {route: "" for route, where in at.items() if MANAGEMENT in where}
    others = {route: "" for route, where in at.items() if where == {""}}
    elsewhere = "".join(f"| {operation} | {field} | {code} |\n" for operation, field, code in ELSEWHERE)
    parts = [HEAD, FACE, _table(faces), ELSEWHERE_HEAD, "| operation | id | status |\n|---|---|---|\n", elsewhere]
    parts += [MANAGED, _table(managed, prefix=MANAGEMENT)]
    return "".join([*parts, OTHERS, _table(others)])


def face_of(path: str) -> str:
    """The prefix of a path, the longest that fits; empty for health."""
    fitting = [prefix for prefix in (*FACES, MANAGEMENT) if path.startswith(f"{prefix}/")]
    return max(fitting, key=len, default="")


def _table(marks: Mapping[Route, str], *, prefix: str = "") -> str:
    lines = [f"| operation | route | {' | '.join(CALLERS)} |\n", f"|---|---|{'---|' * len(CALLERS)}\n"]
    for route, mark in sorted(marks.items(), key=lambda one: (one[0].operation, one[0].path, one[0].method)):
        name = f"`{route.method} {prefix}{route.path}` {mark}".strip()
        codes = " | ".join(str(status(route, caller)) for caller in CALLERS)
        lines.append(f"| {route.operation} | {name} | {codes} |\n")
    return "".join(lines)


def _path(rule: Rule) -> str:
    return "".join(f"{{{part}}}" if is_dynamic else part for is_dynamic, part in rule._trace).lstrip("|")


def _guard(flask: Flask, rule: Rule) -> str:
    names = rule.endpoint.split(".")
    parents = [".".join(names[:count]) for count in range(1, len(names))]
    hooks = [hook for parent in parents for hook in flask.before_request_funcs.get(parent, [])]
    if require_admin in hooks:
        return ADMINS
    return KEY if require_key in hooks else OPEN
