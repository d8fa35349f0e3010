"""Request and answer formats of Bedrock's models: one per family, which the id names (contracts: providers, 5.3)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from app.translate import mistral
from app.translate.chat import answers, requests
from app.translate.cohere import embeddings
from app.translate.converse import answers as converse_answers
from app.translate.converse import prompts
from app.translate.converse import requests as converse_requests
from app.translate.converse.answers import count
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.messages import answers as messages_answers
from app.translate.messages import requests as messages_requests
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Json, Request, Thinking, Usage, Written

REGION = re.compile(r"(us|us-gov|eu|apac|global|jp|au|ca|sa|me|af)\.")
CONVERSE = "converse"
OPENAI_SHAPED = r"(openai\.|qwen\.|deepseek\.v|moonshot|minimax|zai\.|google\.gemma|nvidia\.)"
REASONING_TAGS = ("<reasoning>", "</reasoning>")
TITAN_V2 = "amazon.titan-embed-text-v2"


@dataclass(frozen=True, slots=True)
class Family:
    """Models with the same formats: for chats or for embeddings. The other kind of request raises TranslationError."""

    name: str
    chat: Callable[[Request], Written] | None = None
    answer: Callable[..., Answer] | None = None
    embed: Callable[[EmbeddingRequest], list[Json]] | None = None
    vectors: Callable[[Any], EmbeddingAnswer] | None = None

    @property
    def is_embedding(self) -> bool:
        """True for embedding models."""
        return self.embed is not None

    def write(self, request: Request) -> Written:
        """Write a chat as the `modelInput` of a record. Raises TranslationError."""
        if self.chat is None:
            raise TranslationError("model", f"{request.model} is an embeddings model and does not support chat.")
        return self.chat(request)

    def read(self, output: Any, *, created: int | None = None) -> Answer:
        """Read a chat's `modelOutput`; `created` is in Unix seconds. Raises UnexpectedAnswerError."""
        if self.answer is None:
            raise UnexpectedAnswerError("The provider's answer is of another model type.")
        return self.answer(output, created=created)

    def write_embeddings(self, request: EmbeddingRequest) -> list[Json]:
        """Write texts as the `modelInput` of one or more records, in order. Raises TranslationError."""
        if self.embed is None:
            raise TranslationError("model", f"{request.model} does not support embeddings.")
        return self.embed(request)

    def read_embeddings(self, output: Any) -> EmbeddingAnswer:
        """Read the vectors of one `modelOutput`. Raises UnexpectedAnswerError."""
        if self.vectors is None:
            raise UnexpectedAnswerError("The provider's answer is of another model type.")
        return self.vectors(output)


@lru_cache(maxsize=1024)
def family(model_id: str, *, mode: str = "invoke") -> Family:
    """Return the family of a model, by its id, inference profile or ARN. All chat models share one in `mode` converse.

    Raises TranslationError if the id matches no known family.
    """
    name = REGION.sub("", model_id.rpartition("/")[2], count=1)
    for pattern, matching in FAMILIES:
        if re.match(pattern, name):
            return CONVERSE_FAMILY if mode == CONVERSE and not matching.is_embedding else matching
    if mode == CONVERSE:
        return CONVERSE_FAMILY
    raise TranslationError(
        "model", f"the format of {model_id:.200} is unknown; an account with the option mode=converse can try it."
    )


def _claude(request: Request) -> Written:
    return messages_requests.write(request, flavour="bedrock")


def _nova(request: Request) -> Written:
    return converse_requests.write(request, style="nova")


def _converse(request: Request) -> Written:
    return converse_requests.write(request, style="converse")


def _chat(request: Request) -> Written:
    """Write a chat without what Bedrock's server for them refuses by name."""
    written = requests.write(request)
    body = written.body
    del body["model"]
    effort, is_oss = body.get("reasoning_effort"), GPT_OSS in request.model
    if is_oss and effort in CHAT_EFFORTS:
        body["reasoning_effort"] = CHAT_EFFORTS[effort]
    was_off = is_oss and effort == "none"
    unknown = [name for name in UNKNOWN_TO_CHATS if body.pop(name, None) is not None]
    return Written(body, [*written.dropped, *unknown, *(["reasoning_effort"] if was_off else [])])


# Settings that the server refuses as unknown fields, and efforts that it does not know.
GPT_OSS = "gpt-oss"
UNKNOWN_TO_CHATS = ("top_k", "verbosity")
CHAT_EFFORTS = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}


def _mistral_chat(request: Request) -> Written:
    written = requests.write(request)
    body = mistral.to_mistral(written.body)
    for name in ("model", *MISTRAL_ONLY):
        body.pop(name, None)
    return Written(body, [*written.dropped, *(name for name in request.settings if _is_dropped(name, body))])


# Hints that Mistral's own API accepts and its models at Bedrock do not.
MISTRAL_ONLY = ("random_seed", "metadata", "service_tier", "prediction", "prompt_cache_key", "prompt_mode")


def _is_dropped(name: str, body: Json) -> bool:
    own_name = {"seed": "random_seed", "tool_name": "tool_choice"}.get(name, name)
    return own_name not in body


def _read_chat(output: Any, *, created: int | None = None) -> Answer:
    answer = answers.read(output)
    answer.created = answer.created or created
    return answer


def _read_gpt_oss(output: Any, *, created: int | None = None) -> Answer:
    """Read an answer of OpenAI's open models, which put their reasoning before it, between tags."""
    answer = _read_chat(output, created=created)
    for choice in answer.choices:
        for number, part in enumerate(choice.parts):
            if isinstance(part, str) and part.startswith(REASONING_TAGS[0]) and REASONING_TAGS[1] in part:
                thought, _, text = part.removeprefix(REASONING_TAGS[0]).partition(REASONING_TAGS[1])
                choice.parts[number : number + 1] = [Thinking(thought), text] if text else [Thinking(thought)]
                break
    return answer


def _read_mistral_chat(output: Any, *, created: int | None = None) -> Answer:
    """Read an answer of a Mistral chat model; some name `finish_reason` `stop_reason`."""
    if not isinstance(output, dict):
        return _read_chat(output, created=created)
    choices = output.get("choices")
    if isinstance(choices, list):
        renamed = [
            {**choice, "finish_reason": choice.get("finish_reason", choice["stop_reason"])}
            if isinstance(choice, dict) and "stop_reason" in choice
            else choice
            for choice in choices
        ]
        output = {**output, "choices": renamed}
    return _read_chat(mistral.from_mistral(output), created=created)


def _titan(request: EmbeddingRequest) -> list[Json]:
    """Write one record per text; only version 2 supports several vector sizes."""
    options: Json = {}
    if request.dimensions is not None:
        if TITAN_V2 not in request.model:
            raise TranslationError("dimensions", f"{request.model} supports only one vector size.")
        options = {"dimensions": request.dimensions}
    if not all(request.inputs):
        raise TranslationError("input", f"{request.model} does not embed empty text.")
    return [{"inputText": text, **options} for text in request.inputs]


def _titan_vectors(output: Any) -> EmbeddingAnswer:
    vector = output.get("embedding") if isinstance(output, dict) else None
    if not isinstance(vector, list) or not vector or not set(map(type, vector)) <= {int, float}:
        raise UnexpectedAnswerError("The provider's answer has no vector.")
    tokens = count(output, "inputTextTokenCount")
    return EmbeddingAnswer([vector], Usage(input_tokens=tokens, total_tokens=tokens))


def _cohere(request: EmbeddingRequest) -> list[Json]:
    """Write records of up to 96 texts; version 4 supports several vector sizes."""
    records = [written.body for written in embeddings.write(replace(request, dimensions=None))]
    if request.dimensions is not None:
        if "embed-v4" not in request.model:
            raise TranslationError("dimensions", f"{request.model} supports only one vector size.")
        records = [{**record, "output_dimension": request.dimensions} for record in records]
    return records


CONVERSE_FAMILY = Family("converse", _converse, converse_answers.read)
FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"anthropic\.", Family("claude", _claude, messages_answers.read)),
    (r"amazon\.nova-(2-)?(micro|lite|pro|premier)", Family("nova", _nova, converse_answers.read)),
    (r"openai\.gpt-oss", Family("openai", _chat, _read_gpt_oss)),
    (OPENAI_SHAPED, Family("openai", _chat, _read_chat)),
    (r"meta\.llama(3|4)", Family("llama", prompts.write_llama, prompts.read_llama)),
    (
        r"mistral\.(mistral-7b|mixtral|mistral-large-2402|mistral-small-2402)",
        Family("mistral-text", prompts.write_mistral, prompts.read_mistral),
    ),
    (r"mistral\.", Family("mistral", _mistral_chat, _read_mistral_chat)),
    (r"amazon\.titan-embed-(text|g1)", Family("titan", embed=_titan, vectors=_titan_vectors)),
    (r"cohere\.embed", Family("cohere", embed=_cohere, vectors=embeddings.read)),
)
