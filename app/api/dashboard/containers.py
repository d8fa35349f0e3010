"""Containers, and the files in them."""

from flask import Blueprint, Response, g, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.download import Content, content_response, streamed_response
from app.api.operation import operation
from app.services.containers import containers
from app.services.containers import files as container_files

PER_PAGE = 50
LIVE_MS = 15_000

blueprint = Blueprint("containers", __name__)


@blueprint.get("/containers")
@operation("ui_container_list")
def list_() -> Response:
    """The project's containers, newest first."""
    after = request.args.get("after", "").strip()
    page = containers.list_(gateway(), caller(), limit=PER_PAGE, descending=True, after=after or None)
    further = page.items[-1].public_id if page.has_more else None
    return pages.page("containers.html", rows=page.items, after=after, further=further, live_ms=LIVE_MS)


@blueprint.get("/containers/<container_id>")
@operation("ui_container")
def container(container_id: str) -> Response:
    """A container and its newest files. Looking at it counts as use, as on the API."""
    found = containers.retrieve(gateway(), caller(), container_id)
    rows, has_more = [], False
    if found.is_running:
        page = container_files.list_(gateway(), found, limit=PER_PAGE, descending=True)
        rows, has_more = page.items, page.has_more
    return pages.page("container.html", container=found, rows=rows, has_more=has_more)


@blueprint.get("/containers/<container_id>/files/<file_id>/content")
@operation("container_file_content")
def content(container_id: str, file_id: str) -> Response:
    """The bytes of a file, to be saved."""
    found = containers.retrieve_running(gateway(), caller(), container_id)
    stored = container_files.content(gateway(), found, file_id)
    g.object_id = stored.file.public_id
    shown = Content(stored.key or "", stored.file.bytes, stored.sha256, stored.file.path.rpartition("/")[2])
    if stored.open is not None:
        return streamed_response(shown, stored.open)
    return content_response(gateway(), shown)


@blueprint.post("/containers/<container_id>/delete")
@operation("container_delete")
def delete(container_id: str) -> Response:
    """Deletes a container and the files in it."""
    g.object_id = containers.delete(gateway(), caller(), container_id).public_id
    return pages.see("/ui/containers")
