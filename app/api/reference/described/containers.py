"""Containers and the files in them."""

from app.api.reference.described.declared import BYTES, MULTIPART, Body, Described
from app.schemas import containers as requests
from app.schemas.answers import containers

CONTAINERS, FILES = "Containers", "Container files"
OPERATIONS = {
    "container_create": Described(
        CONTAINERS,
        containers.Container,
        bodies=(Body(requests.CreateContainer),),
        refused=(400, 409, 413),
        stores_bytes=True,
    ),
    "container_list": Described(CONTAINERS, containers.ContainerList, refused=(400,)),
    "container_retrieve": Described(CONTAINERS, containers.Container, refused=(400,)),
    "container_delete": Described(CONTAINERS, containers.ContainerDeleted, refused=(400,)),
    "container_file_create": Described(
        FILES,
        containers.ContainerFile,
        bodies=(
            Body(
                requests.UploadContainerFile,
                MULTIPART,
                more={"file": {**BYTES, "description": "The file, with its name."}},
            ),
            Body(requests.CopyFile),
        ),
        refused=(400, 409, 413),
        stores_bytes=True,
    ),
    "container_file_list": Described(FILES, containers.ContainerFileList, refused=(400,)),
    "container_file_retrieve": Described(FILES, containers.ContainerFile, refused=(400,)),
    "container_file_content": Described(FILES, refused=(400,), is_content=True),
    "container_file_delete": Described(FILES, containers.ContainerFileDeleted, refused=(400,)),
}
