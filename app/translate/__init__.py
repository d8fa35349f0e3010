"""Translation of requests and answers between model dialects: pure functions, no I/O."""
