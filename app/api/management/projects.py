"""Projects: their name is their id."""

from typing import Any

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.asking import actor, body, changes, query, seconds
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ChangeProject, CreateProject, ListProjects
from app.services.access import projects
from app.services.access.projects import Project

blueprint = Blueprint("projects", __name__)


@blueprint.get("/projects")
@operation("project_list")
def list_() -> Response:
    """Projects by name."""
    asked = query(ListProjects)
    page = projects.list_(gateway(), **asked)
    return list_answer([_wire(project) for project in page.items], has_more=page.has_more)


@blueprint.post("/projects")
@operation("project_create")
def create() -> Response:
    """Make a project."""
    return answer(_wire(projects.create(gateway(), **body(CreateProject), actor=actor())))


@blueprint.get("/projects/<object:name>")
@operation("project_retrieve")
def retrieve(name: str) -> Response:
    """A project, archived ones too."""
    return answer(_wire(projects.retrieve(gateway(), name)))


@blueprint.put("/projects/<object:name>")
@operation("project_change")
def change(name: str) -> Response:
    """Set the fields that are sent; `archived: false` takes it out of the archive."""
    g.object_id = name
    return answer(_wire(projects.change(gateway(), name, changes(ChangeProject), actor=actor())))


@blueprint.delete("/projects/<object:name>")
@operation("project_archive")
def archive(name: str) -> Response:
    """Archive a project: its keys are refused, what runs goes on, nothing is forgotten."""
    g.object_id = name
    return answer(_wire(projects.archive(gateway(), name, actor=actor())))


def _wire(project: Project) -> dict[str, Any]:
    return {
        "id": project.name,
        "object": "project",
        "name": project.name,
        "description": project.description,
        "default_provider": project.default_provider,
        "limits": dict(project.limits),
        "is_active": project.archived_at is None,
        "created_at": seconds(project.created_at),
        "archived_at": seconds(project.archived_at),
    }
