"""Which types of the vendors' SDKs are bodies of lines."""

from collections.abc import Iterator
from typing import Any


def each() -> Iterator[tuple[str, Any]]:
    """(vendor and endpoint, type). Imports are dear, so they are made when they are asked for."""
    yield from _openai()
    yield from _anthropic()
    yield from _openrouter()
    yield from _others()


def _openai() -> Iterator[tuple[str, Any]]:
    from openai.types import (
        completion_create_params,
        embedding_create_params,
        image_generate_params,
        moderation_create_params,
        video_create_params,
    )
    from openai.types.chat import completion_create_params as chat
    from openai.types.responses import response_create_params as responses

    yield "openai chat", chat.CompletionCreateParamsNonStreaming
    yield "openai responses", responses.ResponseCreateParamsNonStreaming
    yield "openai completions", completion_create_params.CompletionCreateParamsNonStreaming
    yield "openai embeddings", embedding_create_params.EmbeddingCreateParams
    yield "openai moderations", moderation_create_params.ModerationCreateParams
    yield "openai images", image_generate_params.ImageGenerateParamsNonStreaming
    yield "openai videos", video_create_params.VideoCreateParams


def _anthropic() -> Iterator[tuple[str, Any]]:
    from anthropic.types import message_create_params
    from anthropic.types.beta import message_create_params as beta

    yield "anthropic messages", message_create_params.MessageCreateParamsNonStreaming
    yield "anthropic beta messages", beta.MessageCreateParamsNonStreaming


def _openrouter() -> Iterator[tuple[str, Any]]:
    from openrouter import components

    yield "openrouter chat", components.ChatRequest
    yield "openrouter responses", components.ResponsesRequest
    yield "openrouter messages", components.MessagesRequest


def _others() -> Iterator[tuple[str, Any]]:
    from cerebras.cloud.sdk.types.chat import completion_create_params as cerebras
    from fireworks.types.chat import completion_create_params as fireworks
    from groq.types.chat import completion_create_params as groq
    from mistralai.client import models as mistral
    from perplexity.types.chat import completion_create_params as perplexity
    from together.types.chat import completion_create_params as together

    yield "cerebras chat", cerebras.CompletionCreateParams
    yield "fireworks chat", fireworks.CompletionCreateParamsNonStreaming
    yield "groq chat", groq.CompletionCreateParams
    yield "mistral chat", mistral.ChatCompletionRequest
    yield "perplexity chat", perplexity.CompletionCreateParamsNonStreaming
    yield "together chat", together.CompletionCreateParamsNonStreaming
