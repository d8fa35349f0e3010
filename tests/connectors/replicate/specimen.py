"""Replicate in the contract suite: files alone."""

from tests.connectors.contract.specimen import Specimen

FILE = {
    "id": "f",
    "name": "a",
    "size": 1,
    "metadata": {"purpose": "vision"},
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-02T00:00:00Z",
    "urls": {"get": "http://127.0.0.1:1/v1/files/f/download"},
}
FIELDS = ("id", "name", "size", "metadata", "metadata.purpose", "created_at", "expires_at", "urls", "urls.get")
ANSWERS = {
    "retrieve_file": (FILE, FIELDS),
    "upload_file": (FILE, FIELDS),
    "read_file": (FILE, FIELDS),
    "list_files": ({"results": [FILE], "next": None}, ("results", "results.0", "results.0.id", "next")),
}


SPECIMEN = Specimen(
    "replicate", answers=ANSWERS, empty_object_is_fine=frozenset({"list_files"}), file_lifetime_s=24 * 3600
)
