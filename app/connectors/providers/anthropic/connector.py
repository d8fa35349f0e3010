"""Anthropic: files for its models to read, and Message Batches, whose lines travel in the request."""

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from urllib.parse import quote

from app.connectors.contract.base import LineAnswer, LineCall, Target
from app.connectors.contract.errors import UpstreamServerError
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
)
from app.connectors.http import judging
from app.connectors.http.auth import HeaderAuth, bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.spool import rows
from app.connectors.providers.anthropic import shapes
from app.connectors.shared import parsing
from app.connectors.shared.nobody import readable
from app.connectors.shared.translated import BAD_ANSWER, NativeCall, Translated
from app.connectors.shared.wrap import wrapped
from app.lib import json
from app.translate import dialects
from app.translate.dialects import MESSAGES
from app.translate.messages import answers, requests
from app.translate.neutral import EmbeddingRequest, Request

FILES = "/v1/files"
BATCHES = "/v1/messages/batches"
MODELS = "/v1/models"
# The next version (2026-10-21) rejects temperature, top_p and top_k for every model.
VERSION = "2023-06-01"
PER_PAGE = 1000
# OAuth tokens of people, which go in another header than API keys.
OAUTH_PREFIX = "sk-ant-oat"
ENDED = (400, 409)  # how the provider may reject cancelling a finished batch
OCTETS = "application/octet-stream"


class Anthropic(Translated):
    """One account at Anthropic. Jobs carry no marker, so none can be found again.

    Options: `beta` (names for the header `anthropic-beta`, separated by commas), `workspace` (an id of a workspace).
    """

    def __init__(self, target: Target) -> None:
        root = target.base_url.rstrip("/").removesuffix("/v1")
        redaction = Redaction(target.credential)
        super().__init__(target, Remote(root, redaction, _auth(target.credential), _headers(target)))

    def check(self) -> None:
        """Check the credential with a read-only call. Raises UpstreamError."""
        self._api.get(BATCHES, query={"limit": 1})

    # Lines, one by one.

    def native_call(self, request: Request | EmbeddingRequest, call: LineCall) -> NativeCall:
        """A chat in Anthropic's dialect. Raises TranslationError."""
        if isinstance(request, EmbeddingRequest):
            raise TypeError("Anthropic declares no embeddings")
        written = requests.write(request)
        return NativeCall(MESSAGES, written.body, answers.read, tuple(written.dropped))

    def run_line(self, call: LineCall) -> LineAnswer:
        """Send one line; messages pass through unchanged. A 2xx and a final 4xx are answers.

        Anything else raises an UpstreamError.
        """
        if call.endpoint != MESSAGES:
            return super().run_line(call)
        answer = self._post(MESSAGES, _unstreamed(call.body), call)
        if answer.status >= 400:
            return self.refused(answer)
        with self._redaction.in_errors():
            message = shapes.message("", judging.json_object(answer, endpoint=MESSAGES))
            if message.status_code is None:
                raise UpstreamServerError(message.message, status=answer.status, code=BAD_ANSWER)
        return LineAnswer(answer.status, answer.request_id, message.body, message.usage)

    def list_models(self, *, timeout_s: float) -> Sequence[Mapping[str, Any]]:
        """The models the account can use, as OpenAI's model objects."""
        listed = parsing.fields(self._api.get(MODELS, query={"limit": PER_PAGE}), "the list")
        return parsing.page(listed, "data", _model, None).items

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file, with the type that its name implies."""
        expiry = new.expires_after_s
        answer = self._api.upload(
            FILES,
            fields=() if expiry is None else [("expires_in_seconds", str(expiry))],
            file_field="file",
            filename=new.filename,
            payload=new.payload,
            content_type=mimetypes.guess_type(new.filename)[0] or OCTETS,
        )
        return shapes.file(answer)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return shapes.file(self._api.get(_at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files, newest first."""
        return shapes.page(self._api.get(FILES, query=_page(after)), after, shapes.file)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._api.delete(_at(FILES, native_id))

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file that a model made. Raises RefusedError for an uploaded one."""
        return self._api.download(f"{_at(FILES, native_id)}/content")

    # Native batches.

    def encode_line(self, line: JobLine) -> EncodedLine:
        """A request of a batch; messages stay unchanged. Raises TranslationError."""
        if line.endpoint == MESSAGES:
            params = {**_unstreamed(line.body), "model": line.model}
            return EncodedLine(json.dumps_line({"custom_id": line.custom_id, "params": params}))
        request = dialects.read_request(line.endpoint, line.body)
        request.model = line.model
        written = requests.write(request)
        data = json.dumps_line({"custom_id": line.custom_id, "params": written.body})
        return EncodedLine(data, dropped=tuple(written.dropped))

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from the lines in `new.payload`."""
        body = wrapped(b'{"requests":[', new.payload, b"]}")
        return shapes.job(self._api.send("POST", BATCHES, body, content_type="application/json"))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return shapes.job(self._api.get(_at(BATCHES, native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the workspace's jobs, newest first."""
        return shapes.page(self._api.get(BATCHES, query=_page(after)), after, shapes.job)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        return self._cancelled(
            native_id, lambda: shapes.job(self._api.post(f"{_at(BATCHES, native_id)}/cancel")), ended=ENDED
        )

    def delete_job(self, native_id: str) -> None:
        """Delete a finished job. Does nothing if it is already deleted."""
        self._api.delete(_at(BATCHES, native_id), missing_ok=True)

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job, in any order. Reading may raise UpstreamError midway."""
        ended_at_s = None if job.ended_at is None else job.ended_at // 1000
        untouched = job.endpoint == MESSAGES
        read = partial(shapes.result, ended_at_s=ended_at_s, untouched=untouched)
        return readable([self._rows(job)], lambda row, _: read(row))

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The provider's own lines of a finished job, each with its newline; otherwise as `results`."""
        return (row + b"\n" for row in self._rows(job))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        return rows(self._api.download, [f"{_at(BATCHES, job.id)}/results"])


def _auth(key: str) -> HeaderAuth:
    return bearer(key) if key.startswith(OAUTH_PREFIX) else HeaderAuth({"x-api-key": key})


def _headers(target: Target) -> dict[str, str]:
    """The version and the features of Anthropic's API that every call asks for."""
    headers = {"anthropic-version": VERSION}
    for option, name in (("beta", "anthropic-beta"), ("workspace", "anthropic-workspace-id")):
        if target.options.get(option):
            headers[name] = target.options[option]
    return headers


def _at(path: str, native_id: str) -> str:
    return f"{path}/{quote(native_id, safe='')}"


def _page(after: str | None) -> dict[str, str | int | None]:
    name, _, value = (after or "").partition("=")
    return {"limit": PER_PAGE, **({name: value} if name else {})}


def _unstreamed(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "stream"}


def _model(given: Any) -> dict[str, Any]:
    item = parsing.fields(given, "the model")
    created = parsing.instant(item, "created_at") or 0
    return {
        "id": parsing.required(item, "id"),
        "object": "model",
        "created": created // 1000,
        "owned_by": "anthropic",
    }
