"""Gemini's Developer API: files are uploaded in two steps, and batches are long-running operations."""

import mimetypes
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote, urlsplit

from app.connectors.contract.base import LineCall, Target
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
from app.connectors.http.auth import HeaderAuth
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.spool import files, rows
from app.connectors.providers.gemini import shapes
from app.connectors.shared import parsing, regrouping
from app.connectors.shared.big_json import nested
from app.connectors.shared.translated import NativeCall, Translated
from app.lib import json
from app.translate import dialects
from app.translate.dialects import EMBEDDINGS
from app.translate.errors import TranslationError
from app.translate.gemini import answers, embeddings, requests
from app.translate.neutral import EmbeddingRequest, Request

API = "/v1beta"
FILES = f"{API}/files"
BATCHES = f"{API}/batches"
MODELS = f"{API}/models"
PER_PAGE = 100
MODELS_PER_PAGE = 1000
ENDED = (400, 409)  # how the provider may reject cancelling a finished batch
LINES_TYPE = "application/jsonl"
UPLOAD_URL = "x-goog-upload-url"
# Prefixes of models that are named with their kind.
KINDS = ("models/", "tunedModels/")


class Gemini(Translated):
    """One account. A batch's display name is its marker. Files expire after 48 hours."""

    def __init__(self, target: Target) -> None:
        auth = HeaderAuth({"x-goog-api-key": target.credential})
        super().__init__(target, Remote(target.base_url, Redaction(target.credential), auth, reword=shapes.reworded))

    def check(self) -> None:
        """Check the credential by listing a single file. Raises UpstreamError."""
        self._api.get(FILES, query={"pageSize": 1})

    # Lines.

    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request` in Gemini's dialect. Raises TranslationError."""
        if not request.model:
            raise TranslationError("model", "must name a model.")
        at = f"{API}/{_model_path(request.model)}"
        if isinstance(request, Request):
            written = requests.write(request)
            return NativeCall(f"{at}:generateContent", written.body, answers.read, tuple(written.dropped))
        dropped = tuple(embeddings.dropped(request))
        texts = [embeddings.write(text, request) for text in request.inputs]
        if len(texts) == 1:
            return NativeCall(f"{at}:embedContent", texts[0], embeddings.read, dropped)
        many = {"requests": [{"model": _model_name(request.model), **text} for text in texts]}
        return NativeCall(f"{at}:batchEmbedContents", many, embeddings.read_many, dropped)

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models the account can use, as OpenAI's model objects."""
        answer = parsing.fields(self._api.get(MODELS, query={"pageSize": MODELS_PER_PAGE}), "the list")
        names = parsing.page(answer, "models", _name, None).items
        return [{"id": name, "object": "model", "created": 0, "owned_by": "google"} for name in names]

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file; Gemini may process it for a while before it can be used."""
        kind = LINES_TYPE if new.purpose == "batch" else mimetypes.guess_type(new.filename)[0]
        kind = kind or "application/octet-stream"
        answer = self._api.post_answer(
            f"/upload{FILES}",
            {"file": {"displayName": new.filename[: shapes.MAX_DISPLAY_NAME], "mimeType": kind}},
            headers={
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": str(new.payload.length),
                "X-Goog-Upload-Header-Content-Type": kind,
            },
        )
        made = self._api.send(
            "POST",
            self._upload_path(answer.headers),
            new.payload,
            content_type=kind,
            headers={"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"},
        )
        return shapes.file(parsing.fields(made, "the upload").get("file"), purpose=new.purpose)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return shapes.file(self._api.get(_at(native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files."""
        answer = self._api.get(FILES, query={"pageSize": PER_PAGE, "pageToken": after})
        return shapes.page(answer, after, "files", shapes.file)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(_at(native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file that Gemini made. Raises RefusedError for an uploaded one."""
        return self._api.download(f"/download{_at(native_id)}:download", query={"alt": "media"})

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line of an input file; an embedding becomes one line per text. Raises TranslationError."""
        body = line.body if line.body.get("model") == line.model else {**line.body, "model": line.model}
        try:
            if line.endpoint == EMBEDDINGS:
                return _texts(line.custom_id, dialects.read_embedding(body))
            written = requests.write(dialects.read_request(line.endpoint, body), in_batch=True)
            data = json.dumps_line({"key": line.custom_id, "request": written.body})
        except json.JSONEncodeError as error:
            raise TranslationError("body", "is nested too deep.") from error
        return EncodedLine(data, dropped=tuple(written.dropped))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from a file, or from the lines in `new.payload`."""
        verb = "asyncBatchEmbedContent" if new.endpoint == EMBEDDINGS else "batchGenerateContent"
        path = f"{API}/{_model_path(new.model)}:{verb}"
        return shapes.job(self._api.send("POST", path, shapes.request(new), content_type="application/json"))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job, without the results that may come with it."""
        return shapes.job(self._without(shapes.RESULTS, _at(native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, without results that may come with them."""
        answer = self._without(shapes.LISTED_RESULTS, BATCHES, pageSize=PER_PAGE, pageToken=after)
        return shapes.page(answer, after, "operations", shapes.job)

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """Jobs with the given marker. Gemini does not document the order of its list, so all pages are read."""
        pages = each_page(self.list_jobs, max_pages=MAX_PAGES)
        return matching(pages, lambda job: job.marker == sought.marker)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""

        def ask() -> None:
            self._api.post(f"{_at(native_id)}:cancel", {})

        return self._cancelled(native_id, ask, ended=ENDED)

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job. Does nothing if it is already deleted."""
        self._api.delete(_at(native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        files_of_job = self._files(job)
        if job.endpoint == EMBEDDINGS:
            return shapes.embeddings(files_of_job, embeddings.read, status=job.status)
        return shapes.chats(files_of_job, created=None if job.ended_at is None else job.ended_at // 1000)

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The provider's own lines of a finished job, each with its newline; otherwise as `results`."""
        if job.output_id is not None:
            return (row + b"\n" for row in rows(self.read_file, (job.output_id,)))
        return (parsing.written(element) + b"\n" for element in self._elements(job))

    def _files(self, job: NativeJob) -> Generator[Iterator[Any]]:
        """The results of a job: a file, or what is within the job itself."""
        if job.output_id is None:
            yield self._elements(job)
        for lines in files(self.read_file, (job.output_id,)):
            yield map(_loaded, lines)

    def _elements(self, job: NativeJob) -> Iterator[Any]:
        """The results inside a job, which may contain them twice."""
        first: str | None = None
        for member in nested(self._api, _at(job.id), arrays=shapes.RESULTS):
            if member.index is not None:
                first = first or member.name
                if member.name == first:
                    yield member.value

    def _without(self, arrays: frozenset[tuple[str, ...]], path: str, **query: str | int | None) -> Any:
        """The answer to a GET without `arrays`."""
        answer: Any = None
        for member in nested(self._api, path, arrays=arrays, query=query):
            if member.index is None:
                answer = member.value
        return answer

    def _upload_path(self, headers: Mapping[str, str]) -> str:
        """The path for the bytes, from the provider's answer, which must not name another host."""
        base, upload = urlsplit(self.target.base_url), urlsplit(parsing.url(headers, UPLOAD_URL))
        if (upload.scheme, upload.netloc.lower()) != (base.scheme, base.netloc.lower()):
            raise parsing.bad_answer("its upload URL is on another host")
        if not upload.path.startswith(f"{base.path}/"):
            raise parsing.bad_answer("its upload URL is not below the base URL")
        return upload._replace(scheme="", netloc="", path=upload.path[len(base.path) :], fragment="").geturl()


def _at(native_id: str) -> str:
    """The path of a file or a batch; a name includes its kind (`files/...`)."""
    return f"{API}/{quote(native_id)}"


def _name(item: Any) -> str:
    return parsing.required(parsing.fields(item, "the model"), "name").removeprefix("models/")


def _model_name(model: str) -> str:
    return model if model.startswith(KINDS) else f"models/{model}"


def _model_path(model: str) -> str:
    kind, _, name = _model_name(model).partition("/")
    return f"{kind}/{quote(name, safe='')}"


def _texts(custom_id: str, request: EmbeddingRequest) -> EncodedLine:
    count = len(request.inputs)
    records = [
        {"key": regrouping.piece_id(custom_id, index, count), "request": embeddings.write(text, request)}
        for index, text in enumerate(request.inputs)
    ]
    return EncodedLine(b"".join(map(json.dumps_line, records)), count, tuple(embeddings.dropped(request)))


def _loaded(row: bytes) -> Any:
    """The row; its bytes if it is not JSON, which costs only itself."""
    try:
        return json.loads(row)
    except json.JSONDecodeError:
        return row
