"""OpenAI's embeddings: requests read, answers written (contracts: providers, 28.2, 28.3, 28.5)."""

import base64
from array import array
from collections.abc import Mapping
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json

SEEN = frozenset({"model", "input", "dimensions", "encoding_format", "input_type", "user", "stream"})
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
    model, kind, user = body.get("model") or "", body.get("input_type"), body.get("user")
    for name, value in (("model", model), ("input_type", kind), ("user", user)):
        if value is not None and not isinstance(value, str):
            raise TranslationError(name, "must be a string.", code=WRONG_TYPE)
    return EmbeddingRequest(
        model=model,
        inputs=inputs,
        dimensions=dimensions,
        encoding_format="base64" if wanted == "base64" else "float",
        input_type=kind,
        user=user,
        dropped=[name for name, value in body.items() if name not in SEEN and value is not None],
    )


def write_answer(answer: EmbeddingAnswer, *, request: Mapping[str, Any], model: str) -> Json:
    """The answer as /v1/embeddings gives it, in the format that `request` asks for.

    Raises UnexpectedAnswerError when there are not as many vectors as texts.
    """
    asked = request.get("input")
    wanted = len(asked) if isinstance(asked, list) else 1
    if len(answer.vectors) != wanted:
        raise UnexpectedAnswerError(f"The provider gave {len(answer.vectors)} vectors for {wanted} texts.")
    packed = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": answer.usage.total_tokens or tokens}
    return {"object": "list", "data": data, "model": answer.model or model, "usage": usage}


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI packs them. Raises UnexpectedAnswerError."""
    try:
        floats = array("f", vector)
    except (TypeError, OverflowError):
        raise UnexpectedAnswerError("The provider's vector holds what is no number.") from None
    if array("H", [1]).tobytes() != b"\x01\x00":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
