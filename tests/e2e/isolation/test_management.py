"""The management API, as every kind of caller: admins manage, others are told nothing, not even what there is."""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.isolation.callers import ALPHA, Callers, public_id
from tests.e2e.isolation.test_walk import VARIES, World, everything_in, kinds
from tests.e2e.isolation.world import canary
from tests.support.web import application
from tools.docs import access as document
from tools.docs.access import ADMIN, Route

SECRETS = ("sk-of-the-operator", "secret_hmac", "sealed")
Sent = dict[str, Any]


@pytest.fixture
def flask(gateway: Gateway) -> Flask:
    return application(gateway)


def managed(flask: Flask) -> list[Route]:
    found = [route for route in document.routes(flask).values() if route.guard == document.ADMINS]
    assert len(found) > 20
    return found


def fresh(gateway: Gateway) -> dict[str, str]:
    """A project, a key of it and an account, to be changed and ended."""
    project = f"fresh-{token_hex(4)}"
    key = keys.create(gateway, project=project, name="fresh").key
    return {"name": project, "project": project, "key_id": public_id(key), "provider": "openai"}


def sent(route: Route, names: Mapping[str, str]) -> Sent:
    """What an admin sends, all right. A route that is new has to be entered here."""
    project, model = names["project"], token_hex(4)
    budget = {"project": project, "period": "day"}
    found: dict[str, Sent] = {
        "project_create": {"json": {"name": f"new-{model}"}},
        "project_change": {"json": {"description": "d"}},
        "key_create": {"json": {"name": "new", "project": project}},
        "key_update": {"json": {"description": "d"}},
        "account_change": {"json": {"weight": 2}},
        "off_peak_set": {"json": {"windows": []}},
        "price_set": {"json": {"provider": "local", "model": model, "input": "1", "output": "2"}},
        "budget_set": {"json": {**budget, "max_limit": "10"}},
        "budget_remove": {"query_string": budget},
        "pause_end": {"query_string": {"account": "local/env"}},
    }
    plain = {"project_archive", "project_list", "project_retrieve", "key_list", "key_retrieve", "key_rotate"}
    plain |= {
        "project_cancel_batches",
        "off_peak_list",
        "key_expire",
        "key_revoke",
        "account_list",
        "pause_list",
        "price_list",
        "budget_list",
        "usage_list",
        "event_list",
    }
    assert route.operation in plain | set(found), "a new route: say what is sent to it"
    return found.get(route.operation, {})


def ask(flask: Flask, route: Route, names: Mapping[str, str], headers: Mapping[str, str]) -> TestResponse:
    path = route.path.format(**{**names, **({"name": "env"} if "{provider}" in route.path else {})})
    return flask.test_client().open(path, method=route.method, headers=dict(headers), **sent(route, names))


def test_every_route_answers_each_kind_of_caller_as_the_page_says(
    gateway: Gateway, flask: Flask, callers: Callers
) -> None:
    wrong = []
    for route in managed(flask):
        for caller, turn in kinds(callers, route):
            names = fresh(gateway) if caller == ADMIN else {"name": ALPHA, "project": ALPHA, "provider": "openai"}
            names.setdefault("key_id", public_id(callers.headers["member"][0]["Authorization"].split()[1]))
            if route.operation == "budget_remove" and caller == ADMIN:
                [put] = [one for one in managed(flask) if one.operation == "budget_set"]
                assert ask(flask, put, names, callers.headers[ADMIN][0]).status_code == 200
            answer = ask(flask, route, names, callers.headers[caller][turn])
            if answer.status_code != document.status(route, caller):
                wrong.append((route.method, route.path, caller, turn, answer.status_code, answer.text))
            told = everything_in(answer)
            assert [word for word in SECRETS if word in told] == []
            if caller != ADMIN:
                assert canary("alpha") not in told.replace(ALPHA, "<sent>" if "{name}" in route.path else ALPHA)
    assert wrong == []


def test_who_is_no_admin_cannot_tell_what_there_is(gateway: Gateway, flask: Flask, callers: Callers) -> None:
    there = fresh(gateway)
    never = {**there, "name": "no-such-project", "project": "no-such-project", "key_id": "0" * 16}
    for route in managed(flask):
        for caller in (kind for kind in document.CALLERS if kind != ADMIN):
            answers = [ask(flask, route, names, callers.headers[caller][0]) for names in (there, never)]
            told = [VARIES.sub("", everything_in(answer)) for answer in answers]
            assert told[0] == told[1], route


def test_a_key_learns_of_its_own_limits_only(flask: Flask, callers: Callers, sparse: World) -> None:
    alpha, _ = sparse
    for headers in callers.headers["another project's"]:
        answer = flask.test_client().get("/api/governance/virtual-keys/quota", headers=headers)
        assert answer.status_code == 200
        assert [word for word in (alpha.canary, *alpha.ids) if word in everything_in(answer)] == []
