"""What the contract suite knows of a provider: answers to break, jobs to run, and where the provider differs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.connectors.contract.base import Connector
from app.connectors.contract.objects import NativeJob, SoughtJob
from tests.support.native_jobs import CHAT, new_file, new_job, payload

Call = Callable[[Connector], Any]
MARKER = "bg-marker-1"
JOB = NativeJob("b", "completed", output_id="out", endpoint=CHAT)


@dataclass(frozen=True)
class Specimen:
    """A provider in the contract suite. Its fake and its account come from the farm of tests/e2e/conformance.

    `answers` has, by the name of a call, a good answer and the members of it to replace by nonsense (`a.0.b` goes
    deeper). `calls` replace or add to the calls that are the same everywhere.
    """

    provider: str
    alike: bool = False  # another specimen runs the same code

    # Nonsense and faults.
    answers: Mapping[str, tuple[Any, Sequence[str]]] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    empty_object_is_fine: frozenset[str] = frozenset()  # calls that read {} as "none"
    empty_body_is_fine: frozenset[str] = frozenset({"results"})  # no bytes are no rows
    missing_is_fine: frozenset[str] = frozenset()  # calls that read a 404 as "none"
    rows_by_url: bool = False  # bytes come from where a first answer says, so that answer may break, not they
    nonsense: Sequence[bytes] = ()  # further answers that no call takes
    complaint: str = ""  # what the error about nonsense says

    # Objects of calls that meet prepared answers.
    file_id: str = "f"
    job_id: str = "b"
    input_id: str = "f"
    job: NativeJob = JOB
    input_line: bytes = b"{}\n"

    # Jobs.
    endpoint: str = CHAT
    models: Sequence[str] = ("m-1",)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})  # of the fake, by name
    made: Mapping[str, Any] = field(default_factory=dict)  # fields of a job that was just created
    ended: Mapping[str, Any] = field(default_factory=dict)  # fields of one that completed
    counts: bool = True  # jobs count their lines
    tells_end: bool = True  # a job that completed has the time of its end
    lifetime_s: int | None = None  # of a job
    keeps_marker: bool = True
    add_job: Callable[[Any, int], str] | None = None  # puts one into the fake; returns its native id
    many_jobs: int = 120
    jobs_newest_first: bool = True
    rows_path: str = ""  # the end of the path that gives the results
    cut_at: int = 9000  # a byte within the results
    rows_at_once: bool = True  # no line of results that are cut
    cancelling: str = "cancelling"  # what a job is that was just cancelled
    keeps_cancelled: bool = True  # a cancelled job is not deleted
    early_deletion: int | None = None  # the status that refuses the deletion of a running job

    # Files.
    filename: str = "é b.jsonl"
    file: Mapping[str, Any] = field(default_factory=dict)  # fields of a file that was just uploaded
    file_lifetime_s: int | None = None
    reads_uploads: bool = True
    add_file: Callable[[Any, int], str] | None = None  # puts one into the fake; returns its native id
    many_files: int = 120
    files_newest_first: bool = True
    pages: bool = True  # lists have pages

    # The account.
    options: Mapping[str, str] = field(default_factory=dict)  # beside what the farm sets
    credential: str = ""  # instead of the farm's
    key_status: int = 401  # of a call whose key is wrong

    def call(self, name: str) -> Call:
        """The call of a connector that `name` stands for."""
        return self.calls.get(name) or getattr(self, f"_{name}")

    def _upload_file(self, connector: Connector) -> Any:
        return connector.upload_file(new_file(b"{}\n", endpoint=self.endpoint))

    def _retrieve_file(self, connector: Connector) -> Any:
        return connector.retrieve_file(self.file_id)

    def _list_files(self, connector: Connector) -> Any:
        return connector.list_files()

    def _delete_file(self, connector: Connector) -> Any:
        return connector.delete_file(self.file_id)

    def _read_file(self, connector: Connector) -> Any:
        with connector.read_file(self.file_id) as download:
            return b"".join(download.chunks)

    def _read_container_file(self, connector: Connector) -> Any:
        with connector.read_container_file("c", "f") as download:
            return b"".join(download.chunks)

    def _create_job(self, connector: Connector) -> Any:
        jobs = connector.abilities.jobs
        lines = payload(self.input_line) if jobs.inline or jobs.inline_bytes else None
        new = new_job(self.models[0], lines=1, endpoint=self.endpoint, payload=lines)
        return connector.create_job(new if lines else replace(new, input_id=self.input_id))

    def _retrieve_job(self, connector: Connector) -> Any:
        return connector.retrieve_job(self.job_id)

    def _list_jobs(self, connector: Connector) -> Any:
        return connector.list_jobs()

    def _find_jobs(self, connector: Connector) -> Any:
        return connector.find_jobs(SoughtJob(MARKER, None, 0))

    def _cancel_job(self, connector: Connector) -> Any:
        return connector.cancel_job(self.job_id)

    def _results(self, connector: Connector) -> Any:
        return list(connector.results(self.job))

    def _raw_results(self, connector: Connector) -> Any:
        return list(connector.raw_results(self.job))

    def _list_models(self, connector: Connector) -> Any:
        return connector.list_models(timeout_s=5.0)

    def _check(self, connector: Connector) -> Any:
        return connector.check()
