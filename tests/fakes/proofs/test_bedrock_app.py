"""The fake is proven with boto3, against AWS's own service model, in memory and before a real server that speaks S3."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes import aws_wire
from tests.fakes.bedrock_app import ACCESS_KEY_ID, BUCKET, REGION, ROLE, BedrockApp
from tests.fakes.serving import ServedApp
from tests.support.seaweed import SECRET, s3_client

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
INPUT = "in/input.jsonl"


@pytest.fixture
def app():
    app = BedrockApp(api_key=SECRET)
    app.min_records = 2
    return app


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


def client(kind, url, *, secret=SECRET):
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": secret}
    return boto3.client(kind, endpoint_url=url, region_name=REGION, config=config, **keys)


@pytest.fixture
def bedrock(server):
    bedrock = client("bedrock", server.url)
    yield bedrock
    bedrock.close()


@pytest.fixture
def s3(server):
    s3 = s3_client(server.url)
    yield s3
    s3.close()


def claude(text):
    return {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": text}],
    }


def nova(text):
    return {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": text}]}]}


def chat(text):
    return {"messages": [{"role": "user", "content": text}]}


def llama(text):
    turn = f"<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    return {"prompt": f"<|begin_of_text|>{turn}<|start_header_id|>assistant<|end_header_id|>\n\n", "max_gen_len": 99}


def lines(*inputs):
    records = [{"recordId": f"R{number}", "modelInput": given} for number, given in enumerate(inputs, 1)]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def create(bedrock, *, name="job-1", bucket=BUCKET, key=INPUT, model=MODEL, output="out/", **more):
    made = bedrock.create_model_invocation_job(
        jobName=name,
        roleArn=ROLE,
        modelId=model,
        inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{bucket}/{key}", "s3InputFormat": "JSONL"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{bucket}/{output}"}},
        **more,
    )
    return made["jobArn"]


def over(bedrock, arn):
    for _ in range(10):
        job = bedrock.get_model_invocation_job(jobIdentifier=arn)
        if job["status"] in ("Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"):
            return job
    raise AssertionError(job)


def content(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def rows(s3, arn, *, bucket=BUCKET, key=INPUT, output="out/"):
    path = f"{output}{arn.rpartition('/')[2]}/{key.rpartition('/')[2]}.out"
    return {row["recordId"]: row for row in map(json.loads, content(s3, bucket, path).splitlines())}


def refusal(call):
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def test_a_job_reads_its_input_and_writes_output_and_manifest_where_aws_does(bedrock, s3):
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(claude("one"), claude("please refuse-this"), claude("three")))
    arn = create(bedrock)
    states = [bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] for _ in range(2)]
    job = bedrock.get_model_invocation_job(jobIdentifier=arn.rpartition("/")[2])

    assert states == ["Validating", "Completed"]
    assert (job["totalRecordCount"], job["successRecordCount"], job["errorRecordCount"]) == (3, 2, 1)
    assert job["endTime"] >= job["submitTime"] and job["jobExpirationTime"] > job["endTime"]
    found = rows(s3, arn)
    assert found["R1"]["modelInput"] == claude("one")
    assert found["R1"]["modelOutput"]["content"][0]["text"].endswith("you said: one")
    assert found["R2"] == {
        "recordId": "R2",
        "modelInput": claude("please refuse-this"),
        "error": {"errorCode": 400, "errorMessage": "The prompt was refused."},
    }
    manifest = json.loads(content(s3, BUCKET, f"out/{arn.rpartition('/')[2]}/manifest.json.out"))
    assert (manifest["totalRecordCount"], manifest["errorRecordCount"]) == (3, 1)


@pytest.mark.parametrize("operation", ["GetModelInvocationJob", "ListModelInvocationJobs"])
def test_what_is_told_is_what_the_service_model_has(server, bedrock, s3, operation):
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(claude("one"), claude("two")))
    told = []
    bedrock.meta.events.register(
        f"after-call.bedrock.{operation}", lambda http_response, **_: told.append(json.loads(http_response.content))
    )
    arn = create(bedrock)
    for _ in range(3):
        bedrock.get_model_invocation_job(jobIdentifier=arn)
        bedrock.list_model_invocation_jobs()

    shape = aws_wire.operation("bedrock", operation).output_shape
    assert len(told) == 3
    assert [aws_wire.faults(shape, answer) for answer in told] == [[], [], []]


@pytest.mark.parametrize(
    ("model", "given", "text"),
    [
        (MODEL, claude, lambda output: output["content"][0]["text"]),
        ("amazon.nova-lite-v1:0", nova, lambda output: output["output"]["message"]["content"][0]["text"]),
        ("openai.gpt-oss-20b-1:0", chat, lambda output: output["choices"][0]["message"]["content"]),
        ("meta.llama3-1-8b-instruct-v1:0", llama, lambda output: output["generation"]),
    ],
)
def test_families_answer_alike(server, bedrock, s3, model, given, text):
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(given("one"), {"unknown": 1}))
    arn = create(bedrock, model=model)
    over(bedrock, arn)
    runtime = client("bedrock-runtime", server.url)
    single = json.loads(runtime.invoke_model(modelId=model, body=json.dumps(given("one")))["body"].read())
    runtime.close()

    found = rows(s3, arn)
    assert text(found["R1"]["modelOutput"]) == text(single)
    assert text(single).endswith("you said: one")
    assert found["R2"]["error"]["errorCode"] == 400


def test_converse_has_one_shape_and_no_tools(server, bedrock, s3):
    plain = {"messages": [{"role": "user", "content": [{"text": "one"}]}], "inferenceConfig": {"maxTokens": 50}}
    tool = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(plain, {**plain, "toolConfig": {"tools": [tool]}}))
    arn = create(bedrock, modelInvocationType="Converse")
    over(bedrock, arn)
    runtime = client("bedrock-runtime", server.url)
    single = runtime.converse(modelId=MODEL, **plain)
    runtime.close()

    found = rows(s3, arn)
    assert found["R1"]["modelOutput"]["output"] == single["output"]
    assert (single["stopReason"], single["usage"]["cacheReadInputTokens"]) == ("end_turn", 1)
    assert "toolConfig" in found["R2"]["error"]["errorMessage"]


def test_embeddings_of_both_families(bedrock, s3):
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines({"inputText": "one"}, {"inputText": "", "dimensions": 7}))
    titan = create(bedrock, model="amazon.titan-embed-text-v2:0")
    over(bedrock, titan)
    texts = {"texts": ["one", "two"], "input_type": "search_document"}
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(texts, {**texts, "texts": []}))
    cohere = create(bedrock, name="job-2", model="cohere.embed-multilingual-v3")
    over(bedrock, cohere)

    first, second = rows(s3, titan), rows(s3, cohere)
    assert first["R1"]["modelOutput"]["embedding"] == second["R1"]["modelOutput"]["embeddings"][0]
    assert (first["R1"]["modelOutput"]["inputTextTokenCount"], first["R2"]["error"]["errorCode"]) == (1, 400)
    assert second["R2"]["error"]["errorCode"] == 400


def test_names_are_unique_and_a_token_makes_one_job(bedrock):
    first = create(bedrock, clientRequestToken="t1")

    assert create(bedrock, clientRequestToken="t1") == first
    assert refusal(lambda: create(bedrock, clientRequestToken="t2")) == ("ConflictException", 400)
    assert len(bedrock.list_model_invocation_jobs()["invocationJobSummaries"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobName": "with_underscore"},
        {"roleArn": "role"},
        {"timeoutDurationInHours": 200},
        {"clientRequestToken": "with.dot"},
        {"tags": [{"key": "né", "value": "x"}]},
        {"modelInvocationType": "Else"},
        {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://b/x.txt"}}},
        {"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bkt/out"}}},
        {"more": 1},
    ],
)
def test_wrong_requests_are_refused(server, wrong):
    bedrock = client("bedrock", server.url)
    bedrock.meta.events.register("before-call.bedrock.*", lambda params, **_: _changed(params, wrong))

    assert refusal(lambda: create(bedrock)) == ("ValidationException", 400)
    bedrock.close()


def _changed(params, wrong):
    params["body"] = json.dumps({**json.loads(params["body"]), **wrong}).encode()


def test_jobs_fail_when_their_input_is_not_right(app, bedrock, s3):
    app.min_records, app.max_records = 100, 101
    cases = {
        "less records (2) than the required minimum of: 100": lines(claude("one"), claude("two")),
        "more records (102) than": lines(*[claude("one")] * 102),
        "not valid JSON": b"{\n",
        "no modelInput": b'{"recordId": "a"}\n',
        "does not exist": None,
    }
    for number, (words, data) in enumerate(cases.items()):
        if data is not None:
            s3.put_object(Bucket=BUCKET, Key=f"{number}.jsonl", Body=data)
        job = over(bedrock, create(bedrock, name=f"job-{number}", key=f"{number}.jsonl"))
        assert job["status"] == "Failed" and words in job["message"]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", [])] == []


def test_a_job_is_stopped_once_and_keeps_what_it_has(app, bedrock, s3):
    app.looks_to_end = None
    s3.put_object(Bucket=BUCKET, Key=INPUT, Body=lines(*[claude(f"Question {n}?") for n in range(4)]))
    arn = create(bedrock)
    states = [bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] for _ in range(3)]
    bedrock.stop_model_invocation_job(jobIdentifier=arn)
    stopping = bedrock.list_model_invocation_jobs(statusEquals="Stopping")["invocationJobSummaries"]

    assert states == ["Validating", "Scheduled", "InProgress"]
    assert [job["jobArn"] for job in stopping] == [arn]
    assert over(bedrock, arn)["status"] == "Stopped"
    assert len(rows(s3, arn)) == 2
    assert refusal(lambda: bedrock.stop_model_invocation_job(jobIdentifier=arn)) == ("ConflictException", 400)


def test_jobs_are_listed_in_pages_and_by_name(bedrock):
    made = [create(bedrock, name=f"{'ab'[n % 2]}-{n}") for n in range(5)]
    order = {"sortBy": "CreationTime", "sortOrder": "Descending"}
    pages = bedrock.get_paginator("list_model_invocation_jobs").paginate(PaginationConfig={"PageSize": 2}, **order)
    named = bedrock.list_model_invocation_jobs(nameContains="b-", **order)["invocationJobSummaries"]

    assert [job["jobArn"] for page in pages for job in page["invocationJobSummaries"]] == made[::-1]
    assert [job["jobArn"] for job in named] == [made[3], made[1]]
    missing = lambda: bedrock.get_model_invocation_job(jobIdentifier="0" * 12)  # noqa: E731
    assert refusal(missing) == ("ResourceNotFoundException", 404)


def test_wrong_keys_are_refused_everywhere(server):
    wrong = client("bedrock", server.url, secret="wrong")
    other = s3_client(server.url, secret="wrong")

    assert refusal(lambda: wrong.list_model_invocation_jobs()) == ("UnrecognizedClientException", 403)
    assert refusal(lambda: other.get_object(Bucket=BUCKET, Key="x")) == ("SignatureDoesNotMatch", 403)
    wrong.close()
    other.close()


def test_the_small_s3_does_as_the_real_one(app, server, s3, seaweed):
    bucket = seaweed.bucket("small-and-real")
    app.memory.buckets[bucket] = {}
    odd = "a b+c/ä%2F&<x>~.jsonl"
    told = []
    for store in (s3, seaweed.client):
        for key in (odd, "a/1", "a/2", "b"):
            store.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"purpose": "batch"})
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
        keys = sorted(item["Key"] for page in pages for item in page["Contents"])
        below = [item["Key"] for item in store.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]]
        head = store.head_object(Bucket=bucket, Key=odd)
        store.delete_object(Bucket=bucket, Key="b")
        store.delete_object(Bucket=bucket, Key="b")
        missing = refusal(lambda store=store: store.get_object(Bucket=bucket, Key="b"))
        nowhere = refusal(lambda store=store: store.list_objects_v2(Bucket="not-there"))
        unseen = refusal(lambda store=store: store.head_object(Bucket=bucket, Key="b"))
        whole = content(store, bucket, odd)
        told.append((keys, below, head["ContentLength"], head["Metadata"], missing, nowhere, unseen, whole))

    assert told[0] == told[1]
    assert told[0][0] == sorted(["a/1", "a/2", odd, "b"]) and told[0][4] == ("NoSuchKey", 404)


class Real:
    """A store of jobs in a real server."""

    def __init__(self, s3):
        self.s3 = s3

    def get(self, bucket, key):
        try:
            return content(self.s3, bucket, key)
        except ClientError:
            return None

    def put(self, bucket, key, data):
        self.s3.put_object(Bucket=bucket, Key=key, Body=data)


def test_two_jobs_with_one_prefix_never_mix_in_a_real_bucket(app, bedrock, seaweed):
    bucket = seaweed.bucket("two-jobs")
    app.store = Real(seaweed.client)
    arns = []
    for number in (1, 2):
        data = lines(*[claude(f"job {number} line {n}") for n in range(3)])
        seaweed.client.put_object(Bucket=bucket, Key=f"in/{number}/input.jsonl", Body=data)
        arns.append(create(bedrock, name=f"job-{number}", bucket=bucket, key=f"in/{number}/input.jsonl"))
    ended = [over(bedrock, arn) for arn in arns]

    assert [job["status"] for job in ended] == ["Completed", "Completed"]
    for number, arn in enumerate(arns, 1):
        found = rows(seaweed.client, arn, bucket=bucket)
        assert len(found) == 3
        assert all(f"job {number} line" in row["modelOutput"]["content"][0]["text"] for row in found.values())
    keys = [item["Key"] for item in seaweed.client.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]]
    names = [
        f"out/{arn.rpartition('/')[2]}/{file}" for arn in arns for file in ("input.jsonl.out", "manifest.json.out")
    ]
    assert sorted(keys) == sorted(names)


def test_signatures_of_long_ago_are_refused(bedrock, monkeypatch):
    long_ago = datetime.now(UTC) - timedelta(minutes=16)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: long_ago)

    assert refusal(bedrock.list_model_invocation_jobs)[1] == 403
