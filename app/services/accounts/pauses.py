"""Pauses of accounts as operators see and end them; workers make them (services/running/capacity.py)."""

from app.data.access import accounts
from app.data.batches import pauses
from app.data.batches.pauses import ShownPause as ShownPause  # what callers of this module get
from app.errors import NotFoundError
from app.services.events import record
from app.services.gateway import Actor, Gateway

MAX_SHOWN = 10_000


def list_(gateway: Gateway, *, limit: int = MAX_SHOWN, after: int = 0) -> list[ShownPause]:
    """Returns pauses by id, those after the id `after`."""
    with gateway.database.read() as connection:
        return pauses.list_all(connection, limit=limit, after=after)


def end(gateway: Gateway, *, provider: str, name: str, model: str | None = None, actor: Actor = record.OPERATOR) -> int:
    """Ends all pauses of an account, or those of one of its models; returns how many. Raises NotFoundError.

    Workers send again within seconds.
    """
    is_possible = provider.isprintable() and name.isprintable()  # PostgreSQL raises an error on NUL in text
    with gateway.database.write() as connection:
        if not is_possible or accounts.find(connection, provider=provider, name=name) is None:
            raise NotFoundError(f"Provider {provider!r:.80} has no account {name!r:.80}.")
        ended = [
            pause
            for pause in pauses.list_all(connection, limit=MAX_SHOWN)
            if (pause.provider, pause.account) == (provider, name) and model in (None, pause.model)
        ]
        pauses.clear(connection, [pause.id for pause in ended])
        for pause in ended:
            record.record_act(
                connection, operation="pause_end", object_id=str(pause.id), detail=_detail(pause), actor=actor
            )
    return len(ended)


def _detail(pause: ShownPause) -> dict[str, str | None]:
    account = f"{pause.provider}/{pause.account}"
    return {"account": account, "model": pause.model or None, "project": pause.project, "kind": pause.kind}
