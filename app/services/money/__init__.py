"""What batches cost: prices, charges, budgets, and sums of the ledger."""
