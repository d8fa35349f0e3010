"""Chats for older models that take one prompt, in the template of each (contracts: providers, 28.2)."""

from collections.abc import Iterator
from typing import Any, cast

from app.translate.converse.answers import count
from app.translate.converse.settings import refuse_candidates
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Json, Refusal, Request, Thinking, Usage, Written

# Tokens that separate turns in the templates. In a caller's text they would start a turn, so they are rejected.
LLAMA_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_4_TOKENS = ("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>")
MISTRAL_TOKENS = ("[INST]", "[/INST]", "</s>")
LLAMA = {"max_tokens": "max_gen_len", "temperature": "temperature", "top_p": "top_p"}
MISTRAL = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
}
CHECKED = frozenset({"tool_choice", "n", "response_format"})


def write_llama(request: Request) -> Written:
    """Write a request for Llama 3 or 4. Raises TranslationError."""
    tokens = LLAMA_4_TOKENS if "llama4" in request.model else LLAMA_TOKENS
    begin, start, end, end_of_turn = tokens
    turns = "".join(f"{start}{role}{end}\n\n{text}{end_of_turn}" for role, text in _texts(request, tokens))
    if not turns:
        raise TranslationError("messages", f"{request.model} needs at least one non-empty message.")
    return _write(request, f"{begin}{turns}{start}assistant{end}\n\n", LLAMA)


def write_mistral(request: Request) -> Written:
    """Write a request for Mistral's instruct models; system messages go before the first user message.

    Raises TranslationError.
    """
    turns = list(_texts(request, MISTRAL_TOKENS))
    system = "\n\n".join(text for role, text in turns if role == "system")
    talk = [turn for turn in turns if turn[0] != "system"]
    if not talk or talk[0][0] != "user" or talk[-1][0] != "user":
        raise TranslationError("messages", f"{request.model} needs a user message first and last.")
    prompt = "<s>"
    for role, text in talk:
        if role == "assistant":
            prompt += f"{text}</s>"
        else:
            prompt += f"[INST] {system}\n\n{text} [/INST]" if system else f"[INST] {text} [/INST]"
            system = ""
    return _write(request, prompt, MISTRAL)


def read_llama(body: Any, *, created: int | None = None) -> Answer:
    """Read an answer of Llama. Raises UnexpectedAnswerError."""
    text = body.get("generation") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise UnexpectedAnswerError("The provider's answer has no generation.")
    prompt, output = count(body, "prompt_token_count"), count(body, "generation_token_count")
    usage = Usage(input_tokens=prompt, output_tokens=output, total_tokens=prompt + output)
    finish = body.get("stop_reason")
    return Answer([Choice([text], "length" if finish == "length" else "stop")], usage, created=created)


def read_mistral(body: Any, *, created: int | None = None) -> Answer:
    """Read an answer of a Mistral instruct model, which has no token counts. Raises UnexpectedAnswerError."""
    outputs = body.get("outputs") if isinstance(body, dict) else None
    if not isinstance(outputs, list) or not outputs:
        raise UnexpectedAnswerError("The provider's answer has no outputs.")
    choices = []
    for output in outputs:
        text = output.get("text") if isinstance(output, dict) else None
        if not isinstance(text, str):
            raise UnexpectedAnswerError("The provider's answer has an output without text.")
        choices.append(Choice([text], "length" if output.get("stop_reason") == "length" else "stop"))
    return Answer(choices, Usage(), created=created)


def _write(request: Request, prompt: str, names: dict[str, str]) -> Written:
    settings = request.settings
    refuse_candidates(settings)
    if request.tools and settings.get("tool_choice") != "none":
        raise TranslationError("tools", f"{request.model} does not support tools.")
    spec = settings.get("response_format")
    if spec is not None and spec.schema is not None:
        raise TranslationError("response_format", f"{request.model} does not support a JSON schema.")
    body: Json = {"prompt": prompt}
    dropped = [*request.dropped]
    for name, value in settings.items():
        if name in names:
            body[names[name]] = value
        elif name not in CHECKED or name == "response_format":
            dropped.append(name)
    return Written(body, dropped)


def _texts(request: Request, tokens: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (role, text) of each non-empty turn."""
    for role, content in request.turns:
        parts = [content] if isinstance(content, str) else cast("list[Any]", content)
        if role == "tool" or not isinstance(parts, list):
            raise TranslationError("messages", f"{request.model} does not support tools.")
        texts = [part.text if isinstance(part, Refusal) else part for part in parts if not isinstance(part, Thinking)]
        if not all(isinstance(part, str) for part in texts):
            raise TranslationError("messages", f"{request.model} supports text only.")
        text = "".join(texts).strip()
        forbidden = next((token for token in tokens if token in text), None)
        if forbidden is not None:
            raise TranslationError("messages", f"the text contains {forbidden}, which would start another turn.")
        if text:
            yield role, text
