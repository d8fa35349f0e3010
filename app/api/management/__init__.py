"""The management API under `/api`: for admins, except for the quota route, which is for every key."""

from flask import Blueprint, Flask

from app.api.auth import require_admin, require_key
from app.api.management import accounts, budgets, events, keys, pauses, prices, projects, quota, usage

PREFIX = "/api"
FOR_ADMINS = (projects, keys, accounts, pauses, prices, budgets, usage, events)


def register(app: Flask) -> None:
    """Registers all routes, each behind its auth hook."""
    managed = Blueprint("management", __name__, url_prefix=PREFIX)
    managed.before_request(require_admin)
    for module in FOR_ADMINS:
        managed.register_blueprint(module.blueprint)
    app.register_blueprint(managed)
    own = Blueprint("own", __name__, url_prefix=PREFIX)
    own.before_request(require_key)
    own.register_blueprint(quota.blueprint)
    app.register_blueprint(own)
