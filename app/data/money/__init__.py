"""Queries on prices, the usage ledger, budgets and limit counters."""
