"""Bedrock in the contract suite. Its files lie in a bucket of AWS's, which has tests of its own."""

from dataclasses import replace

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.fakes.bedrock_app import ARN, BUCKET
from tests.support.native_jobs import CHAT

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
GPT = "openai.gpt-oss-20b-1:0"
TITAN = "amazon.titan-embed-text-v2:0"
OUTPUT = f"s3://{BUCKET}/batchgate/jobs/{'0' * 12}/x.jsonl.out"
JOB = NativeJob(ARN + "0" * 12, "completed", output_id=OUTPUT, model=CLAUDE, endpoint=CHAT)
VECTORS = replace(JOB, endpoint="/v1/embeddings", model=TITAN)
SUMMARY = {
    "jobArn": JOB.id,
    "jobName": "n",
    "status": "Completed",
    "message": "m",
    "modelId": CLAUDE,
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{BUCKET}/batchgate/x.jsonl"}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/batchgate/jobs/"}},
    "timeoutDurationInHours": 24,
    "totalRecordCount": 1,
    "successRecordCount": 1,
    "errorRecordCount": 0,
    "submitTime": "2026-11-21T12:00:00Z",
    "lastModifiedTime": "2026-11-21T12:00:00Z",
    "endTime": "2026-11-21T12:00:00Z",
    "jobExpirationTime": "2026-11-22T12:00:00Z",
}
INNER = ("inputDataConfig.s3InputDataConfig.s3Uri", "outputDataConfig.s3OutputDataConfig")
ROW = {"recordId": "1", "modelInput": {}, "modelOutput": {"embedding": [0.5], "inputTextTokenCount": 1}, "error": None}
ROW_FIELDS = (*ROW, "modelOutput.embedding", "modelOutput.inputTextTokenCount")
ANSWERS = {
    "retrieve_job": (SUMMARY, (*SUMMARY, *INNER)),
    "create_job": ({"jobArn": JOB.id}, ("jobArn",)),
    "list_jobs": (
        {"invocationJobSummaries": [SUMMARY], "nextToken": "x"},
        ("invocationJobSummaries", "invocationJobSummaries.0", "nextToken"),
    ),
    "results": (ROW, ROW_FIELDS),
    "vectors": (ROW, ROW_FIELDS),
}


SPECIMEN = Specimen(
    "bedrock",
    answers=ANSWERS,
    calls={"vectors": lambda connector: list(connector.results(VECTORS))},
    empty_object_is_fine=frozenset({"list_jobs"}),
    empty_body_is_fine=frozenset({"results", "vectors"}),
    file_id=f"s3://{BUCKET}/batchgate/x.jsonl",
    input_id=f"s3://{BUCKET}/batchgate/x.jsonl",
    job=JOB,
    cancelling="cancelled",
    models=(CLAUDE, NOVA, GPT),
    made={"status": "validating", "native_status": "Submitted"},
    ended={"window": "24h"},
    lifetime_s=24 * 3600,
    key_status=403,
)
