"""Files that a line names: where their ids are in its body, and the body with something else in their places.

An id is a reference to a file where the dialect of the line has one for its content: in a part of a message. Elsewhere
it is refused (`owned_ids`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.services.lines import owned_ids
from app.services.lines.rules import MESSAGES

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
# Members of a body that hold content.
ROOTS: Mapping[str, tuple[str, ...]] = {CHAT: ("messages",), RESPONSES: ("input", "tools"), MESSAGES: ("messages",)}
SIGN = b"file_id"
ESCAPE = b"\\u00"
MAX_ID_LENGTH = 512
# What a part is: shown to the model as it is, or put into the container of its tools.
IMAGE, DOCUMENT, UPLOAD = "image", "document", "upload"
RESPONSE_PARTS = {"input_image": IMAGE, "computer_screenshot": IMAGE, "input_file": DOCUMENT}
MASK = "input_image_mask"

Step = str | int


@dataclass(frozen=True, slots=True)
class Reference:
    """A part of a line that names a file: `part` lies at `steps` of the body, and its id at `id_steps` of the part."""

    file_id: str
    kind: str
    steps: tuple[Step, ...]
    id_steps: tuple[str, ...]
    part: Mapping[str, Any] = field(repr=False)

    @property
    def path(self) -> str:
        """Where the id is, without the member of the line that has the body."""
        return path_of((*self.steps, *self.id_steps))

    def part_with(self, file_id: str) -> dict[str, Any]:
        """The part with another id."""
        changed = put(self.part, self.id_steps, file_id)
        return dict(changed)


def may_name(data: bytes) -> bool:
    """False for a line that surely names no file."""
    return SIGN in data or (b"\\" in data and ESCAPE in data)


def named_in(endpoint: str, body: Mapping[str, Any]) -> tuple[list[Reference], str | None]:
    """(the references in a body, the path of an id in it that is none and names an object with an owner)."""
    owned = owned_ids.find(body)
    if owned is None:
        return [], None
    references = find(endpoint, body)
    return references, owned_ids.find(without(body, references)) if references else owned


def find(endpoint: str, body: Mapping[str, Any]) -> list[Reference]:
    """The references in the body of a line of `endpoint`, in order."""
    found: list[Reference] = []
    for root in ROOTS.get(endpoint, ()):
        if isinstance(body.get(root), list):
            found += _walk(endpoint, body[root], (root,), root)
    return found


def without(body: Mapping[str, Any], references: Sequence[Reference]) -> dict[str, Any]:
    """The body with empty ids in all references."""
    return replaced(body, [(reference, reference.part_with("")) for reference in references])


def replaced(body: Mapping[str, Any], parts: Sequence[tuple[Reference, Mapping[str, Any]]]) -> dict[str, Any]:
    """The body with other parts in the places of references; `body` stays as it is."""
    changed: Any = body
    for reference, part in parts:
        changed = put(changed, reference.steps, part)
    return dict(changed)


def put(value: Any, steps: Sequence[Step], new: Any) -> Any:
    """`value` with `new` at `steps`; only what lies on the way is copied."""
    if not steps:
        return new
    first, *rest = steps
    inner = put(value[first], rest, new)
    if isinstance(value, Mapping):
        return {**value, first: inner}
    copied = list(value)
    copied[int(first)] = inner
    return copied


def path_of(steps: Sequence[Step]) -> str:
    """Steps as people write them: messages[0].content[1].file.file_id."""
    words = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(words).removeprefix(".")


def _walk(endpoint: str, value: Any, steps: tuple[Step, ...], reached_by: str) -> Iterator[Reference]:
    if isinstance(value, list):
        for position, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from _walk(endpoint, inner, (*steps, position), reached_by)
    elif isinstance(value, dict):
        kind, id_steps = _reference(endpoint, value, reached_by)
        if kind:
            file_id: Any = value
            for step in id_steps:
                file_id = file_id.get(step) if isinstance(file_id, dict) else None
            if isinstance(file_id, str) and file_id:
                yield Reference(file_id, kind, steps, id_steps, value)
                return
        for name, inner in value.items():
            if isinstance(inner, dict | list) and not owned_ids.is_free(name, value, reached_by):
                yield from _walk(endpoint, inner, (*steps, name), name)


def _reference(endpoint: str, part: Mapping[str, Any], reached_by: str) -> tuple[str, tuple[str, ...]]:
    """(what a part that may name a file is, where in it the id would be); an empty word for any other part."""
    kind = part.get("type")
    if endpoint == CHAT and kind == "file":
        return DOCUMENT, ("file", "file_id") if isinstance(part.get("file"), dict) else ("file_id",)
    if endpoint == RESPONSES:
        if reached_by == MASK:
            return IMAGE, ("file_id",)
        return RESPONSE_PARTS.get(kind, "") if isinstance(kind, str) else "", ("file_id",)
    if endpoint == MESSAGES:
        if kind == "container_upload":
            return UPLOAD, ("file_id",)
        source = part.get("source")
        if kind in (IMAGE, DOCUMENT) and isinstance(source, dict) and source.get("type") == "file":
            return kind, ("source", "file_id")
    return "", ()
