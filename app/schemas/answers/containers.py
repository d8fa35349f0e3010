"""Containers and the files in them in answers."""

from marshmallow import Schema, fields

from app.schemas.answers.base import Answer, Page, deleted, extra, instant, kind, listed, mapping, number, one, text
from app.schemas.base import about

CONTAINER_ID, CONTAINER_FILE_ID = "cntr_0198f0c2a7d34c5b", "cfile_0198f0c2a7d34c5b"


class ContainerExpiresAfter(Answer):
    anchor = text("What the time runs from.", "last_active_at", words=("last_active_at",))
    minutes = number("Minutes without activity.", 20)


class Container(Answer):
    """A container."""

    id = text("The id.", CONTAINER_ID)
    object = kind("container")
    name = text("The name.", "analysis")
    created_at = instant("When the container was created.")
    status = text("Whether it can be used.", "running")
    expires_after = one(ContainerExpiresAfter, "When it expires.")
    last_active_at = instant("When it was last used.")
    memory_limit = text("Its memory.", "1g", null=True)
    network_policy = fields.Dict(
        allow_none=True, metadata=about("What it may reach; secrets are not shown.", {"type": "disabled"})
    )
    metadata = mapping("The pairs that it was created with.", fields.String(), {"team": "research"}, null=True)
    extra_fields = extra()


class ContainerList(Page):
    """A page of containers."""

    data = listed(Container, "The containers.")


ContainerDeleted: type[Schema] = Answer.from_dict(deleted("container.deleted"), name="ContainerDeleted")


class ContainerFile(Answer):
    """A file in a container."""

    id = text("The id.", CONTAINER_FILE_ID)
    object = kind("container.file")
    container_id = text("The container.", CONTAINER_ID)
    path = text("The path in the container.", "/mnt/data/notes.txt")
    bytes = number("The size, if it is known.", 120, null=True)
    created_at = instant("When the file was made.")
    source = text("`user` or `assistant`.", "user")
    extra_fields = extra()


class ContainerFileList(Page):
    """A page of files in a container."""

    data = listed(ContainerFile, "The files.")


ContainerFileDeleted: type[Schema] = Answer.from_dict(deleted("container.file.deleted"), name="ContainerFileDeleted")
