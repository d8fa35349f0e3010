"""The description of the API: as OpenAPI at `/openapi.json`, and to read at `/docs`.

They need no key: they say nothing that is not in the source. The page is Swagger UI, whose files an installed package
has; nothing is loaded from another host.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, current_app, request
from werkzeug.http import quote_etag

from app.api.operation import operation
from app.errors import NotFoundError
from app.lib import json

PACKAGE = "flask_swagger_ui"
START = "start.js"
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    START: "text/javascript",
}
BUILT = "batchgate.openapi"
# Swagger UI styles elements from its script, which needs `unsafe-inline` for styles. Scripts come from here alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batchgate API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<noscript>This page needs JavaScript. The same is in <a href="openapi.json">openapi.json</a>.</noscript>
<main id="reference"></main>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
SCRIPT = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
"""

blueprint = Blueprint("reference", __name__)


@blueprint.get("/openapi.json")
@operation("openapi")
def openapi() -> Response:
    """This description of the API, as OpenAPI 3.1."""
    built: bytes | None = current_app.extensions.get(BUILT)
    if built is None:
        built = current_app.extensions[BUILT] = _build()
    return _tagged(built, "application/json")


@blueprint.get("/docs")
@operation("docs")
def page() -> Response:
    """The same as a page to read."""
    response = _tagged(PAGE, "text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blueprint.get("/docs/<string:asset>")
@operation("docs_asset")
def asset(asset: str) -> Response:
    """A file that the page loads."""
    if asset not in ASSETS:
        raise NotFoundError(f"There is no {asset!r:.100}; the page has {', '.join(sorted(ASSETS))}.")
    data = SCRIPT if asset == START else (_folder() / asset).read_bytes()
    return _tagged(data, ASSETS[asset])


def _tagged(data: bytes, mimetype: str) -> Response:
    """An answer that is sent again only if it has changed."""
    response = Response(data, mimetype=mimetype)
    response.headers["ETag"] = quote_etag(hashlib.sha256(data).hexdigest())
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response


def _build() -> bytes:
    # Imported here, so that neither a start nor a process that nobody asks pays for it.
    from app.api.reference.document import build

    return json.dumps(build(current_app))


def _folder() -> Path:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise RuntimeError(f"The package {PACKAGE} is not installed.")
    return Path(found.origin).parent / "dist"
