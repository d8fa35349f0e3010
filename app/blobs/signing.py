"""URLs with which anybody can read one object for a while (SigV4 in the query)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from app.blobs.address import Address

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
DEFAULT_REGION = "us-east-1"


def s3_url(
    address: Address, config: Mapping[str, str], name: str, *, seconds: int, headers: Mapping[str, str]
) -> str | None:
    """A URL for GET on the object `name`, answered with `headers`; None without an access key to sign with.

    `config` is what the library uses: what the address leaves out it found in the environment.
    """
    key_id, secret = config.get("access_key_id"), config.get("secret_access_key")
    if not key_id or not secret:
        return None
    region = config.get("region") or DEFAULT_REGION
    base = urlsplit(address.endpoint or f"https://s3.{region}.amazonaws.com")
    host = base.netloc if address.path_style else f"{address.bucket}.{base.netloc}"
    parts = (base.path.strip("/"), address.bucket if address.path_style else "", address.path, name)
    path = "/" + quote("/".join(part for part in parts if part), safe="/-_.~")
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{at[:8]}/{region}/{SERVICE}/aws4_request"
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key_id}/{scope}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
        **{f"response-{header.lower()}": value for header, value in headers.items()},
    }
    if token := config.get("session_token") or config.get("token"):
        query["X-Amz-Security-Token"] = token
    signed = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    request = f"GET\n{path}\n{signed}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"{ALGORITHM}\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{base.scheme}://{host}{path}?{signed}&X-Amz-Signature={signature}"
