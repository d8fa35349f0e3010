"""Vertex: batch jobs for Gemini and Claude models, with lines and results in the operator's bucket.

Options: `project`, if the credential does not name it; `location`; `bucket` and `prefix`, where files, inputs and
results are; `storage_url`, if the bucket is not Google's. Without another base URL the host follows the location.
Credentials: see `cloud.google`.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from urllib.parse import quote

from app.connectors.cloud import gcs
from app.connectors.cloud.gcs import Place
from app.connectors.cloud.google import Tokens
from app.connectors.cloud.places import prefix_of
from app.connectors.contract.base import LineCall, Target
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
from app.connectors.contract.paging import MAX_PAGES, each_page, matching
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.spool import each_row, files
from app.connectors.providers.vertex import models, shapes
from app.connectors.shared import parsing
from app.connectors.shared.translated import NativeCall, Translated
from app.translate import dialects
from app.translate.dialects import EMBEDDINGS
from app.translate.errors import TranslationError
from app.translate.gemini import answers, embeddings
from app.translate.messages import answers as messages_answers
from app.translate.neutral import EmbeddingRequest, Request

LOCATION = "us-central1"
GLOBAL_URL = "https://aiplatform.googleapis.com"
# Whole continents have hosts of another form (google-genai, _api_client).
CONTINENTS = ("us", "eu")
LOCATION_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*")
PER_PAGE = 100
JOBS = "batchPredictionJobs"
OUTPUTS = "jobs/"
# Below it: a folder of each job's own, and one that Vertex makes in it.
OUTPUT = re.compile(r"(?!\.\.?/)[^/]+/(?!\.\.?/)[^/]+/")
ENDED = (400, 409)  # how the provider may reject cancelling a finished job
REFUSED, MISSING = 400, 404


class Vertex(Translated):
    """One project in one location. A job's display name is its marker, which also goes into a label to filter by."""

    def __init__(self, target: Target) -> None:
        options = target.options
        self._location = _checked(options.get("location") or LOCATION, LOCATION_NAME, "location")
        waits = {"timeout_s": target.call_timeout_s, "connect_timeout_s": target.connect_timeout_s}
        self._tokens = Tokens(target.credential, **waits)
        self._project = options.get("project", "")
        if self._project:
            _checked(self._project, PROJECT_NAME, "project")
        redaction = Redaction(target.credential, self._tokens.secrets)
        base = target.base_url if target.base_url not in ("", GLOBAL_URL) else _url(self._location)
        super().__init__(target, Remote(base, redaction, self._tokens))
        place = Place(bucket=options.get("bucket", ""), prefix=prefix_of(options.get("prefix", "")))
        storage = options.get("storage_url", "").rstrip("/") or gcs.URL
        self._bucket = gcs.Bucket(target, place, Remote(storage, redaction, self._tokens))

    @property
    def healthy(self) -> bool:
        """False while the breaker of the API or of the bucket is open: new work goes elsewhere."""
        return self._api.healthy and self._bucket.healthy

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        super().close()
        self._bucket.close()
        self._tokens.close()

    def check(self) -> None:
        """Check the credential at Vertex and at the bucket, if any, by read-only calls. Raises UpstreamError."""
        self._listed({"pageSize": 1}, after=None)
        if self._bucket.place.bucket:
            self._bucket.check()

    # Lines, one by one.

    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request` in its model's dialect. Raises TranslationError."""
        return models.call(request, self._base())

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
        """Delete an object, or all results of a job. Raises MissingError for an object that is not there."""
        if native_id.endswith("/") and not self._is_output(native_id):
            text = f"{native_id[:200]!r} is not a folder of results."
            raise MissingError(text, status=MISSING, code="notFound", sent=False)
        self._bucket.delete(native_id)

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of an object, or of all results of a job."""
        return self._bucket.get(native_id)

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line of an input file; an embedding becomes one line per text. Raises TranslationError."""
        body = line.body if line.body.get("model") == line.model else {**line.body, "model": line.model}
        if line.endpoint == EMBEDDINGS:
            request = dialects.read_embedding(body)
            models.check_embeds(line.model)
            texts = [embeddings.write(text, request, flavour="vertex") for text in request.inputs]
            data = shapes.embedding_lines(line.custom_id, texts)
            return EncodedLine(data, len(texts), tuple(embeddings.dropped(request)))
        spoken = models.family(line.model)
        written = models.write(dialects.read_request(line.endpoint, body), spoken)
        data = shapes.chat_line(line.custom_id, written.body, claude=spoken == "claude")
        return EncodedLine(data, dropped=tuple(written.dropped))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job, whose output goes below a folder of its own."""
        self._bucket.place.key(new.input_id or "")
        try:
            model = models.path(new.model)
        except TranslationError as error:
            raise RefusedError(str(error), status=REFUSED, code=error.code, param=error.param, sent=False) from None
        request = shapes.request(new, model=model, output_uri=self._output(new.marker))
        return self._own(shapes.job(self._api.post(f"{self._base()}{JOBS}", request)))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return self._own(shapes.job(self._api.get(_at(native_id))))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the jobs of the project in this location, newest first."""
        return self._listed({"pageSize": PER_PAGE}, after=after)

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """The jobs that are labelled with the given marker."""
        query: dict[str, str | int | None] = {
            "pageSize": PER_PAGE,
            "filter": f'labels.{shapes.MARKER}="{shapes.label(sought.marker)}"',
        }
        pages = each_page(partial(self._listed, query), max_pages=MAX_PAGES)
        return matching(pages, lambda job: job.marker == sought.marker)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""

        def ask() -> None:
            self._api.post(f"{_at(native_id)}:cancel", {})

        return self._cancelled(native_id, ask, ended=ENDED)

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job, but not its results. Does nothing if it is already deleted."""
        if shapes.NAME.fullmatch(native_id):
            self._api.delete(_at(native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        if job.endpoint == EMBEDDINGS:
            return shapes.embeddings(self._files(job), models.read_embedding, status=job.status)
        claude = models.family(job.model or "") == "claude"
        created = None if job.ended_at is None else job.ended_at // 1000
        read = messages_answers.read if claude else answers.read
        return shapes.chats(self._files(job), partial(read, created=created))

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The rows of a finished job as Vertex wrote them, each with its newline."""
        return (row + b"\n" for row in each_row(self._files(job)))

    def _files(self, job: NativeJob) -> Iterator[Iterator[bytes]]:
        """The lines of all prediction files below a job's output."""
        if job.output_id is None:
            return
        uris = [file.id for file in self._bucket.below(job.output_id) if _has_rows(file.filename)]
        if not uris and job.status == "completed":
            raise MissingError(
                "The results of the completed job are not in the bucket.", status=MISSING, code="notFound"
            )
        yield from files(self._bucket.get, uris)

    def _listed(self, query: dict[str, str | int | None], *, after: str | None) -> Page[NativeJob]:
        answer = self._api.get(f"{self._base()}{JOBS}", query={**query, "pageToken": after})
        return shapes.page(answer, after)

    @property
    def _outputs(self) -> str:
        return self._bucket.place.uri(f"{self._bucket.place.prefix}{OUTPUTS}")

    def _output(self, marker: str) -> str:
        """The folder that the results of one job lie below."""
        return f"{self._outputs}{quote(marker, safe='')}/"

    def _is_output(self, uri: str) -> bool:
        """Whether Vertex made this folder for a job."""
        return uri.startswith(self._outputs) and OUTPUT.match(uri, len(self._outputs)) is not None

    def _own(self, job: NativeJob) -> NativeJob:
        """`job`, if its results are in their folder: they are deleted with their file."""
        uri = job.output_id
        if job.marker is None or uri is None or (uri.startswith(self._output(job.marker)) and self._is_output(uri)):
            return job
        raise parsing.bad_answer("the results of a job are not in their folder")

    def _base(self) -> str:
        """The prefix of resource names in the project and location."""
        project = self._project or self._tokens.project()
        if not PROJECT_NAME.fullmatch(project):
            text = "This account has no project: set GOOGLE_CLOUD_PROJECT or the option project."
            raise RefusedError(text, status=REFUSED, code="no_project", sent=False)
        return f"/v1/projects/{quote(project, safe=':')}/locations/{self._location}/"


def _at(native_id: str) -> str:
    if not shapes.NAME.fullmatch(native_id):
        raise MissingError(f"{native_id[:200]!r} is not a job.", status=MISSING, code="NOT_FOUND", sent=False)
    return f"/v1/{quote(native_id, safe='/:')}"


def _url(location: str) -> str:
    if location == "global":
        return GLOBAL_URL
    if location in CONTINENTS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _has_rows(filename: str) -> bool:
    """Whether an output file holds results; errors are also in the `status` of rows."""
    return filename.startswith("prediction") and "errors_stats" not in filename


def _checked(word: str, pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(word):
        raise ConfigurationError(f"The option {name} of a Vertex account is invalid: {word!r:.80}.")
    return word
