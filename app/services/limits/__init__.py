"""Limits of keys, projects and accounts, and the rate windows that processes share."""
