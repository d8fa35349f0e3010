"""Every route, as every kind of caller: the status is what docs/access.md says, and nothing of alpha gets out."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.isolation.asking import body, filled, fresh, never
from tests.e2e.isolation.callers import Callers
from tests.e2e.isolation.world import Belongings, Names
from tests.fakes.serving import ServedApp
from tests.support.web import application
from tools.docs import access as document
from tools.docs.access import FOREIGN, UNKNOWN, Route

World = tuple[Belongings, Belongings]
VARIES = re.compile(r"req_[0-9a-f]+|\"latency\":\d+")


class Walk:
    """Asks, and looks at each byte that comes back."""

    def __init__(self, flask: Flask, callers: Callers, secret: Belongings) -> None:
        self.client = flask.test_client()
        self.callers = callers
        self.secret = secret

    def ask(
        self, caller: str, route: Route, names: Names, *, word: str = "beta", turn: int = 0, **changes: Any
    ) -> TestResponse:
        """The answer to the `turn`th caller of the kind; fails when it tells an outsider of alpha."""
        headers = {**self.callers.headers[caller][turn], **changes.pop("headers", {})}
        request = {**body(route, names, word), **changes}
        path = filled(route, names)
        answer = self.client.open(path, method=route.method, headers=headers, **request)
        if caller in (*UNKNOWN, FOREIGN):
            assert leaks(answer, self.secret, names) == [], (caller, route, answer.text)
        return answer


def everything_in(answer: TestResponse) -> str:
    """Status, headers and body."""
    return f"{answer.status}\n{answer.headers}\n{answer.get_data().decode()}"


def leaks(answer: TestResponse, secret: Belongings, sent: Names) -> list[str]:
    """What the answer tells of `secret`; what the request named itself may be repeated."""
    told = everything_in(answer)
    for field in Names.__dataclass_fields__:
        told = told.replace(getattr(sent, field), "<sent>")
    return [word for word in (secret.canary, *secret.ids) if word in told]


def plain(answer: TestResponse, sent: Names) -> str:
    """The answer without the ids that were sent, the id of the request, and the time that it took."""
    told = everything_in(answer)
    for field in Names.__dataclass_fields__:
        told = told.replace(getattr(sent, field), f"<{field}>")
    return VARIES.sub("<varies>", told)


def routes(flask: Flask, guards: tuple[str, ...] = (document.OPEN, document.KEY)) -> list[Route]:
    found = [route for route in document.routes(flask).values() if route.guard in guards]
    assert len(found) > 100
    return found


def test_every_route_answers_each_kind_of_caller_as_the_page_says(
    gateway: Gateway, world: World, callers: Callers
) -> None:
    alpha, _ = world
    flask = application(gateway)
    walk = Walk(flask, callers, alpha)
    wrong = []
    for route in routes(flask):
        for caller, turn in kinds(callers, route):
            wanted = document.status(route, caller)
            is_used_up = wanted == 200 and route.names_object
            names = fresh(route, alpha) if is_used_up else alpha.kept
            answer = walk.ask(caller, route, names, word="beta" if caller == FOREIGN else "alpha", turn=turn)
            if answer.status_code != wanted:
                wrong.append((route.method, route.path, caller, turn, wanted, answer.status_code, answer.text))
    assert wrong == []


def kinds(callers: Callers, route: Route) -> Iterator[tuple[str, int]]:
    """Who is to ask: keys of all kinds under every prefix, tokens of all kinds under one."""
    for caller in document.CALLERS:
        for turn in range(len(callers.headers[caller])):
            if turn == 0 or route.path.startswith(("/v1/", "/api/")):
                yield caller, turn


def test_an_object_of_another_project_is_answered_as_one_that_never_was(
    gateway: Gateway, world: World, callers: Callers, server: ServedApp
) -> None:
    alpha, beta = world
    flask = application(gateway)
    walk = Walk(flask, callers, alpha)
    server.forget()
    for route in routes(flask, (document.KEY,)):
        if not route.names_object:
            continue
        # The views are the same under every prefix: all of them are named under one.
        own = mixed(alpha, beta) if "{container_id}/files/{file_id}" in route.path else []
        more = [alpha.native, alpha.outside, *own] if route.path.startswith("/v1/") else []
        for names in (alpha.kept, *more):
            answer = walk.ask(FOREIGN, route, names)
            stranger = never_like(names, beta)
            assert plain(answer, names) == plain(walk.ask(FOREIGN, route, stranger), stranger), route
            named = walk.ask(FOREIGN, route, names, headers={"x-model-provider": "openai"})
            known = walk.ask(FOREIGN, route, stranger, headers={"x-model-provider": "openai"})
            assert plain(named, names) == plain(known, stranger), route
    # In a container of beta's own the provider is asked for whatever is named; nothing of alpha's is in there.
    asked = [request.path for request in server.requests if beta.outside.container not in request.path]
    assert [path for path in asked if of(alpha, path)] == []
    assert still_there(alpha)


def mixed(alpha: Belongings, beta: Belongings) -> list[Names]:
    """A container of beta's own, here and at the provider, with a file of alpha's."""
    return [
        replace(mine, container_file=theirs.container_file)
        for mine, theirs in ((beta.kept, alpha.kept), (beta.native, alpha.native), (beta.native, alpha.outside))
    ]


def never_like(names: Names, beta: Belongings) -> Names:
    """As `names`, but with ids that never were in place of alpha's."""
    found = never(names)
    own = {field: getattr(names, field) for field in Names.__dataclass_fields__ if getattr(names, field) in beta.ids}
    return replace(found, **own)


def of(owner: Belongings, path: str) -> bool:
    """True when a path at the provider names something of the project's."""
    return any(name in path for name in vars(owner.outside).values())


def still_there(owner: Belongings) -> bool:
    """Everything that could be named can still be read by whom it belongs to."""
    for names in (owner.kept, owner.native):
        for path in (
            f"/files/{names.file}/content",
            f"/batches/{names.batch}",
            f"/containers/{names.container}/files/{names.container_file}/content",
        ):
            assert owner.client.get(f"/v1{path}").status_code == 200, path
        done = owner.client.post(f"/v1/uploads/{names.upload}/complete", json={"part_ids": [names.part]})
        assert done.status_code == 200, done.text
    return True


def test_what_another_project_lists_is_its_own(sparse: World, beta: KeyClient) -> None:
    alpha, _ = sparse
    for path in ("/files", "/batches", "/containers", "/models"):
        for query in ({}, {"limit": 100}, {"order": "asc"}, {"provider": "openai"}, {"name": alpha.canary}):
            answer = beta.get(f"/v1{path}", query_string=query)
            assert leaks(answer, alpha, never(alpha.kept)) == [], (path, query)
            assert json.loads(answer.text)


def test_options_need_a_key_and_tell_the_methods_only(gateway: Gateway, sparse: World, beta: KeyClient) -> None:
    alpha, _ = sparse
    flask = application(gateway)
    for route in routes(flask, (document.KEY, document.ADMINS)):
        path = filled(route, alpha.kept, {"key_id": "k", "name": "n", "provider": "p"})
        assert flask.test_client().options(path).status_code == 401, path
        told = beta.options(path)
        assert (told.status_code, told.get_data()) == (200, b"") or told.status_code == 403, path
