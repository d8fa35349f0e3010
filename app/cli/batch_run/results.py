"""Writes the results of a batch next to its input."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.client.http import Gateway, read, segment
from app.cli.client.saving import whole_file
from app.cli.shared.refusal import Refused

OUTPUT_ENDING = ".output.jsonl"
ERRORS_ENDING = ".errors.jsonl"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths for responses and failed lines."""

    output: Path
    errors: Path


def places(file: Path | None, *, output: Path | None, batch_id: str | None) -> Places:
    """Returns the paths: `output`, or next to the input, or in the current folder. Raises Refused."""
    base = file.with_suffix("") if file and file.suffix == ".jsonl" else file or Path(batch_id or "batch")
    target = output or base.with_name(base.name + OUTPUT_ENDING)
    if output:
        name = output.name.removesuffix(".jsonl").removesuffix(".output")
        errors = output.with_name(name + ERRORS_ENDING)
    else:
        errors = base.with_name(base.name + ERRORS_ENDING)
    if file and file.resolve() in (target.resolve(), errors.resolve()):
        raise Refused(f"The results would overwrite the input {file}: give another --output.")
    if not os.access(target.parent, os.W_OK):
        raise Refused(f"{target.parent} is not a writable folder: give another --output.")
    return Places(output=target, errors=errors)


def fetch(gateway: Gateway, batch: dict[str, Any], *, places: Places) -> list[Path]:
    """Downloads the output and error files of the batch; returns their paths, output first.

    Deletes a file of an earlier run where this batch has none.
    """
    written = []
    for file_id, path in ((batch["output_file_id"], places.output), (batch["error_file_id"], places.errors)):
        if file_id:
            _write(gateway, file_id, path)
            written.append(path)
        else:
            path.unlink(missing_ok=True)
    return written


def _write(gateway: Gateway, file_id: str, path: Path) -> None:
    with whole_file(path, force=True) as target, gateway.open(f"/files/{segment(file_id)}/content") as response:
        target.writelines(read(response))
