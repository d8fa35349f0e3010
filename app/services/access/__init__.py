"""Who may call, and what they may do: keys, JWTs, provider keys, projects, permissions, sealed secrets."""
