"""Which files the lines of a batch name, found out while it is planned."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from app.data.batches import named_files
from app.services.line_files.line_files import LineFiles
from app.services.line_files.look_up import NOT_FOUND, missing
from app.services.lines import file_refs
from app.services.lines.rules import Finding, LineFacts


@dataclass(slots=True)
class BatchNames:
    """Takes the lines of a batch (`check`); now and then `note` records the files that they name."""

    files: LineFiles
    endpoint: str
    _due: dict[int, Finding] = field(default_factory=dict)

    @property
    def due(self) -> int:
        """How many files are to be noted."""
        return len(self._due)

    def check(self, facts: LineFacts, data: bytes, *, number: int) -> Finding | None:
        """A Finding for the first file that the line names and the project does not have. `data` is the line."""
        if not file_refs.may_name(data):
            return None
        for reference in file_refs.find(self.endpoint, facts.body):
            absent = Finding(NOT_FOUND, missing(reference.file_id), f"{facts.form}.{reference.path}", number)
            file = self.files.find(reference.file_id)
            if file is None:
                return absent
            self._due.setdefault(file.row.id, absent)
        return None

    def note(self, connection: Connection, batch_id: int) -> list[Finding]:
        """Record the files found since the last call, which cannot be deleted then.

        Returns a Finding for each that was deleted meanwhile.
        """
        due, self._due = self._due, {}
        gone = named_files.add(connection, batch_id, due) if due else set()
        return [due[file_id] for file_id in sorted(gone)]
