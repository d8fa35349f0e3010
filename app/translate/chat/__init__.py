"""OpenAI's Chat Completions: requests, messages, tools and answers."""
