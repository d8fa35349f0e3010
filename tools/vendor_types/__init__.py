"""What the types of the vendors' SDKs say about the body of a line: which members are ids, and which name models."""
