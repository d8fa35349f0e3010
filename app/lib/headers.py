"""Names of request headers that both the HTTP layer and error messages of services use."""

ACCOUNT = "x-bf-api-key"  # the name of an account, not a credential
PROJECT = "x-bf-project"
