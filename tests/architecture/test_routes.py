"""Every route of the contract is there, named, and behind the auth hook."""

import pytest
from flask.testing import FlaskClient

from app.services.access import keys
from app.services.gateway import Gateway
from tests.support.web import application

pytestmark = pytest.mark.one_database

OPEN = {
    **dict.fromkeys(("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{}"), 200),
    "/metrics": 404,  # which has no key, but a token, and is off without one
}
# What providers send has signatures instead of keys, and the answer is always the same.
SIGNED = "/webhooks/{}/{}"
EVERYWHERE = {
    "POST /files", "GET /files", "GET /files/{}", "DELETE /files/{}", "GET /files/{}/content", "HEAD /files/{}/content",
    "POST /uploads", "POST /uploads/{}/parts", "POST /uploads/{}/complete", "POST /uploads/{}/cancel",
    "POST /batches", "GET /batches", "GET /batches/{}", "DELETE /batches/{}", "POST /batches/{}/cancel",
    "POST /containers", "GET /containers", "GET /containers/{}", "DELETE /containers/{}",
    "POST /containers/{}/files", "GET /containers/{}/files", "GET /containers/{}/files/{}",
    "DELETE /containers/{}/files/{}", "GET /containers/{}/files/{}/content", "HEAD /containers/{}/files/{}/content",
}  # fmt: skip
NOT_AT_AZURE = {
    "GET /files/{}/estimate", "GET /batches/{}/results", "GET /batches/{}/lines", "POST /batches/{}/retry",
    "POST /batches/{}", "POST /batches/{}/pause", "POST /batches/{}/resume",
    "POST /batches/{}/clone",
    "GET /models", "POST /webhook_endpoints", "GET /webhook_endpoints", "GET /webhook_endpoints/{}",
    "POST /webhook_endpoints/{}", "DELETE /webhook_endpoints/{}", "POST /webhook_endpoints/{}/rotate_secret",
    "POST /webhook_endpoints/{}/test", "GET /webhook_event_types", "GET /webhook_deliveries",
    "GET /webhook_deliveries/{}", "POST /webhook_deliveries/{}/replay",
}  # fmt: skip
ANTHROPIC = {
    "POST /files", "GET /files", "GET /files/{}", "DELETE /files/{}", "GET /files/{}/content",
    "POST /messages/batches", "GET /messages/batches", "GET /messages/batches/{}", "DELETE /messages/batches/{}",
    "POST /messages/batches/{}/cancel", "GET /messages/batches/{}/results", "GET /models", "GET /models/{}",
}  # fmt: skip
MANAGEMENT = {
    "GET /projects", "POST /projects", "GET /projects/{}", "PUT /projects/{}", "DELETE /projects/{}",
    "POST /projects/{}/cancel_batches",
    "GET /governance/virtual-keys", "POST /governance/virtual-keys", "GET /governance/virtual-keys/{}",
    "PUT /governance/virtual-keys/{}", "DELETE /governance/virtual-keys/{}", "GET /governance/virtual-keys/quota",
    "POST /governance/virtual-keys/{}/rotate", "POST /governance/virtual-keys/{}/expire",
    "POST /governance/virtual-keys/{}/revoke", "GET /accounts", "PUT /accounts/{}/{}",
    "GET /accounts/{}/{}/off_peak", "PUT /accounts/{}/{}/off_peak", "GET /pauses", "DELETE /pauses",
    "GET /prices", "POST /prices",
    "GET /budgets", "PUT /budgets", "DELETE /budgets", "GET /usage", "GET /events",
}  # fmt: skip


def routes(gateway: Gateway) -> set[str]:
    """`METHOD /path/{}` of every rule of the API; pages of the dashboard answer to sessions, not to keys."""
    found = set()
    for rule in application(gateway).url_map.iter_rules():
        if rule.rule.startswith("/ui"):
            continue
        path = "".join("{}" if is_dynamic else part for is_dynamic, part in rule._trace).lstrip("|")
        found |= {f"{method} {path}" for method in (rule.methods or ()) if method != "OPTIONS"}
    return found


def test_the_routes_are_those_of_the_contract(gateway: Gateway) -> None:
    wanted = {f"GET {path}" for path in (*OPEN, "/keycheck")} | {f"POST {SIGNED}"}
    for prefix in ("/v1", "/openai/v1", "/openai"):
        wanted |= {line.replace(" ", f" {prefix}", 1) for line in EVERYWHERE | NOT_AT_AZURE}
    wanted |= {line.replace(" ", " /openai/openai", 1) for line in EVERYWHERE}
    wanted |= {line.replace(" ", " /anthropic/v1", 1) for line in ANTHROPIC}
    wanted |= {line.replace(" ", " /api", 1) for line in MANAGEMENT}
    have = routes(gateway)
    assert wanted - have == set()
    heads = {line.replace("GET", "HEAD", 1) for line in wanted if line.startswith("GET")}  # werkzeug adds them
    assert have - wanted - heads == set()


def test_no_route_answers_without_a_key(gateway: Gateway) -> None:
    client: FlaskClient = application(gateway).test_client()
    for route in sorted(routes(gateway)):
        method, path = route.split(" ", 1)
        answer = client.open(path.replace("{}", "start.js" if path.startswith("/docs") else "x"), method=method)
        wanted = OPEN | {SIGNED: 204}
        assert answer.status_code == wanted.get(path, 401), route


def test_every_view_names_its_operation(gateway: Gateway) -> None:
    views = application(gateway).view_functions
    assert [name for name, view in views.items() if not hasattr(view, "request_type")] == []


def test_management_is_for_admins_but_for_the_quota_of_a_key(gateway: Gateway) -> None:
    client: FlaskClient = application(gateway).test_client()
    issued = keys.create(gateway, project="alpha", name="member")
    for route in sorted(MANAGEMENT):
        method, path = route.split(" ", 1)
        headers = {"Authorization": f"Bearer {issued.key}"}
        answer = client.open(f"/api{path.replace('{}', 'x')}", method=method, headers=headers)
        assert answer.status_code == (200 if path.endswith("/quota") else 403), route
