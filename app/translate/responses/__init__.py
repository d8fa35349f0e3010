"""OpenAI's Responses API, converted to and from Chat Completions."""
