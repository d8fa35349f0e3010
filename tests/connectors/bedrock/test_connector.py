"""The connector of Bedrock against its fake: records of each family, jobs by name, results in a bucket."""

import hashlib
import json
from dataclasses import replace

import boto3
import orjson
import pytest
from botocore.config import Config

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import (
    ConfigurationError,
    MissingError,
    RefusedError,
    UpstreamServerError,
)
from app.connectors.contract.objects import JobLine, NativeJob, SoughtJob
from app.connectors.providers.bedrock import shapes
from app.connectors.providers.bedrock.connector import Bedrock
from app.translate import dialects
from app.translate.errors import TranslationError
from app.translate.neutral import EmbeddingAnswer
from tests.fakes.bedrock_app import ACCESS_KEY_ID, ARN, BUCKET, REGION, ROLE, BedrockApp
from tests.fakes.faults import Fault
from tests.fakes.openai_app import OpenAIApp
from tests.fakes.serving import ServedApp
from tests.support.native_jobs import (
    CHAT,
    encoded,
    job_lines,
    new_file,
    new_job,
    plain,
    secrets_in,
    target,
    until_over,
    wanted,
)
from tests.support.seaweed import SECRET

EMBEDDINGS = "/v1/embeddings"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
GPT = "openai.gpt-oss-20b-1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
KEYS = json.dumps({"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET})
LINES = 100
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
JOB = NativeJob(ARN + "0" * 12, "completed", output_id=f"s3://{BUCKET}/team/jobs/{'0' * 12}/x.jsonl.out", model=CLAUDE)


@pytest.fixture
def app():
    return BedrockApp(api_key=SECRET)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


def made_of(url, *, key=KEYS, **options):
    own = {"bucket": BUCKET, "prefix": "team", "role_arn": ROLE, "s3_url": url, "runtime_url": url, **options}
    return Bedrock(target("bedrock", url, key=key, options=own))


@pytest.fixture
def connector(server):
    connector = made_of(server.url)
    yield connector
    connector.close()


@pytest.fixture
def make(server):
    """Makes further connectors of the same account."""
    made = []

    def make(**options):
        made.append(made_of(server.url, **options))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


def submit(connector, lines=None, *, model=CLAUDE, count=LINES, marker="batch_0a1b-1", **fields):
    data = encoded(connector, lines or job_lines(model, count=count))
    named = marker if marker.startswith("batch_") else hashlib.sha256(marker.encode()).hexdigest()
    file = connector.upload_file(new_file(data, filename=f"batchgate-{named}.jsonl"))
    return connector.create_job(new_job(model, lines=count, marker=marker, input_id=file.id, **fields))


def results(connector, job, *, endpoint=CHAT, model=CLAUDE):
    """What came of a job, asked for as the gateway does: with what it remembers of it."""
    return list(connector.results(replace(job, endpoint=endpoint, model=model)))


def said(found, model):
    """Results of chats as OpenAI's dialect has them."""
    for result in found:
        if result.answer is None:
            yield result
            continue
        body = dialects.write_answer(CHAT, result.answer, request={}, answer_id="x", model=model, now_s=1)
        yield replace(result, body=orjson.dumps(body))


def read(manager):
    with manager as download:
        return b"".join(download.chunks)


def test_a_job_says_where_its_lines_and_its_results_lie(connector):
    made = submit(connector)
    over = until_over(connector, made)

    assert (made.marker, over.model) == ("batch-0a1b-1", CLAUDE)
    assert (over.total, over.completed, over.failed) == (100, 95, 5)
    assert over.input_id == made.input_id
    assert over.output_id == f"s3://{BUCKET}/team/jobs/{made.id[-12:]}/batchgate-batch_0a1b-1.jsonl.out"


def test_a_llama_takes_one_text(connector):
    over = until_over(connector, submit(connector, model=LLAMA))
    found = {result.custom_id: result for result in results(connector, over, model=LLAMA)}

    assert found["line-1"].answer.choices[0].parts[0].endswith("you said: Question 1?")
    assert (found["line-17"].status_code, len(found)) == (400, LINES)


def test_converse_is_one_shape_for_all_and_read_whatever_the_account_says_now(make, server):
    speaks, other = make(mode="converse"), make()
    over = until_over(speaks, submit(speaks))
    [created] = [request.json for request in server.requests if request.path == "/model-invocation-job"]

    assert created["modelInvocationType"] == "Converse"
    for connector in (speaks, other):
        assert plain(said(results(connector, over), CLAUDE)) == wanted(count=LINES)
    line = JobLine("1", CHAT, CLAUDE, {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL]})
    with pytest.raises(TranslationError):
        speaks.encode_line(line)
    assert b'"tools"' in other.encode_line(line).data
    vectors = speaks.encode_line(JobLine("1", EMBEDDINGS, TITAN, {"input": "x"}))
    assert orjson.loads(vectors.data)["modelInput"] == {"inputText": "x"}


def test_the_request_says_what_bedrock_takes(server, connector):
    submit(connector, metadata={"team": "blue", "aws:x": "no", "größe": "no", "long": "x" * 257}, count=1)

    [sent] = [request.json for request in server.requests if request.path == "/model-invocation-job"]
    token = sent.pop("clientRequestToken")
    assert token.isalnum() and len(token) == 64
    assert sent == {
        "jobName": "batch-0a1b-1",
        "roleArn": ROLE,
        "modelId": CLAUDE,
        "inputDataConfig": {
            "s3InputDataConfig": {
                "s3Uri": f"s3://{BUCKET}/team/batchgate-batch_0a1b-1.jsonl",
                "s3InputFormat": "JSONL",
            }
        },
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/team/jobs/"}},
        "timeoutDurationInHours": 24,
        "tags": [{"key": "team", "value": "blue"}],
    }


@pytest.mark.parametrize("marker", ["batch_0a1b-1", "batch_0a1b-1.2", "é", "-x", "b" * 64, "a b"])
def test_every_marker_is_a_name_that_finds_its_job(server, connector, marker):
    made = submit(connector, count=1, marker=marker)
    submit(connector, count=1, marker=f"{marker}0")

    sought = SoughtJob(marker, made.input_id, 0)
    assert [(job.id, job.marker) for job in connector.find_jobs(sought)] == [(made.id, marker)]
    assert connector.find_jobs(replace(sought, marker="another")) == []


def test_a_job_is_made_once_however_often_it_is_asked_for(app, connector):
    first = submit(connector, count=1)
    file = connector.list_files().items[0]
    again = connector.create_job(new_job(CLAUDE, lines=1, marker="batch_0a1b-1", input_id=file.id))

    assert again.id == first.id and len(app.jobs) == 1
    app.jobs[first.id].fields["clientRequestToken"] = "another"
    with pytest.raises(RefusedError) as refused:
        connector.create_job(new_job(CLAUDE, lines=1, marker="batch_0a1b-1", input_id=file.id))
    assert (refused.value.status, refused.value.code) == (400, "ConflictException")


def test_jobs_are_listed_to_the_end_newest_first(app, connector):
    app.page = 3
    made = [submit(connector, count=1, marker=f"batch_{n}-1").id for n in range(7)]

    found, after = [], None
    while True:
        page = connector.list_jobs(after=after)
        found += [job.id for job in page.items]
        after = page.after
        if after is None:
            break
    assert found == made[::-1]
    assert connector.find_jobs(SoughtJob("batch_0-1", None, 0))[0].id == made[0]


def test_too_few_records_fail_the_job_in_the_words_of_aws(connector):
    over = until_over(connector, submit(connector, count=99))

    assert over.status == "failed" and "required minimum of: 100" in over.errors[0].message
    assert results(connector, over) == list(connector.raw_results(over)) == []


def test_the_least_is_a_quota_that_an_account_may_have_otherwise(connector, make):
    assert connector.abilities.jobs.min_lines == 100
    assert make(min_records="5").abilities.jobs.min_lines == 5
    assert make(min_records="5").abilities.jobs.custom_id == connector.abilities.jobs.custom_id


def test_a_job_is_stopped_and_one_that_is_over_is_answered_as_it_is(app, connector):
    app.looks_to_end = None
    made = submit(connector)
    connector.retrieve_job(made.id)
    connector.retrieve_job(made.id)
    stopping = connector.cancel_job(made.id)
    over = until_over(connector, stopping)

    assert stopping.status in ("cancelling", "cancelled")
    assert over.status == connector.cancel_job(made.id).status == "cancelled"
    assert len(results(connector, over)) == LINES // 2
    with pytest.raises(MissingError):
        connector.cancel_job("0" * 12)


def test_a_job_that_expired_keeps_what_it_has(app, connector):
    made = submit(connector)
    connector.retrieve_job(made.id)
    app.end(app.jobs[made.id], "expired")
    over = connector.retrieve_job(made.id)

    assert (over.status, over.native_status) == ("expired", "Expired")
    assert len(results(connector, over)) == LINES // 2


def test_a_part_of_the_lines_is_a_job_that_is_completed(app, connector):
    made = submit(connector)
    connector.retrieve_job(made.id)
    app.end(app.jobs[made.id], "partial")
    over = connector.retrieve_job(made.id)

    assert (over.status, over.native_status, over.errors) == ("completed", "PartiallyCompleted", ())
    assert len(results(connector, over)) == LINES // 2


def test_a_job_that_stopped_at_once_has_nothing_and_one_that_completed_must_have(app, connector):
    made = submit(connector)
    connector.cancel_job(made.id)
    over = until_over(connector, connector.retrieve_job(made.id))

    assert (over.status, results(connector, over)) == ("cancelled", [])
    with pytest.raises(MissingError):
        results(connector, replace(over, status="completed"))


def test_a_job_with_a_folder_of_inputs_has_a_folder_of_results(app, connector):
    app.memory.put(BUCKET, f"team/jobs/{'a' * 12}/one.jsonl.out", b'{"recordId":"1","modelOutput":{}}\n')
    app.memory.put(BUCKET, f"team/jobs/{'a' * 12}/two.jsonl.out", b'{"recordId":"2","modelOutput":{}}\n')
    app.memory.put(BUCKET, f"team/jobs/{'a' * 12}/manifest.json.out", b"{}")
    folder = shapes.output_uri(f"s3://{BUCKET}/team/jobs/", ARN + "a" * 12, f"s3://{BUCKET}/team/in/")
    job = replace(JOB, output_id=folder)

    assert sorted(row[:16] for row in connector.raw_results(job)) == [b'{"recordId":"1",', b'{"recordId":"2",']


def test_what_bedrock_wrote_is_given_as_it_wrote_it(app, connector):
    over = until_over(connector, submit(connector))
    key = over.output_id.removeprefix(f"s3://{BUCKET}/")

    assert b"".join(connector.raw_results(over)) == app.memory.get(BUCKET, key)


def texts(count):
    return [f"text {n}" for n in range(count)]


def vectors_of(inputs):
    body = OpenAIApp(models=()).routes[EMBEDDINGS]({"model": "m", "input": inputs})
    return [item["embedding"] for item in body["data"]], body["usage"]["prompt_tokens"]


@pytest.mark.parametrize(("model", "records"), [(TITAN, 1 + 3 + 200), (COHERE, 1 + 1 + 3)])
def test_texts_of_a_line_are_records_of_their_own_and_their_vectors_come_back_in_order(app, connector, model, records):
    app.min_records = 1
    asked = {"one": "single", "three": texts(3), "many": texts(200)}
    lines = [JobLine(name, EMBEDDINGS, model, {"input": given}) for name, given in asked.items()]
    assert sum(connector.encode_line(line).records for line in lines) == records
    over = until_over(connector, submit(connector, lines, model=model, count=3, endpoint=EMBEDDINGS))

    assert (over.status, over.total, over.completed, over.failed) == ("completed", None, None, None)
    found = {result.custom_id: result for result in results(connector, over, endpoint=EMBEDDINGS, model=model)}
    assert set(found) == set(asked)
    for name, given in asked.items():
        vectors, tokens = vectors_of([given] if isinstance(given, str) else given)
        assert found[name].answer.vectors == vectors
        assert found[name].usage.input_tokens == (tokens if model == TITAN else 0)


@pytest.mark.parametrize("model", [TITAN, COHERE])
@pytest.mark.parametrize("count", [1, 2, 97])
def test_a_single_line_of_many_texts_is_sent_in_as_many_calls_as_it_takes(server, connector, model, count):
    answer = connector.run_line(LineCall(EMBEDDINGS, {"model": model, "input": texts(count)}, 5.0))

    assert isinstance(answer.answer, EmbeddingAnswer) and answer.answer.vectors == vectors_of(texts(count))[0]
    assert len(server.requests) == (count if model == TITAN else 1 + (count > 96))


@pytest.mark.parametrize("options", [{}, {"mode": "converse"}])
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_single_lines_are_answered(make, model, options):
    connector = make(**options)
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "user": "u"}
    fine = connector.run_line(LineCall(CHAT, asked, 5.0))
    asked["messages"] = [{"role": "user", "content": "please refuse-this"}]
    refused = connector.run_line(LineCall(CHAT, asked, 5.0))
    unknown = connector.run_line(LineCall(CHAT, {**asked, "model": "what.is-this"}, 5.0))

    assert fine.status_code == 200 and fine.answer.choices[0].parts[0].endswith("you said: Hello")
    assert fine.request_id
    assert (refused.status_code, orjson.loads(refused.body)["error"]["message"]) == (400, "The prompt was refused.")
    assert unknown.status_code == 400


def test_what_is_left_out_of_a_line_is_told(connector):
    body = {"messages": [{"role": "user", "content": "x"}], "seed": 1, "frequency_penalty": 1}
    assert {"seed", "frequency_penalty"} <= set(connector.encode_line(JobLine("1", CHAT, CLAUDE, body)).dropped)
    embedding = JobLine("1", EMBEDDINGS, TITAN, {"input": "x", "user": "u"})
    assert connector.encode_line(embedding).dropped == ("user",)


def test_a_key_of_bedrock_opens_jobs_and_keys_of_aws_the_bucket(app, server):
    both = json.dumps({**json.loads(KEYS), "api_key": SECRET})
    connector = made_of(server.url, key=both)
    over = until_over(connector, submit(connector))
    connector.check()
    connector.close()

    assert over.status == "completed"
    sent = {request.headers["authorization"][:6] for request in server.requests if "model-inv" in request.path}
    assert sent == {"Bearer"}


def test_a_credential_is_tried_at_jobs_and_at_the_bucket(server, connector):
    connector.check()
    assert [request.path for request in server.requests] == ["/model-invocation-jobs", f"/{BUCKET}"]

    wrong = made_of(server.url, key=KEYS.replace(SECRET, "sk-canary-other"))
    for call in (wrong.check, lambda: wrong.upload_file(new_file(b"x")), lambda: submit(wrong, count=1)):
        with pytest.raises(RefusedError) as refused:
            call()
        assert refused.value.status == 403 and not secrets_in(refused.value, "sk-canary-other")
    wrong.close()


@pytest.mark.parametrize(
    ("base", "options", "hosts"),
    [
        ("https://bedrock.us-east-1.amazonaws.com", {"region": "eu-west-1"}, "eu-west-1.amazonaws.com"),
        ("https://bedrock.ap-south-1.amazonaws.com", {}, "ap-south-1.amazonaws.com"),
        ("https://bedrock.us-east-1.amazonaws.com", {"region": "cn-north-1"}, "cn-north-1.amazonaws.com.cn"),
    ],
)
def test_hosts_follow_the_region(base, options, hosts):
    connector = Bedrock(target("bedrock", base, key=KEYS, options={"bucket": "data", **options}))
    clients = (connector._api, connector._line_client, connector._bucket._api)

    assert [client.remote.base_url for client in clients] == [
        f"https://bedrock.{hosts}",
        f"https://bedrock-runtime.{hosts}",
        f"https://data.s3.{hosts}",
    ]


@pytest.mark.parametrize("options", [{"mode": "else"}, {"min_records": "0"}, {"min_records": "x"}, {"bucket": "B"}])
def test_options_that_are_none(make, options):
    with pytest.raises(ConfigurationError):
        make(**options)


def test_what_an_account_lacks_for_jobs_is_told(server, make):
    with pytest.raises(RefusedError, match="AWS_BEDROCK_ROLE_ARN"):
        make(role_arn="").create_job(new_job(CLAUDE, lines=1, input_id=f"s3://{BUCKET}/team/x.jsonl"))
    with pytest.raises(MissingError):
        make().create_job(new_job(CLAUDE, lines=1, input_id=f"s3://{BUCKET}/x.jsonl"))
    assert server.requests == []


def test_an_account_that_is_full_is_waited_for(server, connector):
    headers = {"x-amzn-ErrorType": "ServiceQuotaExceededException"}
    server.faults.add(Fault(path="-job", status=400, body=b'{"message": "20 jobs."}', headers=headers))
    with pytest.raises(RefusedError) as refused:
        submit(connector, count=1)

    assert (refused.value.code, refused.value.message) == ("too_many_batches", "20 jobs.")


def test_refusals_of_records_are_read_in_every_form(server, connector):
    errors = [
        {"errorCode": 400, "errorMessage": "No."},
        {"errorCode": 429, "errorMessage": "Later."},
        {"errorCode": "400", "errorMessage": "Odd."},
        {"errorCode": 7},
        {"errorMessage": 3},
        "plain",
    ]
    rows = [{"recordId": f"{n}", "modelInput": {}, "error": error} for n, error in enumerate(errors)]
    rows += [{"recordId": "none"}, {"recordId": "odd", "modelOutput": [1]}]
    server.faults.add(Fault(status=200, body=b"\n".join(map(orjson.dumps, rows))))
    found = results(connector, JOB)

    assert [result.status_code for result in found] == [400, 429, 500, 500, 500, 500, None, None]
    assert [orjson.loads(result.body)["error"]["message"] for result in found[:3]] == ["No.", "Later.", "Odd."]
    assert {result.error_code for result in found[6:]} == {"bad_answer"}


def test_a_list_without_an_end_is_a_bad_answer(app, connector, monkeypatch):
    app.add_job([], endpoint="", model=CLAUDE, fields={"jobName": "batch-x-10", "timeoutDurationInHours": 24})
    monkeypatch.setattr(app, "page", 0)
    tokens = iter(range(10**6))
    listed = app._list
    app._routes = [
        (method, pattern, (lambda request: {**listed(request), "nextToken": str(next(tokens))}))
        if handler == app._list
        else (method, pattern, handler)
        for method, pattern, handler in app._routes
    ]
    with pytest.raises(UpstreamServerError, match="does not end"):
        connector.find_jobs(SoughtJob("batch_x-1", None, 0))


def test_boto3_sees_the_same_jobs_and_objects(app, server, seaweed):
    """Input, output and manifest lie in a real bucket as AWS lays them, and two jobs never mix."""
    bucket = seaweed.bucket("connector")
    app.store = RealStore(seaweed.client)
    connector = made_of(server.url, s3_url=seaweed.url, bucket=bucket)
    client = boto3.client(
        "bedrock",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}),
    )
    made = {marker: submit(connector, marker=marker) for marker in ("batch_a-1", "batch_b-1")}
    over = {marker: until_over(connector, job) for marker, job in made.items()}
    theirs = client.list_model_invocation_jobs(sortBy="CreationTime", sortOrder="Descending")["invocationJobSummaries"]
    listed = {item["Key"] for item in seaweed.client.list_objects_v2(Bucket=bucket)["Contents"]}

    assert [job["jobArn"] for job in theirs] == [job.id for job in reversed(made.values())]
    assert [job["status"] for job in theirs] == ["Completed", "Completed"]
    assert listed == {
        *(f"team/batchgate-{marker}.jsonl" for marker in made),
        *(f"team/jobs/{job.id[-12:]}/batchgate-{marker}.jsonl.out" for marker, job in made.items()),
        *(f"team/jobs/{job.id[-12:]}/manifest.json.out" for job in made.values()),
    }
    for marker, job in over.items():
        told = client.get_model_invocation_job(jobIdentifier=job.id)
        assert (told["jobName"], told["totalRecordCount"]) == (marker.replace("_", "-"), LINES)
        assert told["inputDataConfig"]["s3InputDataConfig"]["s3Uri"] == made[marker].input_id
        assert plain(said(results(connector, job), CLAUDE)) == wanted(count=LINES)
    client.stop_model_invocation_job(jobIdentifier=submit(connector, marker="batch_c-1").id)
    assert connector.find_jobs(SoughtJob("batch_c-1", None, 0))[0].status == "cancelling"
    client.close()
    connector.close()


class RealStore:
    """Where the fake's jobs read and write: a real bucket."""

    def __init__(self, client):
        self.client = client

    def get(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def put(self, bucket, key, data):
        self.client.put_object(Bucket=bucket, Key=key, Body=data)
