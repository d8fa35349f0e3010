"""Keys and budgets: all of a project's for admins, one's own for others."""

from flask import Blueprint, Response, g, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.operation import operation
from app.errors import NotFoundError
from app.services.access import keys
from app.services.access.keys import KeyInfo
from app.services.limits import limits
from app.services.money import budgets, usage

PER_PAGE = 100

blueprint = Blueprint("governance", __name__)


@blueprint.get("/keys")
@operation("ui_keys")
def list_() -> Response:
    """The keys of the project that is shown and its budgets; who is no admin sees the own key."""
    session, holder = pages.signed_in(), caller()
    after = request.args.get("after", "").strip()
    if session.is_admin:
        if after:
            _of_project(after)
        found = keys.list_(gateway(), project=holder.project, after=after or None, limit=PER_PAGE + 1)
    else:
        found = [keys.retrieve(gateway(), holder.name or "")]
    listed = budgets.list_(gateway(), project=holder.project)
    return pages.page(
        "keys.html",
        keys=found[:PER_PAGE],
        further=found[PER_PAGE - 1].public_id if len(found) > PER_PAGE else None,
        budgets=[each for each in listed if session.is_admin or each.key in (None, holder.name)],
        used=limits.in_use(gateway(), holder),
        limits={"key": holder.limits, "project": holder.project_limits},
        usage=usage.of_key(gateway(), holder.key_id, project_id=holder.project_id),
        issued=None,
    )


@blueprint.post("/keys")
@operation("ui_key_issue")
def create() -> Response:
    """Issues a key in the project that is shown; this page alone shows it."""
    actor, form = pages.signed_in().actor(), request.form
    issued = keys.create(
        gateway(),
        project=caller().project,
        name=form.get("name", ""),
        role=form.get("role", "member"),
        actor=actor,
    )
    g.object_id = issued.public_id
    return pages.page("issued.html", issued=issued)


@blueprint.post("/keys/<key_id>/rotate")
@operation("ui_key_rotate")
def rotate(key_id: str) -> Response:
    """Gives a key a new secret, which this page alone shows."""
    actor = pages.signed_in().actor()
    g.object_id = _of_project(key_id).public_id
    return pages.page("issued.html", issued=keys.rotate(gateway(), key_id, actor=actor))


@blueprint.post("/keys/<key_id>/revoke")
@operation("key_revoke")
def revoke(key_id: str) -> Response:
    """Ends a key for good; its running batches go on."""
    actor = pages.signed_in().actor()
    g.object_id = _of_project(key_id).public_id
    keys.revoke(gateway(), key_id, actor=actor)
    return pages.see("/ui/keys")


def _of_project(key_id: str) -> KeyInfo:
    """A key of the project that is shown. Raises NotFoundError."""
    found = keys.retrieve(gateway(), key_id)
    if found.project != caller().project:
        raise NotFoundError(f"There is no key {key_id!r:.80} in this project.")
    return found
