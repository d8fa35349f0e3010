"""Shared by connectors whose provider answers OpenAI's lines and has a management API of its own."""

from collections.abc import Iterator
from urllib.parse import quote

from app.connectors.contract.objects import NativeJob
from app.connectors.http.spool import each_row, files
from app.connectors.providers.openai.lines import OpenAICompatible
from app.connectors.shared.nobody import filled


class Managed(OpenAICompatible):
    """One account."""

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return self._api.healthy

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The provider's own lines of a finished job, each with its newline; otherwise as `results`."""
        return (row + b"\n" for row in self._rows(job))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        """The lines of a job's output file, then those of its error file."""
        return each_row(files(self.read_file, (job.output_id, job.error_id)))

    def _files(self, job: NativeJob) -> Iterator[Iterator[bytes]]:
        """The lines of a job's output file, which has some if lines succeeded, and those of its error file."""
        output = files(self.read_file, (job.output_id,))
        yield from map(filled, output) if job.completed else output
        yield from files(self.read_file, (job.error_id,))

    def _at(self, path: str, *parts: str) -> str:
        """The path of a management call; `parts` are ids and words below `path` (`/v1/...`)."""
        # Not by `_path`, which subclasses change for lines.
        return "/".join([OpenAICompatible._path(self, path), *(quote(part, safe="") for part in parts)])
