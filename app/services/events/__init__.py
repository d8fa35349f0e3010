"""Events: recording what was written or rejected, and reading it back."""
