"""Cohere: files are datasets, validated for a while; results are Avro behind signed URLs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.connectors.contract.base import LineAnswer, LineCall, Target
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError, UpstreamServerError
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
from app.connectors.contract.paging import each_page, matching
from app.connectors.http.api import fetch_url
from app.connectors.http.remote import with_bearer
from app.connectors.http.spool import each_row
from app.connectors.providers.cohere import results as cohere_results
from app.connectors.providers.cohere import shapes
from app.connectors.shared import parsing, regrouping
from app.connectors.shared.nobody import readable
from app.connectors.shared.translated import NativeCall, Translated
from app.lib import json
from app.translate import dialects
from app.translate.cohere import answers, embeddings, requests
from app.translate.dialects import EMBEDDINGS
from app.translate.neutral import EmbeddingRequest, Request

DATASETS = "/v1/datasets"
BATCHES = "/v2/batches"
MODELS = "/v1/models"
PER_PAGE = 100
MAX_PER_PAGE = 1000
ENDED = (400, 404, 405, 409, 422)  # how the provider may reject cancelling a finished batch
NO_SUCH_CALL = (404, 405)
DOWNLOAD_HOSTS = "storage.googleapis.com"


class Cohere(Translated):
    """One account at Cohere. Option: `download_hosts` (hosts of signed URLs, separated by commas).

    A batch's name is its marker. The type of its input dataset says what kind of lines it has.
    """

    def __init__(self, target: Target) -> None:
        target = replace(target, base_url=re.sub(r"/v[12]$", "", target.base_url.rstrip("/")))
        super().__init__(target, with_bearer(target))
        hosts = target.options.get("download_hosts") or DOWNLOAD_HOSTS
        self._download_hosts = tuple(host.strip() for host in hosts.split(",") if host.strip())

    def check(self) -> None:
        """Check the credential by listing a single dataset. Raises UpstreamError."""
        self._api.get(DATASETS, query={"limit": 1})

    # Lines.

    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """`request` in Cohere's dialect. Raises TranslationError."""
        if isinstance(request, EmbeddingRequest):
            written = embeddings.write_line(request)
            return NativeCall("/v2/embed", written.body, embeddings.read, tuple(written.dropped))
        written = requests.write_line(request)
        return NativeCall("/v2/chat", written.body, answers.read, tuple(written.dropped))

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line; a line with more texts than a call takes is sent in several calls, one after another."""
        texts = call.body.get("input") if call.endpoint == EMBEDDINGS else None
        if not isinstance(texts, list) or len(texts) <= embeddings.MAX_TEXTS:
            return super().run_line(call)
        return self.run_in_pieces(call, embeddings.pieces(texts))

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models the account can use, as OpenAI's model objects."""
        answer = parsing.fields(self._api.get(MODELS, query={"page_size": MAX_PER_PAGE}), "the list")
        names = parsing.page(answer, "models", _name, None).items
        return [{"id": name, "object": "model", "created": 0, "owned_by": "cohere"} for name in names]

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload the input of a batch as a dataset, which is validated for a while. Cohere takes no other files."""
        kind = shapes.DATASET_TYPES.get(new.endpoint or "") if new.purpose == "batch" else None
        if kind is None:
            text = f"Cohere keeps the inputs of batches, and no files for the purpose {new.purpose!r:.60}."
            raise RefusedError(text, status=400, code="unsupported_purpose", param="purpose", sent=False)
        answer = self._api.upload(
            DATASETS,
            fields=(),
            file_field="data",
            filename=new.filename,
            payload=new.payload,
            query={"name": new.filename, "type": kind, "keep_fields": "custom_id"},
        )
        native_id = parsing.native_id(parsing.fields(answer, "the dataset"), "id")
        made = NativeFile(native_id, new.filename, new.purpose, status="processing")
        return replace(self._as_it_is(made), bytes=new.payload.length)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file, without its size, which the provider does not report."""
        return shapes.dataset(self._dataset(native_id))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's datasets; only an empty page is certain to be the last."""
        start = int(after or "0")
        answer = parsing.fields(self._api.get(DATASETS, query={"limit": PER_PAGE, "offset": start}), "the list")
        page = parsing.page(answer, "datasets", shapes.dataset, None)
        count = len(page.items) + page.unread
        return replace(page, after=str(start + count) if count else None)

    def delete_file(self, native_id: str) -> None:
        """Delete a dataset. Raises MissingError if it is not there."""
        self._api.delete(_at(DATASETS, native_id))

    @contextmanager
    def read_file(self, native_id: str) -> Iterator[Download]:
        """Stream the bytes of a dataset's files, one after another; of the originals if Cohere still has them."""
        parts = shapes.parts(self._dataset(native_id))
        if not parts:
            raise parsing.bad_answer("a dataset without files")
        name = "original_url" if all(part.get("original_url") for part in parts) else "url"
        urls = list(dict.fromkeys(parsing.url(part, name) for part in parts))
        with self._fetch(urls[0]) as first:
            if len(urls) == 1:
                yield first
            else:
                yield Download(None, first.content_type, self._chunks(first, urls[1:]))

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A line as one row, or as several if it has too many texts for one. Raises TranslationError."""
        if line.endpoint == EMBEDDINGS:
            rows = embeddings.write(dialects.read_embedding(line.body))
            ids = [regrouping.piece_id(line.custom_id, index, len(rows)) for index in range(len(rows))]
            data = b"".join(_row(name, row.body) for name, row in zip(ids, rows, strict=True))
            return EncodedLine(data, len(rows), tuple(rows[0].dropped))
        written = requests.write(dialects.read_request(line.endpoint, line.body))
        return EncodedLine(_row(line.custom_id, written.body), dropped=tuple(written.dropped))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a batch."""
        body = {"name": new.marker, "input_dataset_id": new.input_id, "model": new.model}
        return shapes.job(_inner(self._api.post(BATCHES, body), "batch"))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a batch."""
        return shapes.job(_inner(self._api.get(_at(BATCHES, native_id)), "batch"))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's batches, in an order that Cohere does not document."""
        query = {"page_size": MAX_PER_PAGE, "page_token": after, "order_by": "created_at"}
        answer = parsing.fields(self._api.get(BATCHES, query=query), "the list")
        following = parsing.cursor(answer, "next_page_token")
        parsing.check_next_page(following, after)
        return parsing.page(answer, "batches", shapes.job, following)

    def find_jobs(self, sought: SoughtJob) -> list[NativeJob]:
        """The batch with the given marker as its name. The order of pages is not documented, so all are read."""
        return matching(each_page(self.list_jobs), lambda job: job.marker == sought.marker)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a batch. A finished batch is returned as it is."""
        return self._cancelled(native_id, lambda: self._cancel(native_id), ended=ENDED)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished batch, in any order. Reading may raise UpstreamError midway."""
        return regrouping.regrouped(self._rows(job), status=job.status)

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The rows of the results, unchanged, each as a line of JSON."""
        for record in each_row(self._files(job)):
            yield cohere_results.json_line(record)

    def _rows(self, job: NativeJob) -> Iterator[regrouping.Piece]:
        for result in readable(self._files(job), lambda record, _: shapes.result(record, job.endpoint)):
            yield regrouping.Piece(result.custom_id, result)

    def _files(self, job: NativeJob) -> Iterator[Iterator[Any]]:
        """The rows of each file of results."""
        if job.output_id is None:
            return
        try:
            parts = self._output(job.output_id)
        except MissingError:
            if job.status == "completed":
                raise
            return  # only a completed batch is certain to have results
        for number in range(len(parts)):
            if number:
                parts = self._output(job.output_id)  # signed URLs expire after an hour, and reading may take longer
            if number < len(parts):
                with self._fetch(parsing.url(parts[number], "url")) as download:
                    yield cohere_results.rows(download)

    def _output(self, native_id: str) -> list[Mapping[str, Any]]:
        """The files of the results, once they are complete."""
        dataset = self._dataset(native_id)
        if shapes.dataset(dataset).status == "processing":
            raise UpstreamServerError("Cohere is still preparing the results.", code="not_ready")
        return shapes.parts(dataset)

    # Calls.

    def _dataset(self, native_id: str) -> Mapping[str, Any]:
        return _inner(self._api.get(_at(DATASETS, native_id)), "dataset")

    def _as_it_is(self, made: NativeFile) -> NativeFile:
        try:
            return replace(self.retrieve_file(made.id), purpose=made.purpose)
        except UpstreamError:
            return made  # it was created, which is what the caller needs

    def _cancel(self, native_id: str) -> None:
        """The call of Cohere's SDK, or else the one that other clients use (contracts: providers, 6)."""
        path = _at(BATCHES, native_id)
        try:
            self._api.post(f"{path}:cancel")
        except RefusedError as error:
            if error.status not in NO_SUCH_CALL:
                raise
            self._api.post(f"{path}/cancel")

    def _fetch(self, url: str) -> AbstractContextManager[Download]:
        return fetch_url(url, target=self.target, allowed_hosts=self._download_hosts)

    def _chunks(self, first: Download, urls: list[str]) -> Iterator[bytes]:
        yield from first.chunks
        for url in urls:
            with self._fetch(url) as download:
                yield from download.chunks


def _at(path: str, native_id: str) -> str:
    return f"{path}/{quote(native_id, safe='')}"


def _inner(answer: Any, name: str) -> Mapping[str, Any]:
    """The object under `name`, or the answer itself if it is that object."""
    whole = parsing.fields(answer, "the answer")
    return whole if whole.get(name) is None and whole.get("id") else parsing.fields(whole.get(name), f"the {name}")


def _name(item: Any) -> str:
    return parsing.required(parsing.fields(item, "the model"), "name")


def _row(custom_id: str, body: Any) -> bytes:
    return json.dumps_line({"custom_id": custom_id, "body": body})
