"""`batchgate demo`: a gateway, a worker and a small model on one machine."""
