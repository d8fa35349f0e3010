"""Parts that an upload has not: it cannot be completed with them, however well they fit."""

from tests.api.openai.test_uploads import added, begun, complete
from tests.conftest import KeyClient


def test_a_part_of_another_upload_is_unknown(client: KeyClient, other_client: KeyClient) -> None:
    mine, another = begun(client, 5), begun(client, 5)
    part = added(client, mine, b"12345")
    foreign = added(other_client, begun(other_client, 5), b"12345")
    for wrong in (added(client, another, b"12345"), foreign):
        refused = complete(client, mine, [wrong])
        assert (refused.status_code, refused.json["error"]["param"]) == (400, "part_ids")
    assert complete(client, mine, [part]).status_code == 200
