"""Native objects that their provider said it does not have (`app.data.store.absence`)."""

from dataclasses import dataclass

from sqlalchemy import Connection, literal_column, select

from app.data.store import absence
from app.data.store.absence import CONTENT as CONTENT  # what callers of this module name parts with
from app.data.store.absence import LOOKS as LOOKS
from app.data.store.absence import OBJECT as OBJECT
from app.data.store.absence import SETTLED_MS as SETTLED_MS
from app.data.store.database import now_ms
from app.data.tables import native_objects


@dataclass(frozen=True, slots=True)
class MissingObject:
    """A live object that its provider said it does not have; `part` is what was asked for."""

    id: int
    account_id: int
    native_id: str
    part: str


def miss(connection: Connection, object_id: int, *, part: str = OBJECT) -> bool:
    """Count a look that did not find an object, or its content. True when that is enough to believe it."""
    return absence.miss(connection, native_objects, object_id, part=part)


def found(connection: Connection, object_id: int, *, part: str) -> None:
    """Forget the looks that did not find an object. Who has seen the object has not seen its content."""
    absence.found(connection, native_objects, object_id, part=part)


def rest(connection: Connection, object_id: int) -> None:
    """Look for an object only when a caller asks."""
    absence.rest(connection, native_objects, object_id)


def put_off(connection: Connection, object_id: int) -> None:
    """Look for an object again after a while."""
    absence.rest(connection, native_objects, object_id, for_ms=absence.APART_MS)


def due(connection: Connection, *, limit: int) -> list[MissingObject]:
    """At most `limit` live objects that are missing and due for another look."""
    columns = (
        native_objects.c.id,
        native_objects.c.account_id,
        native_objects.c.native_id,
        native_objects.c.missing_part,
    )
    # Spelled out, so that every plan may use the index of these.
    is_due = (native_objects.c.state == literal_column("'live'"), native_objects.c.look_at <= now_ms())
    statement = select(*columns).where(*is_due).order_by(native_objects.c.look_at).limit(limit)
    return [MissingObject(*row) for row in connection.execute(statement)]


def is_settled(connection: Connection, object_id: int) -> bool:
    """True of an object that was made so long ago that its provider must know it."""
    is_old = native_objects.c.created_at <= now_ms() - SETTLED_MS
    statement = select(native_objects.c.id).where(native_objects.c.id == object_id, is_old)
    return connection.execute(statement).first() is not None
