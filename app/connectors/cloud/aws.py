"""Credentials of AWS, and signatures (SigV4) with them, by botocore, whose chain finds and renews them on request.

A credential is JSON, `{"access_key_id", "secret_access_key", "session_token"?, "assume_role_arn"?, "external_id"?,
"api_key"?}`; or the word `default` for botocore's chain (environment, profile, role of the machine); or an API key of
Bedrock, which opens Bedrock but no bucket; buckets are then opened by botocore's chain.
"""

import threading
from typing import Any

import botocore.credentials  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.auth import S3SigV4Auth, SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from requests import PreparedRequest
from requests.auth import AuthBase

from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamServerError
from app.connectors.contract.refusals import Kind
from app.connectors.http.auth import body_sha256
from app.lib import json

DEFAULT = "default"
SESSION_NAME = "batchgate"
UNAUTHORIZED = 401
SECRET = ("api_key", "secret_access_key", "session_token", "external_id")
# The headers that are signed; proxies may change others.
SIGNED = ("host", "content-type")
SIGNED_PREFIX = "x-amz-"
NOT_FOUND = (
    "No AWS credentials were found: give the account access_key_id and secret_access_key, or set up one of the sources "
    "of botocore (AWS_ACCESS_KEY_ID, a profile, the role of the machine). An API key of Bedrock opens no bucket."
)


class Keys:
    """The credentials of one account; safe to share between threads. `api_key` is Bedrock's own, or empty.

    `secrets` must appear in no text: current and previous keys and tokens. The list changes when keys are renewed.
    """

    def __init__(self, credential: str, *, region: str) -> None:
        given = _parsed(credential)
        self.api_key = given.get("api_key", "")
        self.secrets = [given[name] for name in SECRET if name in given]
        self._given = given
        self.region = region
        self._lock = threading.Lock()
        self._found: Any = None

    def current(self) -> Any:
        """The keys to sign with now, which do not change while they are used. Raises UpstreamError without any."""
        try:
            with self._lock:
                if self._found is None:
                    self._found = self._find()
            if self._found is None:
                refusal = Kind.CREDENTIAL
                raise RefusedError(NOT_FOUND, status=UNAUTHORIZED, code="no_credentials", kind=refusal, sent=False)
            keys = self._found.get_frozen_credentials()
        except ClientError as error:
            details = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            text = f"AWS refused to give credentials: {details.get('Message', error)}"
            raise RefusedError(text, status=status, code=str(details.get("Code", "")), sent=False) from error
        except BotoCoreError as error:
            text = f"The AWS credentials could not be loaded: {error}"
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
        role = {"RoleArn": given["assume_role_arn"], "RoleSessionName": SESSION_NAME}
        if "external_id" in given:
            role["ExternalId"] = given["external_id"]
        client = session.create_client("sts", region_name=self.region)
        refresh = botocore.credentials.create_assume_role_refresher(client, role)
        return botocore.credentials.DeferredRefreshableCredentials(method="sts-assume-role", refresh_using=refresh)


class SigV4(AuthBase):
    """Signs calls to `service` (`s3`, `bedrock`) in the region of `keys`; a streamed body is read for its hash."""

    def __init__(self, keys: Keys, service: str) -> None:
        self._keys = keys
        self._service = service

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        signed = {
            name: value
            for name, value in request.headers.items()
            if name.lower() in SIGNED or name.lower().startswith(SIGNED_PREFIX)
        }
        signing = AWSRequest(method=request.method, url=request.url, headers=signed)
        signing.context["sha256"] = body_sha256(request.body)
        kind = _S3Auth if self._service == "s3" else _Auth
        kind(self._keys.current(), self._service, self._keys.region).add_auth(signing)
        request.headers.update({name: value for name, value in signing.headers.items() if name not in signed})
        return request


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
        fields = json.loads(credential)
    except json.JSONDecodeError:
        raise ConfigurationError(
            "The credential of an AWS account looks like a JSON object, but is not valid JSON."
        ) from None
    given = {name: value for name, value in fields.items() if isinstance(value, str) and value}
    if ("access_key_id" in given) is not ("secret_access_key" in given):
        raise ConfigurationError("The credential of an AWS account needs both access_key_id and secret_access_key.")
    return given


def host_suffix(region: str) -> str:
    """The domain of AWS's hosts in a region."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
