"""Webhooks: endpoints of projects and what they are told, and what providers tell the gateway."""
