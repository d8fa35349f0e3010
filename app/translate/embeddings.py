"""Read requests and write answers of OpenAI's /v1/embeddings (contracts: providers, 28.2, 28.3, 28.5)."""

import base64
from array import array
from collections.abc import Mapping
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json

KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "input_type", "user", "stream"})
FORMATS = ("float", "base64")
WRONG_TYPE = "wrong_type"


def read(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Read an embedding request. Raises TranslationError that names the invalid field."""
    inputs = body.get("input")
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(inputs, list) or not inputs:
        raise TranslationError("input", "must be a string or a list of at least one string.", code=WRONG_TYPE)
    if not all(isinstance(text, str) for text in inputs):
        raise TranslationError("input", "must be strings: token ids are valid for one model only.")
    dimensions = body.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise TranslationError("dimensions", "must be an integer of at least 1.", code=WRONG_TYPE)
    encoding = body.get("encoding_format") or "float"
    if encoding not in FORMATS:
        raise TranslationError("encoding_format", "must be float or base64.", code=WRONG_TYPE)
    model, input_type, user = body.get("model") or "", body.get("input_type"), body.get("user")
    for name, value in (("model", model), ("input_type", input_type), ("user", user)):
        if value is not None and not isinstance(value, str):
            raise TranslationError(name, "must be a string.", code=WRONG_TYPE)
    return EmbeddingRequest(
        model=model,
        inputs=inputs,
        dimensions=dimensions,
        encoding_format="base64" if encoding == "base64" else "float",
        input_type=input_type,
        user=user,
        dropped=[name for name, value in body.items() if name not in KNOWN and value is not None],
    )


def write_answer(answer: EmbeddingAnswer, *, request: Mapping[str, Any], model: str) -> Json:
    """Write the answer as /v1/embeddings returns it, in the `encoding_format` of `request`.

    Raises UnexpectedAnswerError when the numbers of vectors and texts differ.
    """
    inputs = request.get("input")
    expected = len(inputs) if isinstance(inputs, list) else 1
    if len(answer.vectors) != expected:
        raise UnexpectedAnswerError(f"The provider returned {len(answer.vectors)} vectors for {expected} texts.")
    is_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if is_base64 else vector}
        for index, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": answer.usage.total_tokens or tokens}
    return {"object": "list", "data": data, "model": answer.model or model, "usage": usage}


def _base64(vector: list[float]) -> str:
    """Encode a vector as little-endian 32-bit floats in base64, as OpenAI does. Raises UnexpectedAnswerError."""
    try:
        floats = array("f", vector)
    except (TypeError, OverflowError):
        raise UnexpectedAnswerError("The provider returned a vector with a value that is not a number.") from None
    if array("H", [1]).tobytes() != b"\x01\x00":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
