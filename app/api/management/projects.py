"""Routes of projects. The name of a project is its id."""

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.request import actor, body, changes, query
from app.api.management.wire import project_wire
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ChangeProject, CreateProject, ListProjects
from app.services.access import projects
from app.services.batches import steer

blueprint = Blueprint("projects", __name__)

PROJECT = "/projects/<object('cancel_batches'):name>"


@blueprint.get("/projects")
@operation("project_list", ListProjects)
def list_() -> Response:
    """Projects by name."""
    page = projects.list_(gateway(), **query(ListProjects))
    return list_answer([project_wire(project) for project in page.items], has_more=page.has_more)


@blueprint.post("/projects")
@operation("project_create")
def create() -> Response:
    """Create a project."""
    return answer(project_wire(projects.create(gateway(), **body(CreateProject), actor=actor())))


@blueprint.get(PROJECT)
@operation("project_retrieve")
def retrieve(name: str) -> Response:
    """A project, archived or not."""
    return answer(project_wire(projects.retrieve(gateway(), name)))


@blueprint.put(PROJECT)
@operation("project_change")
def change(name: str) -> Response:
    """Change the given fields; `archived: false` restores an archived project."""
    g.object_id = name
    return answer(project_wire(projects.change(gateway(), name, changes(ChangeProject), actor=actor())))


@blueprint.delete(PROJECT)
@operation("project_archive")
def archive(name: str) -> Response:
    """Archive a project: its keys are rejected, running batches continue, nothing is deleted."""
    g.object_id = name
    return answer(project_wire(projects.archive(gateway(), name, actor=actor())))


@blueprint.post("/projects/<object:name>/cancel_batches")
@operation("project_cancel_batches")
def cancel_batches(name: str) -> Response:
    """Cancel all batches of a project that run; finished lines are kept."""
    g.object_id = name
    return answer({"id": name, "cancelled": steer.cancel_all(gateway(), name, actor=actor())})
