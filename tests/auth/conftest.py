"""A gateway that trusts three issuers: public keys in a file, an issuer of admins, and a shared secret."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.services.access import keys
from app.services.gateway import Gateway
from tests.auth import tokens
from tests.support.web import application


@pytest.fixture
def jwks_file(tmp_path: Path) -> Path:
    """The public keys `first` (RSA) and `curve` (EC) of the issuers."""
    path = tmp_path / "jwks.json"
    path.write_bytes(tokens.document(tokens.jwk("first"), tokens.jwk("curve", algorithm="ES256")))
    return path


@pytest.fixture
def issuers(jwks_file: Path) -> list[dict[str, Any]]:
    """What the operator configures."""
    public = {"algorithms": ["RS256", "ES256"], "audience": tokens.AUDIENCE, "jwks_file": str(jwks_file)}
    users = {"kind": "virtual_key", "claims": {"project": "team", "subject": "sub"}}
    return [
        {"issuer": tokens.ISSUER, **users, **public, "leeway_s": 5},
        {"issuer": tokens.ADMIN_ISSUER, "kind": "admin", **public},
        {
            **users,
            "issuer": tokens.SHARED_ISSUER,
            "algorithms": ["HS256"],
            "audience": [tokens.AUDIENCE],
            "secret": tokens.SECRET,
            "claims": {**users["claims"], "role": "role"},  # type: ignore[dict-item]
        },
    ]


@pytest.fixture
def environment(environment: dict[str, str], issuers: list[dict[str, Any]]) -> dict[str, str]:
    """`environment` with the issuers."""
    return {**environment, "BATCHGATE_JWT_ISSUERS": json.dumps(issuers)}


@pytest.fixture
def anyone(gateway: Gateway) -> FlaskClient:
    """A client without a credential. There is a project alpha."""
    keys.create(gateway, project="alpha", name="first")
    return application(gateway).test_client()


def bearer(credential: str, **more: str) -> dict[str, str]:
    """The headers of a request."""
    return {"Authorization": f"Bearer {credential}", **more}


def upload_form(content: bytes) -> dict[str, Any]:
    """The form of an upload of a batch input."""
    return {"purpose": "batch", "file": (io.BytesIO(content), "in.jsonl")}
