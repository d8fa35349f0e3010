"""What a model of Bedrock takes and answers: its family, which follows from its id (contracts: providers, 5.3)."""

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
THOUGHT = ("<reasoning>", "</reasoning>")
TITAN_V2 = "amazon.titan-embed-text-v2"


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are spoken to in one way. A family has chats or embeddings; the other raises TranslationError."""

    name: str
    chat: Callable[[Request], Written] | None = None
    answer: Callable[..., Answer] | None = None
    embed: Callable[[EmbeddingRequest], list[Json]] | None = None
    vectors: Callable[[Any], EmbeddingAnswer] | None = None

    @property
    def is_embedding(self) -> bool:
        """True for models that make vectors."""
        return self.embed is not None

    def write(self, request: Request) -> Written:
        """A chat as the `modelInput` of a record. Raises TranslationError."""
        if self.chat is None:
            raise TranslationError("model", f"{request.model} makes embeddings, and does not chat.")
        return self.chat(request)

    def read(self, output: Any, *, created: int | None = None) -> Answer:
        """The answer in a `modelOutput`; `created` in Unix seconds. Raises UnexpectedAnswerError."""
        if self.answer is None:
            raise UnexpectedAnswerError("The provider's answer is that of another kind of model.")
        return self.answer(output, created=created)

    def write_embeddings(self, request: EmbeddingRequest) -> list[Json]:
        """Texts as the `modelInput` of one or more records, in order. Raises TranslationError."""
        if self.embed is None:
            raise TranslationError("model", f"{request.model} makes no embeddings.")
        return self.embed(request)

    def read_embeddings(self, output: Any) -> EmbeddingAnswer:
        """The vectors in one `modelOutput`. Raises UnexpectedAnswerError."""
        if self.vectors is None:
            raise UnexpectedAnswerError("The provider's answer is that of another kind of model.")
        return self.vectors(output)


@lru_cache(maxsize=1024)
def family(model_id: str, *, mode: str = "invoke") -> Family:
    """The family of a model by its id, profile or ARN; `mode` converse is one for all that chat.

    Raises TranslationError when the id does not tell, or nothing is known of its kind.
    """
    name = REGION.sub("", model_id.rpartition("/")[2], count=1)
    for pattern, found in FAMILIES:
        if re.match(pattern, name):
            return CONVERSING if mode == CONVERSE and not found.is_embedding else found
    if mode == CONVERSE:
        return CONVERSING
    raise TranslationError(
        "model", f"nobody knows what {model_id:.200} takes; an account with the option mode=converse can try it."
    )


def _claude(request: Request) -> Written:
    return messages_requests.write(request, flavour="bedrock")


def _nova(request: Request) -> Written:
    return converse_requests.write(request, style="nova")


def _converse(request: Request) -> Written:
    return converse_requests.write(request, style="converse")


def _chat(request: Request) -> Written:
    written = requests.write(request)
    del written.body["model"]
    return written


def _mistral_chat(request: Request) -> Written:
    written = requests.write(request)
    kept = mistral.to_mistral(written.body)
    for name in ("model", *MISTRALS_OWN):
        kept.pop(name, None)
    return Written(kept, [*written.dropped, *(name for name in request.settings if _is_lost(name, kept))])


# What Mistral's own API takes besides, and its models at Bedrock do not: hints, all of them.
MISTRALS_OWN = ("random_seed", "metadata", "service_tier", "prediction", "prompt_cache_key", "prompt_mode")


def _is_lost(name: str, kept: Json) -> bool:
    own = {"seed": "random_seed", "tool_name": "tool_choice"}.get(name, name)
    return own not in kept


def _read_chat(output: Any, *, created: int | None = None) -> Answer:
    answer = answers.read(output)
    answer.created = answer.created or created
    return answer


def _read_gpt_oss(output: Any, *, created: int | None = None) -> Answer:
    """OpenAI's open models say what they thought before their answer, between marks."""
    answer = _read_chat(output, created=created)
    for choice in answer.choices:
        for number, part in enumerate(choice.parts):
            if isinstance(part, str) and part.startswith(THOUGHT[0]) and THOUGHT[1] in part:
                thought, _, said = part.removeprefix(THOUGHT[0]).partition(THOUGHT[1])
                choice.parts[number : number + 1] = [Thinking(thought), said] if said else [Thinking(thought)]
                break
    return answer


def _read_mistral_chat(output: Any, *, created: int | None = None) -> Answer:
    """Some of them call the reason to finish a reason to stop."""
    if not isinstance(output, dict):
        return _read_chat(output, created=created)
    told = output.get("choices")
    if isinstance(told, list):
        renamed = [
            {**choice, "finish_reason": choice.get("finish_reason", choice["stop_reason"])}
            if isinstance(choice, dict) and "stop_reason" in choice
            else choice
            for choice in told
        ]
        output = {**output, "choices": renamed}
    return _read_chat(mistral.from_mistral(output), created=created)


def _titan(request: EmbeddingRequest) -> list[Json]:
    """One record for each text; only the second version has several sizes."""
    more: Json = {}
    if request.dimensions is not None:
        if TITAN_V2 not in request.model:
            raise TranslationError("dimensions", f"{request.model} has vectors of one size.")
        more = {"dimensions": request.dimensions}
    if not all(request.inputs):
        raise TranslationError("input", f"{request.model} makes no vector of a text that is empty.")
    return [{"inputText": text, **more} for text in request.inputs]


def _titan_vectors(output: Any) -> EmbeddingAnswer:
    vector = output.get("embedding") if isinstance(output, dict) else None
    if not isinstance(vector, list) or not vector or not set(map(type, vector)) <= {int, float}:
        raise UnexpectedAnswerError("The provider's answer has no vector.")
    tokens = count(output, "inputTextTokenCount")
    return EmbeddingAnswer([vector], Usage(input_tokens=tokens, total_tokens=tokens))


def _cohere(request: EmbeddingRequest) -> list[Json]:
    """As many texts in a record as it takes; the fourth version has several sizes."""
    records = [written.body for written in embeddings.write(replace(request, dimensions=None))]
    if request.dimensions is not None:
        if "embed-v4" not in request.model:
            raise TranslationError("dimensions", f"{request.model} has vectors of one size.")
        records = [{**record, "output_dimension": request.dimensions} for record in records]
    return records


CONVERSING = Family("converse", _converse, converse_answers.read)
FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"anthropic\.", Family("claude", _claude, messages_answers.read)),
    (r"amazon\.nova-(2-)?(micro|lite|pro|premier)", Family("nova", _nova, converse_answers.read)),
    (r"openai\.gpt-oss", Family("openai", _chat, _read_gpt_oss)),
    (OPENAI_SHAPED, Family("openai", _chat, _read_chat)),
    (r"meta\.llama(3|4)", Family("llama", prompts.llama, prompts.read_llama)),
    (
        r"mistral\.(mistral-7b|mixtral|mistral-large-2402|mistral-small-2402)",
        Family("mistral-text", prompts.mistral, prompts.read_mistral),
    ),
    (r"mistral\.", Family("mistral", _mistral_chat, _read_mistral_chat)),
    (r"amazon\.titan-embed-(text|g1)", Family("titan", embed=_titan, vectors=_titan_vectors)),
    (r"cohere\.embed", Family("cohere", embed=_cohere, vectors=embeddings.read)),
)
