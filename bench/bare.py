"""The baseline of `bench.http`: bare Flask routes with one SQLAlchemy Core read each, on the file BENCH_DATABASE."""

import os
from typing import Any

from flask import Flask
from sqlalchemy import bindparam, create_engine, select

from app.data.tables import files

COLUMNS = (
    files.c.public_id,
    files.c.bytes,
    files.c.created_at,
    files.c.filename,
    files.c.purpose,
    files.c.status,
    files.c.status_details,
    files.c.expires_at,
)
ONE = select(*COLUMNS).where(files.c.public_id == bindparam("public_id"))
PAGE = select(*COLUMNS).order_by(files.c.created_at.desc(), files.c.id.desc()).limit(bindparam("limit"))

engine = create_engine(f"sqlite:///{os.environ['BENCH_DATABASE']}", pool_size=64)
app = Flask(__name__)


@app.get("/healthz")
def health() -> dict[str, Any]:
    """Answer the readiness check."""
    return {}


@app.get("/v1/files/<file_id>")
def retrieve(file_id: str) -> dict[str, Any]:
    """Return one row."""
    with engine.connect() as connection:
        return dict(connection.execute(ONE, {"public_id": file_id}).one()._mapping)


@app.get("/v1/files")
def page() -> dict[str, Any]:
    """Return a page of 100 rows."""
    with engine.connect() as connection:
        rows = connection.execute(PAGE, {"limit": 100}).all()
    return {"object": "list", "data": [dict(row._mapping) for row in rows]}
