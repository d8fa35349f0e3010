"""Single lines, and what is asked of an account before any work."""

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import UpstreamError
from tests.connectors.contract.specimens import SPECIMENS, abilities
from tests.e2e.conformance.farm import key_of
from tests.fakes.faults import Fault
from tests.support.native_jobs import CHAT, REFUSAL

LINES = pytest.mark.parametrize(
    "specimen", [each for each in SPECIMENS if CHAT in abilities(each).lines], ids=lambda specimen: specimen.provider
)


def answered(specimen, connector, text):
    body = {"model": specimen.models[0], "messages": [{"role": "user", "content": text}], "max_tokens": 50}
    return connector.run_line(LineCall(CHAT, body, 5.0))


@LINES
def test_a_single_line_is_answered(specimen, connector):
    answer = answered(specimen, connector, "Hello")

    assert answer.status_code == 200 and answer.usage.total_tokens > 0
    if answer.answer is not None:
        text = answer.answer.choices[0].parts[0]
    else:
        text = orjson.loads(answer.body)["choices"][0]["message"]["content"]
    assert text.endswith("you said: Hello")


@LINES
def test_a_single_line_is_refused_in_openais_words(specimen, connector):
    answer = answered(specimen, connector, "please refuse-this")

    assert answer.status_code == 400 and answer.answer is None
    assert orjson.loads(answer.body)["error"]["message"] == REFUSAL["error"]["message"]


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.provider)
def test_a_check_changes_nothing(specimen, server, connector):
    connector.check()

    assert connector.healthy
    assert all(request.method == "GET" or request.body == b"{}" for request in server.requests)


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.provider)
def test_a_check_proves_the_credential_where_anyone_may_list_models(specimen, server, connector):
    server.faults.add(Fault(method="GET", path="models", body=b'{"data": [], "models": []}', status=200))
    server.faults.add(Fault(status=401, body=b'{"error": {"message": "No such key."}}'))

    with pytest.raises(UpstreamError) as refused:
        connector.check()
    assert refused.value.status == 401


@LINES
def test_models_are_listed_by_their_ids(specimen, connector):
    models = connector.list_models(timeout_s=5.0)

    assert models or "list_models" not in specimen.answers
    assert all(model["id"] for model in models)


SPELLINGS = {
    "plain": lambda key: key,
    "escaped": lambda key: "".join(f"\\u{ord(character):04x}" for character in key),
    "half": lambda key: key[:5] + f"\\u{ord(key[5]):04x}" + key[6:],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@LINES
def test_a_refused_line_repeats_no_key_in_any_field(specimen, server, connector, spelling):
    key = key_of(specimen.provider)
    if not key or key.startswith("{"):
        pytest.skip("its credential is no single word")
    text = f'"said {SPELLINGS[spelling](key)} there"'
    members = ", ".join(f'"{name}": {text}' for name in ("message", "code", "type", "param", "status", "detail"))
    body = f'{{"error": {{{members}}}, "message": {text}}}'.encode()
    server.faults.add(Fault(status=400, body=body, headers={"X-Request-Id": f"req {key}"}))

    answer = answered(specimen, connector, "Hello")

    assert answer.status_code == 400
    shown = orjson.dumps(orjson.loads(answer.body)).decode() + answer.request_id
    assert key not in shown and "[redacted]" in shown
