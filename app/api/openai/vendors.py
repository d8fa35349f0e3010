"""Calls of other vendors' APIs that end up here: whose they are, and what to do instead.

Several vendors have `/v1/files` and `/v1/batches`, and their SDKs cannot read answers in OpenAI's form: they would see
empty lists, and make files that they then cannot find.
"""

import re

from flask import request
from werkzeug.datastructures import Headers

from app.api import query
from app.errors import InvalidRequestError

ANTHROPIC, BEDROCK, GEMINI, MISTRAL, VERTEX = "Anthropic's", "Bedrock's", "Gemini's", "Mistral's", "Vertex AI's"
# Parameters of lists that OpenAI's lists do not have.
PARAMETERS = {
    **dict.fromkeys(("pageSize", "pageToken"), "Google's or Fireworks'"),
    **dict.fromkeys(("page", "include_total", "sample_type", "source", "search", "order_by", "created_by_me"), MISTRAL),
    "page_size": "Mistral's or Cohere's",
    "page_token": "Cohere's",
    "pagination_token": "xAI's",
    "cursor": "Replicate's",
    **dict.fromkeys(("after_id", "before_id", "beta"), ANTHROPIC),
    **dict.fromkeys(("maxResults", "nextToken", "statusEquals", "sortBy", "sortOrder"), BEDROCK),
    **dict.fromkeys(("$filter", "$orderby", "$top", "$skip", "$select"), "Azure's"),
}
# Headers that only a vendor's own clients send, whatever the key.
HEADERS = {"anthropic-version": ANTHROPIC, "x-goog-api-client": GEMINI}
AGENTS = (
    (re.compile(r"mistral-client-|mistralai\b"), MISTRAL),
    (re.compile(r"^google-genai-sdk/"), GEMINI),
    (re.compile(r"^replicate-"), "Replicate's"),
)
PREFIX = r"(?:/openai/openai|/openai/v1|/openai|/anthropic|/genai|/bedrock)?(?:/v1beta1?|/v[12])?"
LIVE = re.compile(
    PREFIX + r"(?:/(?:engines|deployments)/[^/]+)?/(?:chat/completions|completions|embeddings|embed|rerank|chat"
    r"|responses(?:/.*)?|messages(?:/count_tokens)?|moderations|images/.+|audio/.+|videos(?:/.*)?|realtime.*"
    r"|fim/completions|ocr|predictions)"
    r"|.*/models/[^/]+:(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents|predict)"
    r"|/model/.+/(?:invoke|converse)(?:-with-response-stream|-stream)?"
)
BATCHES = (
    (re.compile(PREFIX + r"/messages/batches(?:/.*)?"), ANTHROPIC),
    (re.compile(PREFIX + r"/batch/jobs(?:/.*)?"), MISTRAL),
    (re.compile(r"/upload/v1(?:beta)?/files|/v1beta/(?:files|batches)(?:/.*)?"), GEMINI),
    (re.compile(r".*/models/[^/]+:(?:batchGenerateContent|asyncBatchEmbedContent)"), GEMINI),
    (re.compile(r"(?:/bedrock)?/model-invocation-jobs?(?:/.*)?"), BEDROCK),
    (re.compile(r".*/batchPredictionJobs(?:/.*)?"), VERTEX),
    (re.compile(r"/v2/batches(?:/.*)?|/v1/datasets(?:/.*)?"), "Cohere's"),
    (re.compile(r"/v1/accounts/.+"), "Fireworks'"),
)
# Faces of the gateway for other vendors' clients; what to do where there is none.
FACES = {ANTHROPIC: "/anthropic"}
CLIENT = "Use a client for OpenAI's API."
OPENAIS = "Here, use OpenAI's: POST /v1/files and POST /v1/batches."
UNVERSIONED = re.compile(r"(?:/v1)*(/(?:files|batches|uploads|containers|models)(?:/.*)?)")


def refuse() -> None:
    """Raises InvalidRequestError for a request that another vendor's own client sent to a route of OpenAI's."""
    vendor = of_client(request.headers)
    if vendor is not None:
        text = (
            f"This is a call of {vendor} API, but {request.path:.100} is OpenAI's, whose answers this client cannot "
            f"read. {_instead(vendor, CLIENT)}"
        )
        raise InvalidRequestError(text, code="other_api")


def of_client(headers: Headers) -> str | None:
    """Whose API the client speaks that sent `headers`, if that is certain and not OpenAI's."""
    for name, vendor in HEADERS.items():
        if name in headers:
            return vendor
    agent = headers.get("User-Agent", "").lower()
    return next((vendor for pattern, vendor in AGENTS if pattern.search(agent)), None)


def check_query() -> None:
    """Raises InvalidRequestError for a parameter that the route does not know; says whose it is, if that is certain."""
    query.check(_of_parameter)


def _of_parameter(name: str) -> str | None:
    vendor = PARAMETERS.get(name)
    return vendor and f"this is how {vendor} API is called, but {request.path:.100} is OpenAI's"


def hint(path: str) -> str:
    """What to do instead of calling a path that does not exist here, or nothing."""
    for pattern, vendor in BATCHES:
        if pattern.fullmatch(path):
            return f"This is a path of {vendor} API. {_instead(vendor, OPENAIS)}"
    if LIVE.fullmatch(path):
        return "This gateway serves no live inference: send requests as lines of a batch, POST /v1/batches."
    unversioned = UNVERSIONED.fullmatch(path)
    if unversioned is not None and not path.startswith(f"/v1{unversioned[1]}"):
        return f"Perhaps you mean /v1{unversioned[1]:.100}: the base URL ends with /v1, once."
    return ""


def _instead(vendor: str, otherwise: str) -> str:
    face = FACES.get(vendor)
    return otherwise if face is None else f"Let the client's base URL end with {face}."
