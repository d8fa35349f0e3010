"""Schemas of answers. Nothing is rendered by them: they describe, and tests hold every answer to them."""
