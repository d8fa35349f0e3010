"""Anthropic's Messages API, also as Bedrock and Vertex spell it."""
