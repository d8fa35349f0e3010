"""Commands that manage the objects in the store: one module for each `batchgate NOUN`."""
