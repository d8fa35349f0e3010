"""Commands of a client: they speak HTTP with a virtual key, and never open the store."""
