"""The fake of Azure's metadata service is proven with azure-identity."""

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from tests.fakes.imds_app import RESOURCE, SYSTEM, ImdsApp
from tests.fakes.serving import ServedApp

SCOPE = f"{RESOURCE}/.default"


@pytest.fixture
def server(monkeypatch):
    for name in ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with ServedApp(ImdsApp(SYSTEM, "user-1")) as server:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
        yield server


@pytest.mark.parametrize("client_id", [None, "user-1"])
def test_it_gives_tokens_to_identities_of_the_machine(server, client_id):
    with ManagedIdentityCredential(client_id=client_id) as credential:
        token = credential.get_token(SCOPE)

    assert server.app.given == {token.token}
    assert len(server.requests) == 1


def test_it_refuses_an_unknown_identity(server):
    with ManagedIdentityCredential(client_id="user-2") as credential, pytest.raises(ClientAuthenticationError) as error:
        credential.get_token(SCOPE)

    assert "Identity not found" in error.value.message
