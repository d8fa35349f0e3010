"""What connectors share that answer OpenAI's lines and have a management API beside them."""

from collections.abc import Iterator
from urllib.parse import quote

from app.connectors.contract.base import Target
from app.connectors.contract.errors import MissingError
from app.connectors.contract.objects import NativeJob
from app.connectors.http.api import Api
from app.connectors.http.spool import rows
from app.connectors.providers.openai.lines import OpenAICompatible


class Managed(OpenAICompatible):
    """One account. `api_url` is where its management API is, when that is not the base URL of its lines."""

    def __init__(self, target: Target, *, api_url: str | None = None) -> None:
        super().__init__(target)
        self._api = Api(
            target, headers=self.headers(), base_url=api_url, authorize=self.authorize, secrets=self.secrets
        )

    @property
    def secrets(self) -> list[str]:
        """What must be in no text besides the credential; the list may grow."""
        return []

    @property
    def healthy(self) -> bool:
        """False while the account's breaker is open: new work goes elsewhere."""
        return self._api.healthy

    def close(self) -> None:
        """Close idle connections; the connector stays usable."""
        super().close()
        self._api.close()

    def raw_results(self, job: NativeJob) -> Iterator[bytes]:
        """The provider's own lines of a job that is over, each with its newline; as `results` otherwise."""
        return (row + b"\n" for row in self._rows(job))

    def _rows(self, job: NativeJob) -> Iterator[bytes]:
        """The lines of a job's output file, then those of its error file; either may be missing."""
        return rows(self.read_file, (job.output_id, job.error_id))

    def _at(self, path: str, *parts: str) -> str:
        """The path of a management call; `parts` are ids and words below `path` (`/v1/...`)."""
        # Not what a subclass makes of the paths of lines.
        return "/".join([OpenAICompatible._path(self, path), *(quote(part, safe="") for part in parts)])

    def _remove(self, path: str) -> None:
        """DELETE; what is gone already is fine."""
        try:
            self._api.delete(path)
        except MissingError:
            return
