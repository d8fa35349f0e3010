"""AWS Bedrock's batch jobs (contracts: providers, 5): a control plane, models, and a small S3 by the side.

Signatures of SigV4 are computed again, requests are held against AWS's own service model. Jobs read their input from
`store` when they are first looked at, and write output and manifest there.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

import orjson
from werkzeug import Request, Response

from tests.fakes import aws_wire, bedrock_models
from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body, FakeJob, FakeResult, Handler, ProviderApp, to_json_lines
from tests.fakes.s3_app import S3, Memory

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIAFAKEFAKEFAKEFAKE"
BUCKET = "batch-data"
ROLE = "arn:aws:iam::123456789012:role/batch-inference"
ARN = f"arn:aws:bedrock:{REGION}:123456789012:model-invocation-job/"
DAY_S = 24 * 3600
STATES = {
    "validating": "Validating",
    "in_progress": "InProgress",
    "completed": "Completed",
    "partial": "PartiallyCompleted",
    "failed": "Failed",
    "cancelling": "Stopping",
    "cancelled": "Stopped",
    "expired": "Expired",
}
ERRORS = {
    "ValidationException": 400,
    "ConflictException": 400,
    "ServiceQuotaExceededException": 400,
    "ResourceNotFoundException": 404,
    "AccessDeniedException": 403,
}


class Store(Protocol):
    """Where jobs read and write: a small S3 in memory, or a client of a real one."""

    def get(self, bucket: str, key: str) -> bytes | None: ...

    def put(self, bucket: str, key: str, data: bytes) -> None: ...


class BedrockApp(ProviderApp):
    """Switches: `min_records`, `max_records` (quotas), `page` (the most jobs in a list), `store`.

    `api_key` is the secret of ACCESS_KEY_ID, and as a bearer token Bedrock's own API key.
    """

    def __init__(self, *, api_key: str = "", looks_to_end: int | None = 2) -> None:
        super().__init__(api_key=api_key, looks_to_end=looks_to_end)
        self.memory = Memory(BUCKET)
        self.store: Store = self.memory
        self.s3 = S3(self.memory, access_key_id=ACCESS_KEY_ID, region=REGION)
        self.min_records, self.max_records = 100, 50_000
        self.page = 1000

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", r"/model-invocation-job", self._create),
            ("GET", r"/model-invocation-jobs", self._list),
            ("GET", r"/model-invocation-job/([^/]+)", self._retrieve),
            ("POST", r"/model-invocation-job/([^/]+)/stop", self._stop),
            ("POST", r"/model/([^/]+)/(invoke|converse)", self._invoke),
            ("GET", r"/([a-z0-9][-.a-z0-9]+)/?(.*)", self._object),
            ("PUT", r"/([a-z0-9][-.a-z0-9]+)/(.+)", self._object),
            ("HEAD", r"/([a-z0-9][-.a-z0-9]+)/(.+)", self._object),
            ("DELETE", r"/([a-z0-9][-.a-z0-9]+)/(.+)", self._object),
        ]

    def refusal_body(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Any:
        return {"message": message}

    def _answer(self, request: Request) -> Response:
        try:
            return super()._answer(request)
        except Refusal as refusal:
            error = refusal.body["error"]
            body = orjson.dumps({"message": error["message"]})
            kind = error["code"] or ("AccessDeniedException" if refusal.status == 403 else "ValidationException")
            headers = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
            return Response(body, refusal.status, headers=headers, content_type="application/json")

    def is_authorized(self, request: Request) -> bool:
        if not self.api_key or not _is_bedrock(request):
            return True  # S3 sees to it by itself
        if request.headers.get("Authorization") == f"Bearer {self.api_key}":
            return True
        signed = {"access_key_id": ACCESS_KEY_ID, "secret": self.api_key, "service": "bedrock", "region": REGION}
        return aws_wire.complaint(request, **signed) is None

    def unauthorized(self, request: Request) -> Refusal:
        """As AWS words it, and with what was sent, so that leaks show."""
        given = request.headers.get("Authorization", "")
        text = f"The security token included in the request is invalid. ({given})"
        return Refusal(403, text, code="UnrecognizedClientException")

    def _object(self, request: Request, *_: str) -> Response:
        return self.s3.answer(request, self.api_key)

    # Lines.

    def _invoke(self, request: Request, model: str, verb: str) -> Body:
        return self._model(unquote(model), orjson.loads(request.get_data()), converse=verb == "converse")

    def _model(self, model: str, given: Body, *, converse: bool) -> Body:
        return bedrock_models.answer(
            model, given, lambda where, body: self.model.routes[where](body), converse=converse
        )

    # Jobs.

    def _create(self, request: Request) -> Body:
        asked = orjson.loads(request.get_data())
        shape = aws_wire.operation("bedrock", "CreateModelInvocationJob").input_shape
        wrong = aws_wire.faults(shape, asked)
        if wrong:
            raise Refusal(400, f"{len(wrong)} validation error detected: {'; '.join(wrong)}")
        for job in self.jobs.values():
            if "clientRequestToken" in asked and job.fields["clientRequestToken"] == asked["clientRequestToken"]:
                return {"jobArn": job.id}
            if job.fields["jobName"] == asked["jobName"]:
                text = "The provided job name is currently in use by another model invocation job."
                raise Refusal(400, text, code="ConflictException")
        uri = asked["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
        if not uri.endswith((".jsonl", "/")):
            raise Refusal(400, "The input has to be a .jsonl file or a prefix.")
        if not asked["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].endswith("/"):
            raise Refusal(400, "The output has to be a prefix.")
        fields = {name: value for name, value in asked.items() if name != "tags"}
        fields.setdefault("timeoutDurationInHours", DAY_S // 3600)
        fields.setdefault("clientRequestToken", uuid.uuid4().hex)
        job = self.add_job([], endpoint="", model=asked["modelId"], input_id=uri, fields=fields)
        job.fields["tags"] = asked.get("tags", [])
        return {"jobArn": job.id}

    def new_job_id(self) -> str:
        return ARN + uuid.uuid4().hex[:12]

    def job(self, job_id: str) -> FakeJob:
        named = unquote(job_id)
        found = self.jobs.get(named if named.startswith("arn:") else ARN + named)
        if found is None:
            raise Refusal(404, f"The provided job identifier {named} was not found.", code="ResourceNotFoundException")
        return found

    def _retrieve(self, _: Request, job_id: str) -> Body:
        return job_object(self.look(self.job(job_id)))

    def _list(self, request: Request) -> Body:
        args = request.args
        known = {"statusEquals", "nameContains", "maxResults", "nextToken", "sortBy", "sortOrder"}
        if set(args) - (known | {"submitTimeAfter", "submitTimeBefore"}):
            raise Refusal(400, "A parameter is not known.")
        found = [job for job in self.jobs.values() if args.get("nameContains", "") in job.fields["jobName"]]
        if "statusEquals" in args:
            found = [job for job in found if status_of(job) == args["statusEquals"]]
        if args.get("sortOrder", "Ascending") == "Descending":
            found.reverse()
        start, most = int(args.get("nextToken", 0)), args.get("maxResults", 1000, type=int)
        if not 1 <= most <= 1000:
            raise Refusal(400, "maxResults: must be between 1 and 1000")
        end = start + min(most, self.page)
        more = {"nextToken": str(end)} if end < len(found) else {}
        return {"invocationJobSummaries": [job_object(job) for job in found[start:end]], **more}

    def _stop(self, _: Request, job_id: str) -> Body:
        job = self.job(job_id)
        if job.state not in ("validating", "in_progress", "cancelling"):
            raise Refusal(400, f"The job is {status_of(job)} and cannot be stopped.", code="ConflictException")
        self.cancel(job)
        return {}

    def look(self, job: FakeJob) -> FakeJob:
        """A job that is looked at moves on by one step; the first is to check its input."""
        if job.state == "validating" and job.looks == 0:
            job.looks += 1
            message = self._validated(job)
            if message is not None:
                job.fields["message"] = message
                self.end(job, "failed")
            elif self.looks_to_end is not None and self.looks_to_end <= 1:
                self.end(job, "completed")
            return job
        return super().look(job)

    def _validated(self, job: FakeJob) -> str | None:
        """What is wrong with the input; None when it is taken."""
        data = self.store.get(*_split(str(job.input_id)))
        if data is None:
            return "The S3 object of the input does not exist, or the service role may not read it."
        try:
            job.lines = [orjson.loads(line) for line in data.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            return "Invalid input data: a line is not valid JSON."
        for line in job.lines:
            if not isinstance(line, dict) or not isinstance(line.get("modelInput"), dict):
                return "Invalid input data: a record has no modelInput."
            if set(line) - {"recordId", "modelInput"} or not isinstance(line.get("recordId", ""), str):
                return "Invalid input data: a record is malformed."
        count, name = len(job.lines), job.id
        if count < self.min_records:
            least = self.min_records
            return f"Batch job {name} contains less records ({count}) than the required minimum of: {least}"
        if count > self.max_records:
            return f"Batch job {name} contains more records ({count}) than the allowed maximum of: {self.max_records}"
        return None

    def end(self, job: FakeJob, state: str) -> None:
        """End a job. One that stopped or expired while it ran has run a part of its lines."""
        if state in ("cancelled", "expired", "partial"):
            half = job.lines[: len(job.lines) // 2]
            self.shuffle.shuffle(half)
            job.results = [self.run(job, line) for line in half]
        super().end(job, state)

    def run(self, job: FakeJob, line: Body) -> FakeResult:
        record = line.get("recordId") or uuid.uuid4().hex[:11].upper()
        given = line["modelInput"]
        converse = job.fields.get("modelInvocationType") == "Converse"
        try:
            output = self._model(job.model, given, converse=converse)
        except Refusal as refusal:
            error = {"errorCode": refusal.status, "errorMessage": refusal.body["error"]["message"]}
            return FakeResult(record, refusal.status, {"modelInput": given, "recordId": record, "error": error})
        return FakeResult(record, 200, {"modelInput": given, "modelOutput": output, "recordId": record})

    def write_results(self, job: FakeJob) -> None:
        if not job.results:
            return
        output = job.fields["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
        bucket, prefix = _split(output)
        folder = f"{prefix}{job.id.rpartition('/')[2]}"
        name = str(job.input_id).rpartition("/")[2]
        self.store.put(bucket, f"{folder}/{name}.out", to_json_lines(result.body for result in job.results))
        counts = {name: value for name, value in _counts(job).items() if value is not None}
        manifest = {**counts, "inputTokenCount": 2 * len(job.results), "outputTokenCount": 5 * len(job.results)}
        self.store.put(bucket, f"{folder}/manifest.json.out", orjson.dumps(manifest))


def status_of(job: FakeJob) -> str:
    """AWS's word for the state of a job."""
    if job.looks == 0 and job.state == "validating":
        return "Submitted"
    return "Scheduled" if job.state == "in_progress" and job.looks == 2 else STATES[job.state]


def job_object(job: FakeJob) -> Body:
    """A job as it is told, in lists too."""
    names = ["jobName", "modelId", "roleArn", "clientRequestToken", "inputDataConfig", "outputDataConfig"]
    names += ["timeoutDurationInHours", "message", "vpcConfig", "modelInvocationType"]
    made: Body = {
        "jobArn": job.id,
        "status": status_of(job),
        "submitTime": _instant(job.created_at),
        "lastModifiedTime": _instant(job.ended_at or job.created_at),
        "jobExpirationTime": _instant(job.created_at + job.fields["timeoutDurationInHours"] * 3600),
        **{name: job.fields[name] for name in names if name in job.fields},
    }
    if job.ended_at is not None:
        made["endTime"] = _instant(job.ended_at)
    made |= {name: value for name, value in _counts(job).items() if value is not None}
    return made


def _counts(job: FakeJob) -> dict[str, int | None]:
    if not job.lines:
        return {}
    failed = sum(1 for result in job.results if result.status >= 400)
    return {
        "totalRecordCount": len(job.lines),
        "processedRecordCount": len(job.results),
        "successRecordCount": len(job.results) - failed,
        "errorRecordCount": failed,
    }


def _is_bedrock(request: Request) -> bool:
    return request.path.startswith(("/model-invocation-job", "/model/"))


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
