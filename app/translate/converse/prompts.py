"""Chats as the one text that older models take, in the template of each (contracts: providers, 28.2)."""

from collections.abc import Iterator
from typing import Any, cast

from app.translate.converse.answers import count
from app.translate.converse.settings import refuse_candidates
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Json, Refusal, Request, Thinking, Usage, Written

# What separates turns in the templates; in a text of a caller it would make turns of its own.
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
HANDLED = frozenset({"tool_choice", "n", "modalities", "response_format"})


def llama(request: Request) -> Written:
    """The request as Llama 3 or 4 takes it. Raises TranslationError."""
    tokens = LLAMA_4_TOKENS if "llama4" in request.model else LLAMA_TOKENS
    begin, start, end, over = tokens
    turns = "".join(f"{start}{role}{end}\n\n{text}{over}" for role, text in _texts(request, tokens))
    if not turns:
        raise TranslationError("messages", f"{request.model} needs a turn that is not empty.")
    return _written(request, f"{begin}{turns}{start}assistant{end}\n\n", LLAMA)


def mistral(request: Request) -> Written:
    """The request as Mistral's instruct models take it; what the system says goes before the first turn of the user.

    Raises TranslationError.
    """
    turns = list(_texts(request, MISTRAL_TOKENS))
    system = "\n\n".join(text for role, text in turns if role == "system")
    said = [turn for turn in turns if turn[0] != "system"]
    if not said or said[0][0] != "user" or said[-1][0] != "user":
        raise TranslationError("messages", f"{request.model} needs turns of the user, the first and the last.")
    prompt = "<s>"
    for role, text in said:
        if role == "assistant":
            prompt += f"{text}</s>"
        else:
            prompt += f"[INST] {system}\n\n{text} [/INST]" if system else f"[INST] {text} [/INST]"
            system = ""
    return _written(request, prompt, MISTRAL)


def read_llama(body: Any, *, created: int | None = None) -> Answer:
    """The answer of a Llama. Raises UnexpectedAnswerError."""
    text = body.get("generation") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise UnexpectedAnswerError("The provider's answer has no generation.")
    given, made = count(body, "prompt_token_count"), count(body, "generation_token_count")
    usage = Usage(input_tokens=given, output_tokens=made, total_tokens=given + made)
    finish = body.get("stop_reason")
    return Answer([Choice([text], "length" if finish == "length" else "stop")], usage, created=created)


def read_mistral(body: Any, *, created: int | None = None) -> Answer:
    """The answer of a Mistral instruct model, which tells no tokens. Raises UnexpectedAnswerError."""
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


def _written(request: Request, prompt: str, names: dict[str, str]) -> Written:
    settings = request.settings
    refuse_candidates(settings)
    if request.tools and settings.get("tool_choice") != "none":
        raise TranslationError("tools", f"{request.model} takes a text, and knows no tools.")
    wanted = settings.get("response_format")
    if wanted is not None and wanted.schema is not None:
        raise TranslationError("response_format", f"{request.model} cannot be held to a schema.")
    body: Json = {"prompt": prompt}
    dropped = [*request.dropped]
    for name, value in settings.items():
        if name in names:
            body[names[name]] = value
        elif name not in HANDLED or name == "response_format":
            dropped.append(name)
    return Written(body, dropped)


def _texts(request: Request, tokens: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(role, text) of each turn."""
    for role, content in request.turns:
        parts = [content] if isinstance(content, str) else cast("list[Any]", content)
        if role == "tool" or not isinstance(parts, list):
            raise TranslationError("messages", f"{request.model} takes a text, and knows no tools.")
        said = [part.text if isinstance(part, Refusal) else part for part in parts if not isinstance(part, Thinking)]
        if not all(isinstance(part, str) for part in said):
            raise TranslationError("messages", f"{request.model} takes nothing but text.")
        text = "".join(said).strip()
        found = next((token for token in tokens if token in text), None)
        if found is not None:
            raise TranslationError("messages", f"a text holds {found}, which would begin another turn.")
        if text:
            yield role, text
