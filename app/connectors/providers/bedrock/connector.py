"""AWS Bedrock: batch jobs with lines and results in the operator's bucket, in each model's own dialect.

Options: `region`; `bucket` and `prefix`, where files, inputs and results lie; `role_arn`, the service role that jobs
read and write them with; `mode`, `invoke` (each model's own InvokeModel body) or `converse` (one shape for all chat
models, without tools); `min_records`, the quota of the account's models; `s3_url` and `runtime_url`, where these are
not AWS's. The base URL is that of the control plane; one of AWS's own follows the region. Credentials: see `aws`.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from app.connectors.cloud.aws import Keys, SigV4, host_suffix
from app.connectors.cloud.places import prefix_of
from app.connectors.cloud.s3 import Bucket, Place
from app.connectors.contract.abilities import Abilities
from app.connectors.contract.base import LineAnswer, LineCall, Target
from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError
from app.connectors.contract.objects import (
    Download,
    EncodedLine,
    JobLine,
    JobResult,
    NativeFile,
    NativeJob,
    NewFile,
    NewJob,
    Page,
    SoughtJob,
)
from app.connectors.contract.paging import MAX_PAGES, each_page, matching, whole
from app.connectors.http.auth import bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.spool import each_row, files
from app.connectors.providers.bedrock import lines, shapes
from app.connectors.shared.translated import NativeCall, Translated
from app.translate.dialects import EMBEDDINGS
from app.translate.neutral import EmbeddingRequest, Request

JOB = "/model-invocation-job"
JOBS = "/model-invocation-jobs"
PER_PAGE = 100
OUTPUTS = "jobs/"
REGION = "us-east-1"
OWN_HOST = re.compile(r"https://bedrock(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/?")
MODES = ("invoke", "converse")
MAX_RECORDS = 50_000
OUTPUT = ".out"
MANIFEST = "manifest.json.out"
# How Bedrock rejects stopping a finished job, whose state is then read.
NOT_STOPPED = (400, 409)
REFUSED = 400


class Bedrock(Translated):
    """One account in one region. The marker of a job is its name."""

    def __init__(self, target: Target) -> None:
        options = target.options
        own = OWN_HOST.fullmatch(target.base_url)
        region = options.get("region") or (own[1] if own else REGION)
        self._keys = Keys(target.credential, region=region)
        self._mode = _mode(options.get("mode", ""))
        self._role_arn = options.get("role_arn", "")
        self._min_records = _count(options.get("min_records", ""))
        host = f"{region}.{host_suffix(region)}"
        runtime = options.get("runtime_url") or f"https://bedrock-runtime.{host}"
        base = f"https://bedrock.{host}" if own or not target.base_url else target.base_url
        redaction = Redaction(target.credential, self._keys.secrets)
        auth = bearer(self._keys.api_key) if self._keys.api_key else SigV4(self._keys, "bedrock")
        control = Remote(base, redaction, auth, reword=shapes.reword)
        super().__init__(target, control, lines=replace(control, base_url=runtime.rstrip("/")))
        url = options.get("s3_url", "").rstrip("/")
        place = Place(
            bucket=options.get("bucket", ""), region=region, prefix=prefix_of(options.get("prefix", "")), url=url
        )
        self._bucket = Bucket(target, place, auth=SigV4(self._keys, "s3"), redaction=redaction)

    @property
    def abilities(self) -> Abilities:
        """What the account can do. The minimum number of records in a job is an AWS quota, which can be changed."""
        declared = self.target.abilities
        if self._min_records is None:
            return declared
        return replace(declared, jobs=replace(declared.jobs, min_lines=self._min_records))

    @property
    def healthy(self) -> bool:
        """False while the breaker of the API or of the bucket is open: new work goes elsewhere."""
        return self._api.healthy and self._bucket.healthy

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        super().close()
        self._bucket.close()

    def check(self) -> None:
        """Check the credential at Bedrock and at the bucket with read-only calls. Raises UpstreamError."""
        self._api.get(JOBS, query={"maxResults": 1})
        self._bucket.check()

    # Lines, one by one.

    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request` as a call of InvokeModel or Converse. Raises TranslationError."""
        return lines.native_call(request, mode=self._mode)

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line; a line with more texts than the model takes at once is sent in several calls."""
        pieces = lines.pieces(call) if call.endpoint == EMBEDDINGS else None
        return super().run_line(call) if pieces is None else self.run_in_pieces(call, pieces)

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload an object to the bucket."""
        return self._bucket.put(new)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of an object."""
        return self._bucket.head(native_id)

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the objects below the account's prefix, including results of jobs, ordered by key."""
        return self._bucket.objects(after=after)

    def delete_file(self, native_id: str) -> None:
        """Delete an object. Raises MissingError if it is not there."""
        self._bucket.delete(native_id)

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of an object."""
        return self._bucket.get(native_id)

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line as records of the model's family. Raises TranslationError."""
        return lines.encoded(line, mode=self._mode)

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job. Bedrock rejects a name that the account already uses."""
        if not self._role_arn:
            text = "This account has no service role for jobs: set AWS_BEDROCK_ROLE_ARN or the option role_arn."
            raise RefusedError(text, status=REFUSED, code="no_role", sent=False)
        place = self._bucket.place
        place.key(new.input_id or "")  # raises if it lies elsewhere
        body = shapes.request(
            new,
            role_arn=self._role_arn,
            output_uri=place.uri(place.prefix + OUTPUTS),
            converse=lines.is_converse(new.model, mode=self._mode),
        )
        return shapes.made(self._api.post(JOB, body), new)

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return _counted(shapes.job(self._api.get(f"{JOB}/{quote(native_id, safe='')}")))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        return self._listed({}, after=after)

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """The job whose name stands for the given marker, if there is one."""
        name = shapes.name(sought.marker)
        pages = each_page(partial(self._listed, {"nameContains": name}), max_pages=MAX_PAGES)
        return [replace(job, marker=sought.marker) for job in matching(pages, lambda job: job.marker == name)]

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""

        def ask() -> None:
            self._api.post(f"{JOB}/{quote(native_id, safe='')}/stop")

        return self._cancelled(native_id, ask, ended=NOT_STOPPED)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        return lines.results(job, self._files(job), now_s=int(datetime.now(UTC).timestamp()))

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The rows of a finished job as Bedrock wrote them, each with its newline."""
        return (row + b"\n" for row in each_row(self._files(job)))

    def _files(self, job: NativeJob) -> Generator[Iterator[bytes]]:
        """The rows of each file of results; none for a job that ended before it wrote any."""
        if job.output_id is None:
            return
        try:
            yield from files(self._bucket.get, self._outputs(job.output_id))
        except MissingError as error:
            if job.status == "completed" or not error.sent:
                raise

    def _outputs(self, uri: str) -> Iterator[str]:
        """The objects that hold results; a job with a folder of inputs has one per input."""
        if not uri.endswith("/"):
            yield uri
            return
        place = self._bucket.place
        below = place.key(uri).removeprefix(place.prefix)
        for page in each_page(partial(self._bucket.objects, below=below), max_pages=MAX_PAGES):
            yield from (file.id for file in whole(page).items if file.id.endswith(OUTPUT) and file.filename != MANIFEST)

    def _listed(self, query: dict[str, str | int | None], *, after: str | None) -> Page[NativeJob]:
        page_query = {"maxResults": PER_PAGE, "nextToken": after, "sortBy": "CreationTime", "sortOrder": "Descending"}
        page = shapes.page(self._api.get(JOBS, query={**page_query, **query}), after)
        return replace(page, items=[_counted(job) for job in page.items])


def _counted(job: NativeJob) -> NativeJob:
    """`job`, without counts if its records are not lines."""
    return replace(job, total=None, completed=None, failed=None) if lines.makes_vectors(job.model) else job


def _mode(text: str) -> str:
    if text not in ("", *MODES):
        raise ConfigurationError(f"The option mode (AWS_BEDROCK_MODE) is invoke or converse, not {text!r:.40}.")
    return text or MODES[0]


def _count(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_RECORDS):
        raise ConfigurationError(
            f"The option min_records (AWS_BEDROCK_MIN_RECORDS) is a number from 1 to {MAX_RECORDS}, not {text!r:.40}."
        )
    return int(text) if text else None
