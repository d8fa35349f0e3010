"""Credentials of AWS and what they sign: SigV4 by botocore, whose own chain finds and renews them where it is asked to.

A credential is JSON, `{"access_key_id", "secret_access_key", "session_token"?, "assume_role_arn"?, "external_id"?,
"api_key"?}`; or the word `default` for botocore's chain (environment, profile, role of the machine); or an API key of
Bedrock, which opens Bedrock but no bucket: buckets are opened by the chain then.
"""

import threading
from collections.abc import Mapping
from typing import Any

import botocore.credentials  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.auth import S3SigV4Auth, SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamServerError
from app.connectors.http.outgoing import Outgoing, Sign
from app.lib import json

DEFAULT = "default"
SESSION_NAME = "batchgate"
UNAUTHORIZED = 401
SECRET = ("api_key", "secret_access_key", "session_token", "external_id")
# Headers of a call that are signed; proxies may change others.
SIGNED = ("host", "content-type")
SIGNED_PREFIX = "x-amz-"
NOT_FOUND = (
    "No AWS credentials were found: give the account access_key_id and secret_access_key, or set up one of the sources "
    "of botocore (AWS_ACCESS_KEY_ID, a profile, the role of the machine). An API key of Bedrock opens no bucket."
)


class Keys:
    """The credentials of one account; safe to share between threads. `api_key` is Bedrock's own, if there is one.

    `secrets` are what must be in no text: the keys and tokens of now and before.
    """

    def __init__(self, credential: str, *, region: str) -> None:
        given = _parsed(credential)
        self.api_key = given.get("api_key", "")
        self.secrets = [given[name] for name in SECRET if name in given]
        self._given = given
        self._region = region
        self._lock = threading.Lock()
        self._found: Any = None

    def signer(self, service: str) -> Sign:
        """Signs calls to `service` (`s3`, `bedrock`).

        What it gives raises UpstreamError when there are no credentials: nothing of the call was sent then.
        """
        kind = _S3Auth if service == "s3" else _Auth

        def sign(outgoing: Outgoing) -> Mapping[str, str]:
            headers = {
                name: value
                for name, value in outgoing.headers.items()
                if name.lower() in SIGNED or name.lower().startswith(SIGNED_PREFIX)
            }
            request = AWSRequest(method=outgoing.method, url=outgoing.url, headers=headers)
            request.context["sha256"] = outgoing.sha256()
            kind(self._now(), service, self._region).add_auth(request)
            return {name: value for name, value in request.headers.items() if name not in headers}

        return sign

    def _now(self) -> Any:
        """The keys of now, which do not change while they are used."""
        try:
            with self._lock:
                if self._found is None:
                    self._found = self._find()
            if self._found is None:
                raise RefusedError(NOT_FOUND, status=UNAUTHORIZED, code="no_credentials", sent=False)
            keys = self._found.get_frozen_credentials()
        except ClientError as error:
            told = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            text = f"AWS gives no credentials: {told.get('Message', error)}"
            raise RefusedError(text, status=status, code=str(told.get("Code", "")), sent=False) from error
        except BotoCoreError as error:
            text = f"The AWS credentials could not be had: {error}"
            raise UpstreamServerError(text, code="no_credentials", sent=False) from error
        if keys.secret_key not in self.secrets:
            given = [value for name, value in self._given.items() if name in SECRET]
            renewed = [secret for secret in self.secrets if secret not in given]
            self.secrets[:] = [*given, *renewed[-2:], keys.secret_key, *([keys.token] if keys.token else [])]
        return keys

    def _find(self) -> Any:
        given = self._given
        session = botocore.session.Session()
        if "access_key_id" in given:
            session.set_credentials(given["access_key_id"], given["secret_access_key"], given.get("session_token"))
        if "assume_role_arn" not in given:
            return session.get_credentials()
        asked = {"RoleArn": given["assume_role_arn"], "RoleSessionName": SESSION_NAME}
        if "external_id" in given:
            asked["ExternalId"] = given["external_id"]
        client = session.create_client("sts", region_name=self._region)
        refresh = botocore.credentials.create_assume_role_refresher(client, asked)
        return botocore.credentials.DeferredRefreshableCredentials(method="sts-assume-role", refresh_using=refresh)


class _Auth(SigV4Auth):  # type: ignore[misc]
    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


class _S3Auth(S3SigV4Auth):  # type: ignore[misc]
    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


def _parsed(credential: str) -> dict[str, str]:
    if not credential.startswith("{"):
        return {} if credential in ("", DEFAULT) else {"api_key": credential}
    try:
        found = json.loads(credential)
    except json.JSONDecodeError:
        raise ConfigurationError(
            "The credential of an AWS account begins as a JSON object does, but is none."
        ) from None
    given = {name: value for name, value in found.items() if isinstance(value, str) and value}
    if ("access_key_id" in given) is not ("secret_access_key" in given):
        raise ConfigurationError("The credential of an AWS account needs both access_key_id and secret_access_key.")
    return given


def host_suffix(region: str) -> str:
    """What the names of AWS's hosts in a region end with."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
