"""The routes that the OpenAPI document describes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from app.api.anthropic import PREFIX as ANTHROPIC
from app.api.auth import require_admin, require_credential, require_key
from app.api.openai import AZURE_PREFIX, PREFIXES

FACES = (*PREFIXES.values(), AZURE_PREFIX)
# HEAD is answered as GET without the body, and OPTIONS lists methods; neither is described.
IMPLIED = frozenset({"HEAD", "OPTIONS"})
OPEN, KEY, ADMINS = "anybody", "any key", "admins"
PAGES = "/ui"  # pages for people, which answer to sessions


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a path without its prefix, the prefixes that it has (`faces`, if any), and who may call it."""

    method: str
    path: str
    faces: tuple[str, ...]
    view: Callable[..., Any]
    guard: str

    @property
    def name(self) -> str:
        """The name of the operation, which routes may share; on another vendor's face with that vendor's before it."""
        name = str(getattr(self.view, "request_type", "unknown"))
        return f"{ANTHROPIC.strip('/')}_{name}" if self.is_anthropic else name

    @property
    def is_anthropic(self) -> bool:
        """True on Anthropic's face, which has errors of its own."""
        return self.path.startswith(f"{ANTHROPIC}/")

    @property
    def names_providers(self) -> bool:
        """True on a face: a request may name a provider in several ways."""
        return bool(self.faces) or self.is_anthropic


def routes(flask: Flask) -> Iterator[Route]:
    """Each method of a path of the API once, whatever prefixes it has."""
    faces: dict[tuple[str, str], set[str]] = {}
    rules: dict[tuple[str, str], Rule] = {}
    for rule in flask.url_map.iter_rules():
        if rule.rule.startswith(PAGES):
            continue
        whole = "".join(f"{{{part}}}" if is_dynamic else part for is_dynamic, part in rule._trace).lstrip("|")
        face = max((prefix for prefix in FACES if whole.startswith(f"{prefix}/")), key=len, default="")
        for method in (rule.methods or set()) - IMPLIED:
            key = whole.removeprefix(face), method
            rules.setdefault(key, rule)
            faces.setdefault(key, set()).add(face)
    for (path, method), rule in sorted(rules.items(), key=lambda item: item[0]):
        yield Route(
            method=method,
            path=path,
            faces=tuple(face for face in FACES if face in faces[path, method]),
            view=flask.view_functions[rule.endpoint],
            guard=_guard(flask, rule),
        )


def _guard(flask: Flask, rule: Rule) -> str:
    names = rule.endpoint.split(".")
    parents = [".".join(names[:count]) for count in range(1, len(names))]
    hooks = {hook for parent in parents for hook in flask.before_request_funcs.get(parent, [])}
    if require_admin in hooks:
        return ADMINS
    return KEY if require_key in hooks or require_credential in hooks else OPEN
