"""What an operator configures is checked when a process starts; no message shows a secret."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import app as batchgate
from app import logs
from app.auth.issuers import IssuerError, parsed
from app.settings import SettingsError, from_environment
from tests.auth import tokens

GOOD = {
    "issuer": tokens.ISSUER,
    "kind": "virtual_key",
    "algorithms": ["RS256"],
    "audience": tokens.AUDIENCE,
    "jwks_url": "https://login.example/keys",
}
SHARED = {"algorithms": "HS256", "secret": tokens.SECRET, "jwks_url": ...}


def entry(**more: Any) -> dict[str, Any]:
    """A good entry, changed; what is `...` is left out."""
    return {name: value for name, value in {**GOOD, **more}.items() if value is not ...}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"issuer": ...}, "issuer"),
        ({"issuer": ""}, "issuer"),
        ({"kind": "root"}, "kind"),
        ({"algorithms": ...}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["RS256", "HS256"]}, "HS256"),
        ({**SHARED, "algorithms": ["HS256", "RS256"]}, "RS256"),
        ({"audience": ...}, "audience"),
        ({"audience": []}, "audience"),
        ({"jwks_url": ...}, "exactly one"),
        ({"jwks_file": "/keys"}, "exactly one"),
        ({**SHARED, "secret": "short"}, "secret"),
        ({**SHARED, "secret": 7}, "exactly one"),
        ({"jwks_url": "http://login.example/keys"}, "https"),
        ({"jwks_url": "https://user:word@login.example/keys"}, "https"),
        ({"jwks_url": "http://127.0.0.1.example/keys"}, "https"),
        ({"jwks_url": "file:///etc/passwd"}, "https"),
        ({"jwks_url": "https://[::1"}, "https"),
        ({"leeway_s": -1}, "leeway_s"),
        ({"leeway_s": 3600}, "leeway_s"),
        ({"leeway_s": True}, "leeway_s"),
        ({"claims": {"team": "x"}}, "claims"),
        ({"claims": {"project": 7}}, "project"),
        ({"kind": "admin", "claims": {"project": "team"}}, "claims"),
        ({"algorithm": "RS256"}, "algorithm"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_is_refused(wrong: Mapping[str, Any], told: str) -> None:
    with pytest.raises(IssuerError, match=told) as refused:
        parsed(json.dumps([entry(**wrong)]))
    assert tokens.SECRET not in str(refused.value)


def test_two_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(IssuerError, match="same issuer and audience"):
        parsed(json.dumps([entry(), entry(kind="admin")]))
    assert len(parsed(json.dumps([entry(), entry(kind="admin", audience="admins")]))) == 2


def test_loopback_may_be_plain() -> None:
    assert parsed(json.dumps([entry(jwks_url="http://127.0.0.1:8081/keys")]))


def test_they_come_from_a_file_as_well(tmp_path: Path) -> None:
    path = tmp_path / "issuers.json"
    path.write_text(json.dumps([entry(**SHARED)]))
    gateway = batchgate.build_gateway(
        from_environment({"BATCHGATE_HOME": str(tmp_path), "BATCHGATE_JWT_ISSUERS": str(path)})
    )
    assert [issuer.issuer for issuer in gateway.jwt.issuers] == [tokens.ISSUER]


@pytest.mark.parametrize("text", ["[{", "{}", "/nowhere/issuers.json", f'{{"secret": "{tokens.SECRET}"}}', "[7]"])
def test_a_variable_that_cannot_be_used_is_told_without_what_it_holds(tmp_path: Path, text: str) -> None:
    settings = from_environment({"BATCHGATE_HOME": str(tmp_path), "BATCHGATE_JWT_ISSUERS": text})
    with pytest.raises(SettingsError, match="BATCHGATE_JWT_ISSUERS") as refused:
        batchgate.build_gateway(settings)
    assert tokens.SECRET not in str(refused.value)


def test_no_secret_reaches_settings_or_logs(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    variables = {
        "BATCHGATE_HOME": str(tmp_path),
        "BATCHGATE_LOG_LEVEL": "debug",
        "BATCHGATE_JWT_ISSUERS": json.dumps([entry(**SHARED)]),
    }
    settings = from_environment(variables)
    assert tokens.SECRET not in repr(settings)
    gateway = batchgate.build_gateway(settings)
    assert tokens.SECRET not in repr(gateway)
    token = tokens.signed()
    logs.get_logger().bind().info("said", secret=tokens.SECRET, settings=settings.jwt_issuers, token=token)
    written = capfdbinary.readouterr().err
    assert b"said" in written
    assert tokens.SECRET.encode() not in written
    assert token.split(".")[1].encode() not in written
    assert token.split(".")[2].encode() not in written
