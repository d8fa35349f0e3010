"""Lines: the list of a batch's, and one of them in four texts side by side."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.openai import batch_wire
from app.api.operation import operation
from app.errors import InvalidRequestError, NotFoundError
from app.lib import json
from app.lib.states import LINE_STATES
from app.services.batches import batches, results, trace
from app.services.batches.trace import Part
from app.services.lines import output

PER_PAGE = 50
MAX_NUMBER_DIGITS = 15
MAX_PRETTY_BYTES = 256 * 1024

blueprint = Blueprint("line_view", __name__)


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a line as it is shown."""

    title: str
    sub: str
    text: str | None
    note: str | None
    is_cut: bool


@blueprint.get("/batches/<batch_id>/lines")
@operation("ui_line_list")
def list_(batch_id: str) -> Response:
    """The lines of a batch in order, all or those in one state."""
    state, after, custom_id = (request.args.get(name, "").strip() for name in ("state", "after", "custom_id"))
    if state and state not in LINE_STATES:
        raise InvalidRequestError(f"There is no state {state!r:.40} of lines.", param="state")
    if custom_id:
        batch = batches.retrieve_with_lines(gateway(), caller(), batch_id)
        number = trace.number_of(gateway(), batch, request.args["custom_id"])
        if number is None:
            raise NotFoundError(f"Batch {batch.public_id} has no line with the custom_id {custom_id!r:.200}.")
        return pages.see(f"/ui/batches/{batch.public_id}/lines/{number}")
    page = results.states(gateway(), caller(), batch_id, limit=PER_PAGE, after=after or None, state=state or None)
    rows = [batch_wire.line(page.batch, row, page.waits.get(row.line)) for row in page.lines]
    last = output.line_id(page.batch.public_id, page.lines[-1].line) if page.has_more else None
    return pages.page(
        "lines.html", batch=page.batch, rows=rows, state=state, after=after, further=last, states=LINE_STATES
    )


@blueprint.get("/batches/<batch_id>/lines/<number>")
@operation("ui_line")
def line(batch_id: str, number: str) -> Response:
    """One line: what was sent and answered, in the caller's dialect and in the provider's."""
    if not (number.isascii() and number.isdecimal() and len(number) <= MAX_NUMBER_DIGITS):
        raise NotFoundError(f"There is no line {number:.40}.")
    found = trace.of_line(gateway(), caller(), batch_id, int(number), asks="native" in request.args)
    texts = [
        _text("Request", "as its caller sent it", found.sent),
        _text("Translated request", found.path or f"as {found.batch.provider} gets it", found.written),
        _text("Native answer", f"as {found.batch.provider} gave it", found.native),
        _text("Translated answer", "as the output file has it", found.answered),
    ]
    row = batch_wire.line(found.batch, found.line, found.wait)
    return pages.page(
        "line.html", batch=found.batch, row=row, texts=texts, may_ask=found.may_ask and not found.native.data
    )


def _text(title: str, sub: str, part: Part) -> Text:
    text = None if part.data is None else _pretty(part.data)
    return Text(title, sub, text, part.note, part.is_cut)


def _pretty(data: bytes) -> str:
    """JSON over several lines, if it is JSON and not too long."""
    if len(data) > MAX_PRETTY_BYTES:
        return data.decode("utf-8", "replace")
    try:
        return "\n".join(json.pretty(json.loads(row)) for row in data.splitlines() if row.strip())
    except (json.JSONDecodeError, json.JSONEncodeError):
        return data.decode("utf-8", "replace")
