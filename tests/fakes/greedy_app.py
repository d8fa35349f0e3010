"""A server that writes as much as it may, and reads a body as leniently as any server does: what lines can cost."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.fakes.openai_app import Body, OpenAIApp

# What it writes when nothing stops it: as much as the gateway expects of an answer without a limit.
UNLIMITED = 4096
CONTENT = ("messages", "input", "prompt", "instructions", "system", "tools", "response_format", "text", "suffix")
Reading = Callable[[Mapping[str, Any]], Any]


def openai(body: Mapping[str, Any]) -> Any:
    return body.get("max_completion_tokens") or body.get("max_tokens")


def older(body: Mapping[str, Any]) -> Any:
    return body.get("max_tokens") or body.get("max_completion_tokens")


def responses(body: Mapping[str, Any]) -> Any:
    return body.get("max_output_tokens")


def case_blind(body: Mapping[str, Any]) -> Any:
    """As servers in Go read names: in any case, and the last one counts."""
    found = {name.lower(): value for name, value in body.items()}
    return found.get("max_completion_tokens") or found.get("max_tokens")


def with_settings(body: Mapping[str, Any]) -> Any:
    """Servers whose limit is in an object of settings."""
    for name in ("options", "parameters", "generation_config", "reasoning"):
        value = body.get(name)
        for inner in ("num_predict", "max_new_tokens", "maxOutputTokens", "max_tokens"):
            if isinstance(value, dict) and value.get(inner):
                return value[inner]
    return openai(body)


READINGS: dict[str, tuple[Reading, ...]] = {
    "/v1/chat/completions": (openai, older, case_blind, with_settings),
    "/v1/completions": (older, case_blind, with_settings),
    "/v1/messages": (older, with_settings),
    "/v1/responses": (responses,),
}


def whole(value: Any, *, otherwise: int) -> int:
    """A positive number, also as text; anything else makes no sense to the server."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return otherwise
    return int(number) if number >= 1 else otherwise


def most_output(url: str, body: Mapping[str, Any]) -> int:
    """The tokens of all answers, by whichever reading lets most through."""
    if url == "/v1/embeddings":
        return 0
    each = max(whole(reading(body), otherwise=UNLIMITED) for reading in READINGS[url])
    least = body.get("min_tokens")
    each = max(each, least) if isinstance(least, int) else each
    prompts = body.get("prompt")
    several = isinstance(prompts, list) and not all(isinstance(each, int) for each in prompts)
    choices = max(whole(body.get(name), otherwise=1) for name in ("n", "best_of"))
    return each * choices * (len(prompts) if several and prompts else 1)


def input_of(body: Mapping[str, Any]) -> int:
    """A token for each word, and for each four bytes of what has no spaces; token ids are one each."""
    return sum(max(len(text.split()), len(text.encode()) // 4) for text in _texts(body)) + sum(_ids(body))


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    waiting: list[Any] = [body[name] for name in CONTENT if name in body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            if value.get("type") in ("image_url", "input_image", "image", "input_audio"):
                continue  # its bytes are no text
            yield from value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _ids(body: Mapping[str, Any]) -> Iterator[int]:
    for name in ("prompt", "input"):
        value = body.get(name)
        if isinstance(value, list):
            yield sum(isinstance(each, int) for each in value)
            yield from (len(each) for each in value if isinstance(each, list))


class GreedyApp(OpenAIApp):
    """An OpenAI-compatible server that reports the usage of such answers (without making them)."""

    def _chat(self, body: Body) -> Body:
        return self._counted("/v1/chat/completions", body, super()._chat(body))

    def _completion(self, body: Body) -> Body:
        answer = super()._completion({**body, "prompt": "said", "max_tokens": None})
        return self._counted("/v1/completions", body, answer)

    def _counted(self, url: str, body: Body, answer: Body) -> Body:
        given, made = input_of(body), most_output(url, body)
        answer["usage"] = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
        return answer
