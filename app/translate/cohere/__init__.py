"""Cohere's /v2/chat and /v2/embed, as single calls and as rows of a batch."""
