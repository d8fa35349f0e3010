"""How the gateway itself runs: events for the operator, limits, periodic work, workers."""

from sqlalchemy import JSON, Column, Index, String, Table, UniqueConstraint

from app.data.tables.meta import IDS_NEVER_REUSED, BigInt, identity, instant, metadata, number, one_of, reference

LIMITED = ("project", "key", "account")
STORE_STATES = ("open", "fenced", "moved")

events = Table(
    "events",
    metadata,
    identity(),
    instant("created_at", required=True),
    Column("request_id", String(64), nullable=False),
    reference("project_id", "projects", required=False),
    reference("key_id", "virtual_keys", required=False),
    Column("source", String(16), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("object_id", String(64)),
    Column("outcome", String(16), nullable=False),
    number("status_code", None),
    Column("detail", JSON(none_as_null=True)),
    number("latency_ms", None),
    Column("actor", String(128)),
    Column("address", String(64)),
    **IDS_NEVER_REUSED,
    comment="Writes, refusals to a known caller and admin acts; never edited.",
)
# Lists are ordered by id, newest first; each filter has an index of its own.
Index("ix_events_project_id_id", events.c.project_id, events.c.id)
Index("ix_events_operation_id", events.c.operation, events.c.id)
Index("ix_events_outcome_id", events.c.outcome, events.c.id)
Index("ix_events_object_id_id", events.c.object_id, events.c.id)
Index("ix_events_request_id", events.c.request_id)

limit_counters = Table(
    "limit_counters",
    metadata,
    identity(),
    Column("owner", String(16), nullable=False),
    Column("owner_id", BigInt, nullable=False),
    Column("name", String(32), nullable=False),
    number("value"),
    Column("windows", JSON(none_as_null=True)),
    UniqueConstraint("owner", "owner_id", "name"),
    one_of("owner", LIMITED),
    **IDS_NEVER_REUSED,
    comment="What limits count: a sum (`value`), or how much in each slice of a sliding window (`windows`).",
)

periodic_leases = Table(
    "periodic_leases",
    metadata,
    identity(),
    Column("name", String(64), nullable=False, unique=True),
    Column("worker", String(64)),
    instant("lease_until"),
    instant("ran_at"),
    **IDS_NEVER_REUSED,
    comment="Periodic work: whoever gets the lease does it, once for any number of processes.",
)

workers = Table(
    "workers",
    metadata,
    identity(),
    Column("name", String(64), nullable=False, unique=True),
    Column("host", String(255), nullable=False),
    number("pid"),
    instant("started_at", required=True),
    instant("seen_at", required=True),
    instant("lease_until"),
    Column("fault", String(512)),
    **IDS_NEVER_REUSED,
    comment="Worker processes and when each was last seen.",
)

store_state = Table(
    "store_state",
    metadata,
    identity(),
    Column("state", String(16), nullable=False),
    Column("reason", String(512), nullable=False),
    instant("changed_at", required=True),
    one_of("state", STORE_STATES),
    **IDS_NEVER_REUSED,
    comment="One row at most: whether processes may use this store. A copy is fenced until an operator takes it over.",
)
