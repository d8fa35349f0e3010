"""The answer to Prometheus: the counts of all processes of the host, and the state of the store."""
