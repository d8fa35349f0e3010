"""What fakes of AWS share: signatures are computed again, and requests held against AWS's own service model."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from werkzeug import Request

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), "
    r"Signature=([0-9a-f]{64})"
)
SKEW = timedelta(minutes=15)
UNSIGNED = "UNSIGNED-PAYLOAD"
KINDS = {"string": str, "integer": int, "long": int, "boolean": bool, "structure": dict, "list": list, "map": dict}


def complaint(request: Request, *, access_key_id: str, secret: str, service: str, region: str) -> str | None:
    """What is wrong with the signature of a request, as an error code of AWS; None when it is right.

    The path has to be the one on the wire, still quoted.
    """
    match = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        return "MissingAuthenticationToken"
    key_id, day, told_region, told_service, names, signature = match.groups()
    date = request.headers.get("X-Amz-Date", "")
    signed = names.split(";")
    needed = {"host", "x-amz-date"} | ({"x-amz-content-sha256"} if service == "s3" else set())
    if key_id != access_key_id:
        return "InvalidAccessKeyId"
    if (told_region, told_service) != (region, service) or not date.startswith(day) or not needed <= set(signed):
        return "AuthorizationHeaderMalformed"
    sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - sent) > SKEW:
        return "RequestTimeTooSkewed"
    body_hash = hashlib.sha256(request.get_data()).hexdigest()
    told_hash = request.headers.get("X-Amz-Content-SHA256", body_hash)
    if told_hash not in (body_hash, UNSIGNED):
        return "XAmzContentSHA256Mismatch"
    if any(name.startswith("x-amz-") and name not in signed for name in map(str.lower, dict(request.headers))):
        return "AccessDenied"
    again = _signature(request, signed, date, secret, service, region, told_hash)
    return None if again == signature else "SignatureDoesNotMatch"


def _signature(
    request: Request, signed: list[str], date: str, secret: str, service: str, region: str, body_hash: str
) -> str:
    environ = request.environ
    url = f"http://{request.headers['Host']}{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
    again = AWSRequest(request.method, url, headers={name: request.headers.get(name, "") for name in signed})
    again.context["timestamp"] = date
    kind = type("Again", (S3SigV4Auth if service == "s3" else SigV4Auth,), {"payload": lambda *_: body_hash})
    signer = kind(Credentials("any", secret), service, region)
    return str(signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again))


@cache
def _service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def operation(service: str, name: str) -> Any:
    """An operation of AWS's own model of a service, with `input_shape` and `output_shape`."""
    return _service(service).operation_model(name)


def faults(shape: Shape, value: Any, where: str = "") -> list[str]:
    """What is wrong with JSON that shall be of a shape: unknown, missing, mistyped members, and broken constraints."""
    kind = KINDS.get(shape.type_name)
    if shape.type_name == "timestamp":
        return [] if _is_instant(value) else [f"Value at '{where}' is no timestamp"]
    if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return [f"Value at '{where}' must be a {shape.type_name}"]
    if shape.type_name == "structure":
        return _in_structure(shape, value, where)
    if shape.type_name == "list":
        return [
            *_in_range(shape, len(value), where),
            *(fault for n, item in enumerate(value) for fault in faults(shape.member, item, f"{where}.{n + 1}")),
        ]
    if shape.type_name == "string":
        pattern, words = shape.metadata.get("pattern"), shape.metadata.get("enum")
        found = _in_range(shape, len(value), where)
        if words and value not in words:
            found.append(f"Value '{value}' at '{where}' failed to satisfy constraint: enum value set: {words}")
        if pattern and not re.fullmatch(pattern, value):
            found.append(f"Value '{value}' at '{where}' failed to satisfy constraint: regular expression {pattern}")
        return found
    return _in_range(shape, value, where) if shape.type_name in ("integer", "long") else []


def _in_structure(shape: Any, value: dict[str, Any], where: str) -> list[str]:
    found = [f"Unknown member at '{where}': {name}" for name in value if name not in shape.members]
    found += [
        f"Value null at '{where}.{name}': must not be null" for name in shape.required_members if name not in value
    ]
    for name, member in shape.members.items():
        if name in value:
            found += faults(member, value[name], f"{where}.{name}".lstrip("."))
    return found


def _in_range(shape: Shape, size: int, where: str) -> list[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    fine = (least is None or size >= least) and (most is None or size <= most)
    return [] if fine else [f"Value at '{where}' failed to satisfy constraint: from {least} to {most}"]


def _is_instant(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
