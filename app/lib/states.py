"""States that several layers name: of batches, and of lines."""

from typing import Final

BATCH_STATUSES: Final = (
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
)
# A batch, and a job at its provider, never leaves these.
TERMINAL: Final = ("failed", "completed", "expired", "cancelled")
LINE_STATES: Final = ("pending", "completed", "failed", "expired", "cancelled")
