"""Commands of a client, against the gateway on a real socket."""
