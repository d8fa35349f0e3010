"""Secrets at rest, and verification of JSON Web Tokens."""
