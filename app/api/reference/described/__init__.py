"""What is said of each operation, by its name: a module for each kind of object."""

from app.api.reference.described import anthropic, batches, containers, files, health, management, webhooks
from app.api.reference.described.declared import Described

BY_NAME: dict[str, Described] = {
    **files.OPERATIONS,
    **batches.OPERATIONS,
    **containers.OPERATIONS,
    **webhooks.OPERATIONS,
    **anthropic.OPERATIONS,
    **management.OPERATIONS,
    **health.OPERATIONS,
}
