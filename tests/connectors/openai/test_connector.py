"""Connectors of OpenAI's family against fakes of each provider: files, jobs, results and containers."""

import time

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamServerError
from app.connectors.contract.objects import NewContainer, SoughtJob, Usage
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import provider_app
from tests.fakes.openai_quirks import CHAT, QUIRKS, RESPONSES
from tests.fakes.serving import ServedApp
from tests.support.openai_family import KEY, MARKER, by_id, connect, ended, lines, new_file, payload, started

REFUSED = {
    "error": {"message": "The prompt was refused.", "type": "invalid_request_error", "param": None, "code": None}
}
HOUR_S = 3600


@pytest.fixture
def provider(request):
    return getattr(request, "param", "openai")


@pytest.fixture
def fake(provider):
    return provider_app(provider, api_key=KEY)


@pytest.fixture
def server(fake):
    with ServedApp(fake) as server:
        yield server


@pytest.fixture
def connector(provider, server, fake):
    base_url = server.url if provider in ("azure", "perplexity") else server.url + fake.quirks.prefix
    connector = connect(provider, base_url)
    yield connector
    connector.close()


@pytest.fixture
def endpoint(fake):
    return fake.quirks.endpoints[0]


every_provider = pytest.mark.parametrize("provider", list(QUIRKS), indirect=True)


def at(*providers):
    return pytest.mark.parametrize("provider", providers, indirect=True)


@every_provider
def test_a_job_gives_the_same_results_everywhere(connector, fake, endpoint):
    texts = ["one", "two"] if endpoint == RESPONSES else ["one", "refuse-this", "three"]
    data = lines(connector, texts, endpoint=endpoint)

    job = started(connector, data, endpoint=endpoint, metadata={"team": "x"})
    before = job.status
    job = ended(connector, job)

    assert before == "validating"
    assert (job.status, job.marker, job.metadata, job.endpoint) == ("completed", MARKER, {"team": "x"}, endpoint)
    assert job.total == len(texts)
    assert abs(job.created_at / 1000 - time.time()) < 60 and job.ended_at >= job.created_at
    assert (job.usage is not None) == fake.quirks.usage
    results = by_id(connector.results(job))
    assert sorted(results) == [f"r-{number}" for number in range(len(texts))]
    for number, text in enumerate(texts):
        result = results[f"r-{number}"]
        if text == "refuse-this":
            assert (result.status_code, orjson.loads(result.body)) == (400, REFUSED)
            assert result.usage == Usage()
        else:
            assert result.status_code == 200 and result.error_code is None
            assert text.encode() in result.body and result.usage.total_tokens > 0
            assert result.request_id.startswith("req_")


@every_provider
def test_an_expiry_is_told_only_where_uploads_take_one(connector, fake, endpoint):
    data = lines(connector, ["one"], endpoint=endpoint)

    file = connector.upload_file(new_file(data, expires_after_s=20 * 24 * HOUR_S))

    kept = fake.files[file.id].fields["expires_at"]
    days = None if kept is None else round((kept - time.time()) / 24 / HOUR_S)
    assert days == (20 if connector.target.options.get("file_expiry") else fake.quirks.file_days)


def test_lists_have_pages_newest_first(connector, fake, endpoint):
    jobs = [fake.add_job([], endpoint=endpoint, model="", fields={"window": "24h"}).id for _ in range(103)]
    files = [fake.add_file(b"", filename="a.jsonl", purpose="batch").id for _ in range(103)]

    for listed, made in ((connector.list_jobs, jobs), (connector.list_files, files)):
        first = listed()
        second = listed(after=first.after)

        assert [found.id for found in (*first.items, *second.items)] == made[::-1]
        assert first.after == made[3] and second.after is None


@at("groq")
def test_groq_lists_everything_at_once_and_asks_no_query(connector, server, endpoint):
    jobs = [started(connector, lines(connector, ["one"])).id for _ in range(3)]

    assert [job.id for job in connector.list_jobs().items] == jobs[::-1]
    assert len(connector.list_files().items) == 3 and connector.list_files().after is None
    assert {request.query for request in server.requests} == {""}


def test_sixteen_pairs_leave_no_room_for_a_marker(connector, fake):
    metadata = {f"k{number}": "v" for number in range(16)}

    job = started(connector, lines(connector, ["one"]), metadata=metadata)

    assert (job.marker, job.metadata) == (None, metadata)
    found = connector.find_jobs(SoughtJob(MARKER, job.input_id, job.created_at))
    assert [each.id for each in found] == [job.id]
    assert connector.find_jobs(SoughtJob(MARKER, "file-other", job.created_at)) == []


def test_an_account_can_say_that_jobs_keep_no_metadata(server, fake):
    connector = connect("openai", server.base_url, metadata="none")
    job = started(connector, lines(connector, ["one"]))
    connector.close()

    assert fake.job(job.id).fields["metadata"] is None


@at("openai", "deepinfra", "parasail")
def test_the_expiry_of_results_is_told_where_jobs_take_one(provider, connector, fake):
    job = started(connector, lines(connector, ["one"]), output_expires_after_s=HOUR_S)

    told = fake.job(job.id).fields["output_expires_after"]

    assert told == (None if provider == "parasail" else {"anchor": "created_at", "seconds": HOUR_S})


@every_provider
def test_a_cancelled_job_keeps_what_ran_and_one_that_is_over_is_told(connector, fake, endpoint):
    fake.looks_to_end, fake.ran_before_end = None, 1
    job = started(connector, lines(connector, ["one", "two"], endpoint=endpoint), endpoint=endpoint)
    connector.retrieve_job(job.id)

    assert connector.cancel_job(job.id).status == "cancelling"
    job = ended(connector, job)

    assert job.status == "cancelled" and connector.cancel_job(job.id).status == "cancelled"
    results = by_id(connector.results(job))
    assert results["r-0"].status_code == 200
    assert (results["r-1"].status_code, results["r-1"].error_code) == (None, "batch_cancelled")
    assert "cancelled" in results["r-1"].message


def test_an_expired_job_tells_which_lines_never_ran(connector, fake):
    fake.looks_to_end = None
    job = started(connector, lines(connector, ["one"]))
    fake.end(fake.job(job.id), "expired")

    job = connector.retrieve_job(job.id)

    assert (job.status, job.output_id) == ("expired", None) and job.ended_at
    assert [result.error_code for result in connector.results(job)] == ["batch_expired"]


@at("openai", "azure", "deepinfra")
def test_what_is_wrong_with_an_input_is_told_in_openais_words(connector, fake):
    fake.models = ("m-1", "m-2")
    mixed = lines(connector, ["one"]) + lines(connector, ["two"], model="m-2").replace(b"r-0", b"r-1")
    cases = {
        lines(connector, ["one"]) * 2: ("duplicate_custom_id", 2),
        mixed: ("mismatched_model", 2),
        lines(connector, ["one"]) + b"{nonsense\n": ("invalid_json_line", 2),
        lines(connector, ["one"], model="m-3"): ("model_not_found", 1),
        lines(connector, ["one"], endpoint="/v1/embeddings"): ("invalid_url", 1),
    }
    for data, (code, number) in cases.items():
        job = ended(connector, started(connector, data))

        assert (job.status, job.output_id, job.error_id) == ("failed", None, None)
        assert [(error.code, error.line) for error in job.errors] == [(code, number)]
        assert job.errors[0].message
        assert list(connector.results(job)) == []


def test_refusals_name_the_field(connector):
    with pytest.raises(RefusedError) as refusal:
        started(connector, lines(connector, ["one"]), endpoint="/v1/other")
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, "endpoint", "invalid_value")


@every_provider
def test_lines_run_one_by_one_too(connector, provider, server):
    endpoint = next(iter(connector.abilities.lines & {CHAT}))

    answer = connector.run_line(LineCall(endpoint, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, 5))

    assert answer.status_code == 200 and b"you said: hi" in answer.body
    wanted = {
        "deepinfra": "/v1/openai/chat/completions",
        "perplexity": "/chat/completions",
        "azure": "/openai/v1/chat/completions",
        "groq": "/openai/v1/chat/completions",
    }
    assert server.requests[-1].path == wanted.get(provider, CHAT)


def test_an_organization_and_a_project_are_sent(server):
    connector = connect("openai", server.base_url, organization="org-1", project="proj-1")
    connector.check()
    connector.close()

    headers = server.requests[-1].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


@at("openai", "azure")
def test_containers_and_their_files(connector, fake):
    policy = {"type": "allowlist", "allowed_domains": ["example.com"]}
    box = connector.create_container(NewContainer("box", 10, "4g", policy))
    file = connector.upload_file(new_file(b"from files", filename="b c.txt", purpose="user_data"))

    put = connector.put_container_file(box.id, 'a "é".txt', payload(b"x" * 5000))
    copied = connector.copy_container_file(box.id, file.id)
    made = fake.put(box.id, "/mnt/data/plot.png", b"png")

    assert (box.name, box.status, box.expires_after_minutes, box.memory_limit) == ("box", "running", 10, "4g")
    assert box.network_policy == policy and box.last_active_at
    assert (put.bytes, put.source) == (5000, "user") and put.path.endswith('a "é".txt')
    others = [fake.put(box.id, f"/mnt/data/{number}", b"")["id"] for number in range(100)]
    first = connector.list_container_files(box.id)
    second = connector.list_container_files(box.id, after=first.after)
    assert [found.id for found in first.items] == others[::-1] and second.after is None
    assert [found.id for found in second.items] == [made["id"], copied.id, put.id]
    assert connector.retrieve_container_file(box.id, made["id"]).source == "assistant"
    with connector.read_container_file(box.id, copied.id) as download:
        assert b"".join(download.chunks) == b"from files"
    connector.delete_container_file(box.id, put.id)
    connector.delete_container_file(box.id, put.id)
    with pytest.raises(MissingError):
        connector.retrieve_container_file(box.id, put.id)


@at("openai", "azure")
def test_containers_are_listed_expire_and_go(connector, fake):
    made = [connector.create_container(NewContainer(f"c{number}", 20, "1g")).id for number in range(102)]

    first = connector.list_containers()
    rest = connector.list_containers(after=first.after)
    fake.expire(made[0])
    fake.running_word, fake.says_deleted = "active", False

    assert [found.id for found in (*first.items, *rest.items)] == made[::-1]
    assert connector.retrieve_container(made[0]).status == "expired"
    assert connector.retrieve_container(made[1]).status == "running"
    with pytest.raises(RefusedError, match="expired"):
        connector.put_container_file(made[0], "a.txt", payload(b"x"))
    connector.delete_container(made[0])
    with pytest.raises(MissingError):
        connector.delete_container(made[0])
    with pytest.raises(MissingError):
        connector.retrieve_container(made[0])


@at("deepinfra")
def test_ids_of_others_are_quoted(connector, server):
    with pytest.raises(MissingError):
        connector.retrieve_file("../batches/x?y")

    assert server.requests[-1].path.endswith("/files/..%2Fbatches%2Fx%3Fy")


def test_a_file_that_could_not_be_processed_is_told(connector, fake):
    file = connector.upload_file(new_file(b""))
    fake.file_object = lambda file: {"id": file.id, "status": "Error", "filename": None, "bytes": None}

    told = connector.retrieve_file(file.id)

    assert (told.status, told.filename, told.bytes) == ("error", "", None)


def test_a_page_that_leads_to_itself_is_an_error(connector, server):
    page = {"data": [{"id": "batch_same", "status": "completed"}], "has_more": True, "last_id": "batch_same"}
    server.faults.add(Fault(status=200, body=orjson.dumps(page)))

    assert connector.list_jobs().after == "batch_same"
    with pytest.raises(UpstreamServerError, match="leads to itself"):
        connector.list_jobs(after="batch_same")
