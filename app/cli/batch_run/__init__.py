"""`batchgate batch run`: uploads a file, starts a batch and waits for it, over HTTP like any client."""
