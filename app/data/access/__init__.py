"""Queries on projects, keys, JWT subjects, accounts and sealed secrets."""
