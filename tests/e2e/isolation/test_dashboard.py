"""Every page of the dashboard, as everybody: nothing of a project gets to who is signed in to another, or to nobody."""

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.isolation.callers import ALPHA, BETA
from tests.e2e.isolation.test_walk import leaks
from tests.e2e.isolation.world import Belongings, Names
from tests.support.browsing import Browser
from tests.support.web import application

pytestmark = pytest.mark.one_database

# What anybody may load: where one signs in, and what pages are made of.
OPEN = ("/ui/sign-in", "/ui/static/<version>/<name>")
REFUSED = (303, 401, 403)


def filled(rule: Rule, names: Names) -> str:
    found = {
        "batch_id": names.batch,
        "file_id": names.container_file if "container_id" in rule.arguments else names.file,
        "container_id": names.container,
        "upload_id": names.upload,
        "number": "1",
        "path": "nowhere",
        "version": "0",
        "name": "ui.css",
    }
    path = rule.rule
    for argument in rule.arguments:
        path = path.replace(f"<{argument}>", found.get(argument, "x"))
    return path


def test_every_page_shows_what_belongs_to_its_reader_alone(
    gateway: Gateway, sparse: tuple[Belongings, Belongings]
) -> None:
    alpha, _ = sparse
    flask = application(gateway)
    stranger, beta, admin = (
        Browser(flask, key)
        for key in ("", *(keys.create(gateway, project=BETA, name=role, role=role).key for role in ("member", "admin")))
    )
    viewer = Browser(flask, keys.create(gateway, project=ALPHA, name="viewer", role="viewer").key)
    rules = [rule for rule in flask.url_map.iter_rules() if rule.rule.startswith("/ui")]
    assert len(rules) > 10
    pages = [(rule, names) for rule in rules for names in (alpha.kept, alpha.native)]
    for rule, names in pages:
        path = filled(rule, names)
        if "GET" in (rule.methods or ()):
            answer = stranger.get(path)
            assert answer.status_code == (200 if rule.rule in OPEN else 303), path
            # An admin sees all projects, but one at a time: until alpha is chosen, its objects are nowhere.
            for browser in (beta, admin):
                answer = browser.get(path)
                shows_all = browser is admin and "<" not in rule.rule
                found = named(answer, alpha, names) if browser is admin else leaks(answer, alpha, names)
                assert shows_all or found == [], path
                assert answer.status_code in (200, 303, 400, 403, 404), path
        if "POST" in (rule.methods or ()):
            for browser in (stranger, beta):
                answer = browser.client.post(path)
                assert answer.status_code in REFUSED and leaks(answer, alpha, names) == [], path
            answer = beta.post(path, page="/ui/batches")
            assert answer.status_code in (303, 400, 401, 403, 404) and leaks(answer, alpha, names) == [], path
            if rule.endpoint.split(".")[1] not in ("session", "pages"):
                assert viewer.post(path).status_code == 403, path
            beta = beta if beta.get("/ui/batches").status_code == 200 else _again(gateway, flask)
    for names in (alpha.kept, alpha.native):
        assert alpha.client.get(f"/v1/batches/{names.batch}").json["status"] in ("validating", "in_progress")
        assert alpha.client.get(f"/v1/files/{names.file}").status_code == 200


def named(answer: TestResponse, secret: Belongings, sent: Names) -> list[str]:
    """As `leaks`, but for the name of the project, among which an admin may choose."""
    answer.set_data(answer.get_data().replace(ALPHA.encode(), b""))
    return leaks(answer, secret, sent)


def _again(gateway: Gateway, flask: object) -> Browser:
    """Signed in anew, after signing out."""
    return Browser(flask, keys.create(gateway, project=BETA, name="again").key)  # type: ignore[arg-type]
