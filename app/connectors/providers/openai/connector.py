"""Providers of OpenAI's files and batches: OpenAI itself, Groq, Nebius, Parasail, Perplexity, DeepInfra, Cerebras.

Their differences are data: options of the catalogue or of an account.
`file_expiry` and `output_expiry` (`yes`: uploads and jobs may set an expiry), `paging` (`none`: lists have no pages),
`metadata` (`none`: jobs carry no marker), `first_line` (the number of the first line in errors, 1 or 0), `lines_path`
(where single requests go, below the base URL), `chat_path` (where chats go if the base URL has no version),
`organization` and `project` (headers of OpenAI).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

from app.connectors.contract.base import Target
from app.connectors.contract.errors import RefusedError
from app.connectors.contract.objects import Download, JobResult, NativeFile, NativeJob, NewFile, NewJob, Page
from app.connectors.http.api import Query
from app.connectors.http.remote import Remote, with_bearer
from app.connectors.providers.openai import shapes
from app.connectors.providers.openai.lines import CHAT
from app.connectors.providers.openai.managed import Managed
from app.connectors.providers.openai.results import result
from app.connectors.shared.nobody import readable

FILES = "/v1/files"
BATCHES = "/v1/batches"
PER_PAGE = 100
MAX_PAIRS = 16
# How a provider rejects cancelling a finished job.
OVER_ALREADY = (400, 409)
# How a provider rejects the query of a list.
REFUSED_QUERY = (400, 422)
QUERY_WORDS = re.compile(r"\b(after|limit|query|param(eter)?s?|arguments?)\b", re.IGNORECASE)


class OpenAIShaped(Managed):
    """One account at such a provider."""

    def __init__(self, target: Target, remote: Remote | None = None) -> None:
        super().__init__(target, remote or replace(with_bearer(target), headers=_headers(target)))
        self._first_line = 0 if self._option("first_line") == "0" else 1

    def check(self) -> None:
        """Check the credential by listing a single file. Raises UpstreamError."""
        self._listed(None, shapes.file, FILES, limit=1)

    # Files.

    def upload_file(self, new: NewFile) -> NativeFile:
        """Upload a file. Its expiry is sent where the provider takes one; otherwise the provider's default applies."""
        seconds = new.expires_after_s if self._option("file_expiry") else None
        expiry = [] if seconds is None else expiry_fields(seconds, "[{}]")
        return self._upload(new, expiry)

    def retrieve_file(self, native_id: str) -> NativeFile:
        """The current state of a file."""
        return shapes.file(self._api.get(self._at(FILES, native_id)))

    def list_files(self, *, after: str | None = None) -> Page[NativeFile]:
        """A page of the account's files, newest first."""
        return self._listed(after, shapes.file, FILES)

    def delete_file(self, native_id: str) -> None:
        """Delete a file. Raises MissingError if it is not there."""
        self._delete(FILES, native_id)

    def read_file(self, native_id: str) -> AbstractContextManager[Download]:
        """Stream the bytes of a file."""
        return self._api.download(self._at(FILES, native_id, "content"))

    # Native batches.

    def create_job(self, new: NewJob) -> NativeJob:
        """Create a job from an input file. Its marker goes into the metadata if there is room for another pair."""
        body: dict[str, Any] = {
            "input_file_id": new.input_id,
            "endpoint": self.job_endpoint(new.endpoint),
            "completion_window": new.window,
        }
        if self._option("metadata") != "none":
            room = len(new.metadata) < MAX_PAIRS or shapes.MARKER in new.metadata
            body["metadata"] = {**new.metadata, shapes.MARKER: new.marker} if room else dict(new.metadata)
        if new.output_expires_after_s is not None and self._option("output_expiry"):
            body["output_expires_after"] = {"anchor": "created_at", "seconds": new.output_expires_after_s}
        return self._job(self._api.post(self._at(BATCHES), body))

    def retrieve_job(self, native_id: str) -> NativeJob:
        """The current state of a job."""
        return self._job(self._api.get(self._at(BATCHES, native_id)))

    def list_jobs(self, *, after: str | None = None) -> Page[NativeJob]:
        """A page of the account's jobs, newest first."""
        return self._listed(after, self._job, BATCHES)

    def cancel_job(self, native_id: str) -> NativeJob:
        """Cancel a job. A finished job is returned as it is."""
        return self._cancelled(
            native_id, lambda: self._job(self._api.post(self._at(BATCHES, native_id, "cancel"))), ended=OVER_ALREADY
        )

    def results(self, job: NativeJob) -> Iterator[JobResult]:
        """The result of each line of a finished job: its output file, then its error file; either may be missing."""
        return readable(self._files(job), result)

    # What subclasses change.

    def job_endpoint(self, endpoint: str) -> str:
        """The provider's name of an endpoint in a job."""
        return endpoint

    def _path(self, endpoint: str) -> str:
        if endpoint == CHAT and not self._versioned and self._option("chat_path"):
            return self._option("chat_path")
        return self._option("lines_path") + super()._path(endpoint)

    def _paging(self, path: str, after: str | None, limit: int) -> Mapping[str, str | int | None]:
        """The query of a list at `path`."""
        return {} if self._option("paging") == "none" else {"limit": limit, "after": after}

    def _listed(self, after: str | None, read: Any, path: str, *parts: str, limit: int = PER_PAGE) -> Page[Any]:
        """A page of a list, whose path is made as by `_at`.

        A server may require `after` even if it is empty, or refuse parameters, so a refused query is put otherwise.
        """
        at, query = self._at(path, *parts), self._paging(path, after, limit)
        try:
            return self._page(self._api.get(at, query=query), read, after)
        except RefusedError as error:
            blames_query = QUERY_WORDS.search(f"{error.param} {error.message}")
            if error.status not in REFUSED_QUERY or not blames_query or not query:
                raise
            others: list[Query] = [{"limit": limit, "after": ""}, {}] if after is None else [{"after": after}]
            for other in others:
                with suppress(RefusedError):
                    return self._page(self._api.get(at, query=other), read, after)
            raise

    def _page(self, answer: Any, read: Any, current: str | None) -> Page[Any]:
        page = shapes.page(answer, read, current=current)
        return Page(page.items, None) if self._option("paging") == "none" else page

    def _upload(self, new: NewFile, expiry: list[tuple[str, str]]) -> NativeFile:
        answer = self._api.upload(
            self._at(FILES),
            fields=[("purpose", new.purpose), *expiry],
            file_field="file",
            filename=new.filename,
            payload=new.payload,
        )
        return shapes.file(answer)

    def _delete(self, path: str, *parts: str, missing_ok: bool = False) -> None:
        shapes.deleted(self._api.delete(self._at(path, *parts), missing_ok=missing_ok))

    def _job(self, answer: Any) -> NativeJob:
        return shapes.job(answer, first_line=self._first_line)

    def _option(self, name: str) -> str:
        return self.target.options.get(name, "")


def _headers(target: Target) -> dict[str, str]:
    headers = {"OpenAI-Organization": "organization", "OpenAI-Project": "project"}
    return {name: target.options[option] for name, option in headers.items() if target.options.get(option)}


def expiry_fields(seconds: int, naming: str) -> list[tuple[str, str]]:
    """The two form fields that set the expiry of an upload; Azure and OpenAI name them differently."""
    name = "expires_after" + naming
    return [(name.format("anchor"), "created_at"), (name.format("seconds"), str(seconds))]
