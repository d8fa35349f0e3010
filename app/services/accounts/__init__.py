"""Accounts at providers: loaded from SQL and the environment, chosen for new work, managed by operators."""
