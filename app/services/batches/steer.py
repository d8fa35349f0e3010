"""Steering a batch that is not over: paused and resumed, put first or last, held back, limited.

What a provider runs already, nobody here can hold: of such a batch, only jobs that were not submitted yet wait.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from app.data.batches import batches, jobs
from app.data.batches.batches import Batch, Steering
from app.engine.parts import JOBS, LINES
from app.errors import ConflictError, UnsupportedOperationError
from app.services.access import projects
from app.services.batches.batches import find
from app.services.batches.create import PROVIDER, begin, check_instants, window_ms
from app.services.each_due import each_due
from app.services.events import record
from app.services.gateway import Actor, Caller, Gateway

# Fields that hold lines back, which only works for those that no provider has yet.
HOLDING = frozenset({"concurrency", "not_before"})
SUBMITTED = "All of its jobs are at the provider already, which runs them to their end; cancel the batch to stop them."


def pause(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """Send nothing more of a batch until it is resumed; what is out comes to its end, and its window runs on.

    Raises NotFoundError, ConflictError (it is over, or ends), and UnsupportedOperationError when a provider runs it and
    has all of it.
    """

    def act(connection: Connection, batch: Batch) -> None:
        _require_holdable(connection, batch, "batch_pause")
        batches.pause(connection, batch.id)

    return _steered(gateway, caller, public_id, provider, act)


def resume(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """Go on with a batch. Raises NotFoundError, ConflictError."""
    return _steered(
        gateway, caller, public_id, provider, lambda connection, batch: batches.resume(connection, batch.id)
    )


def change(
    gateway: Gateway, caller: Caller, public_id: str, changes: dict[str, Any], *, provider: str | None = None
) -> Batch:
    """Change `priority`, `concurrency`, `finish_by` and `not_before`, as far as given. Raises as `pause`, and
    InvalidRequestError for instants that make no sense.
    """

    def act(connection: Connection, batch: Batch) -> None:
        if HOLDING & {name for name, value in changes.items() if value is not None}:
            _require_holdable(connection, batch, "batch_update")
        if changes:
            batches.steer(connection, batch.id, _all_changes(gateway, batch, changes))

    return _steered(gateway, caller, public_id, provider, act)


def cancel_all(gateway: Gateway, project: str, *, actor: Actor) -> int:
    """Cancel all batches of a project that run; returns how many. Raises NotFoundError."""
    project_id = projects.find_id(gateway, project)

    def act(found: tuple[int, str, int | None]) -> bool:
        batch_id, public_id, key_id = found

        def unit(connection: Connection) -> bool:
            if not batches.cancel(connection, batch_id):
                return False
            jobs.drop_unmade(connection, batch_id)
            jobs.hurry(connection, batch_id)
            record.record_act(
                connection,
                operation="batch_cancel",
                object_id=public_id,
                actor=actor,
                project_id=project_id,
                key_id=key_id,
            )
            return True

        return gateway.database.run(unit)

    cancelled = each_due(
        gateway, lambda connection, limit: batches.cancellable(connection, project_id, limit=limit), act
    )
    if cancelled:
        gateway.hints.send(JOBS)
    return cancelled


def _all_changes(gateway: Gateway, batch: Batch, changes: dict[str, Any]) -> Steering:
    found: Steering = {**changes}  # type: ignore[typeddict-item]
    if "not_before" in changes:
        begins = begin(gateway, batch.account_id, batch.model, changes["not_before"])
        found["not_before"], found["off_peak_until"] = begins.not_before, begins.off_peak_until
    if "finish_by" in changes or "not_before" in changes:
        finish_by = changes.get("finish_by", batch.finish_by)
        not_before = found.get("not_before", batch.not_before)
        check_instants(gateway, finish_by=finish_by, not_before=not_before)
        first = max(batch.created_at, not_before or 0)
        found["expires_at"] = finish_by or first + window_ms(batch.completion_window)
    return found


def _steered(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    provider: str | None,
    act: Callable[[Connection, Batch], None],
) -> Batch:
    def unit(connection: Connection) -> Batch:
        batch = find(connection, caller, public_id, provider)
        if not batches.lock(connection, batch.id):
            status = find(connection, caller, public_id, provider).status
            allowed = " or ".join(batches.CANCELLABLE)
            raise ConflictError(f"Batch {public_id} is {status}; only one that is {allowed} can be steered.")
        act(connection, batch)
        jobs.hurry_unmade(connection, batch.id)
        return find(connection, caller, public_id, provider)

    batch = gateway.database.run(unit)
    gateway.hints.send(JOBS if batch.execution == PROVIDER else LINES)
    return batch


def _require_holdable(connection: Connection, batch: Batch, operation: str) -> None:
    if batch.execution != PROVIDER or not batch.lines_total or jobs.has_unmade(connection, batch.id):
        return
    raise UnsupportedOperationError(batch.provider, operation, SUBMITTED)
