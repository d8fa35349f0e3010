"""A model that each provider has a dialect for; jobs of most take any."""

from typing import Any

MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "cohere": "command-a-03-2025",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
}


def model_of(provider: str) -> dict[str, Any]:
    """What a batch at `provider` has to say of its model, if anything."""
    return {"model": MODELS[provider]} if provider in MODELS else {}
