"""OpenAI's embeddings: requests read, answers written (contracts: providers, 28.2, 28.3, 28.5)."""

import base64
from array import array
from collections.abc import Mapping
from typing import Any

from app.translate.errors import TranslationError
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json

SEEN = frozenset({"model", "input", "dimensions", "encoding_format", "input_type", "user"})
FORMATS = ("float", "base64")
WRONG_TYPE = "wrong_type"


def read(body: Mapping[str, Any]) -> EmbeddingRequest:
    """The request of an embedding. Raises TranslationError naming the field that is wrong."""
    given = body.get("input")
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs:
        raise TranslationError("input", "must be a string or a list of at least one string.", code=WRONG_TYPE)
    if not all(isinstance(text, str) for text in inputs):
        raise TranslationError("input", "must be texts: tokens are another model's.")
    dimensions = body.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise TranslationError("dimensions", "must be a whole number above 0.", code=WRONG_TYPE)
    wanted = body.get("encoding_format") or "float"
    if wanted not in FORMATS:
        raise TranslationError("encoding_format", "must be float or base64.", code=WRONG_TYPE)
    kind = body.get("input_type")
    return EmbeddingRequest(
        model=body.get("model") or "",
        inputs=inputs,
        dimensions=dimensions,
        encoding_format="base64" if wanted == "base64" else "float",
        input_type=kind if isinstance(kind, str) else None,
        user=body["user"] if isinstance(body.get("user"), str) else None,
        dropped=[name for name, value in body.items() if name not in SEEN and value is not None],
    )


def write_answer(answer: EmbeddingAnswer, *, request: Mapping[str, Any], model: str) -> Json:
    """The answer as /v1/embeddings gives it, in the format that `request` asks for."""
    packed = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": answer.usage.total_tokens or tokens}
    return {"object": "list", "data": data, "model": answer.model or model, "usage": usage}


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI packs them."""
    floats = array("f", vector)
    if array("H", [1]).tobytes() != b"\x01\x00":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
