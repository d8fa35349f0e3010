"""The API's description of itself. Made when it is first asked for."""

from app.api.reference.pages import blueprint as blueprint
