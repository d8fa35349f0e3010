"""multipart/form-data as it arrives: fields are collected, the file goes piece by piece to a sink."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from app.api.body import Body
from app.errors import InvalidRequestError, PayloadTooLargeError

# The decoder slows down by a factor of four when it is fed more at once.
READ_BYTES = 64 * 1024
FIELD_BYTES = 64 * 1024
MAX_PARTS = 64
MAX_BOUNDARY = 200

_QUOTED_NAME = re.compile(r';[ \t]*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_ESCAPED = re.compile(r'\\(["\\])')


class Sink(Protocol):
    """Where the bytes of a file go while they come in."""

    def write(self, data: bytes) -> object: ...


@dataclass(slots=True)
class Form:
    """The fields that have been read, and what the client called the file."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    content_type: str | None = None


OpenFile = Callable[[Form], Sink]


def is_multipart(request: Request) -> bool:
    """True when the request says that its body is a form with a file."""
    return request.mimetype == "multipart/form-data"


def read_form(request: Request, *, file_field: str, open_file: OpenFile) -> Form:
    """Read the whole body. `open_file` gets the form as it is when the file begins: fields may still follow.

    Raises InvalidRequestError when the body is cut short, malformed, or has no or a second file, and
    PayloadTooLargeError when a field is too large. What the sink raises passes through.
    """
    form = Form()
    sink: Sink | None = None
    name: str | None = None  # of the field that is being read; None while it is the file
    value = bytearray()
    for event in _events(request):
        if isinstance(event, File):
            if sink is not None:
                raise InvalidRequestError(f"Send one file, as {file_field}.", param=file_field)
            if event.name != file_field:
                text = f"Send the file as form field {file_field}, not {event.name!r:.60}."
                raise InvalidRequestError(text, param=file_field)
            form.filename = _filename(event)
            form.content_type = event.headers.get("content-type")
            sink, name = open_file(form), None
        elif isinstance(event, Field):
            name = event.name or ""
            value.clear()
        elif isinstance(event, Data) and name is None:
            if sink is not None:
                sink.write(event.data)
        elif isinstance(event, Data) and name is not None:
            value += event.data
            if len(value) > FIELD_BYTES:
                raise PayloadTooLargeError(f"{name:.60} must be at most {FIELD_BYTES} bytes.", param=name[:60])
            if not event.more_data:
                _keep(form, name, value, file_field)
    if sink is None:
        raise InvalidRequestError(f"The form has no file: send it as {file_field}, with a filename.", param=file_field)
    return form


def nested(fields: Mapping[str, str], name: str) -> dict[str, str]:
    """`{"anchor": ..., "seconds": ...}` of fields called `name[anchor]` or `name.anchor`."""
    found = {}
    for key, value in fields.items():
        if key.startswith(f"{name}[") and key.endswith("]"):
            found[key[len(name) + 1 : -1]] = value
        elif key.startswith(f"{name}."):
            found[key[len(name) + 1 :]] = value
    return found


def _filename(part: File) -> str:
    """The name as the client had it: browsers and SDKs send a quote as %22, CR and LF as %0D and %0A."""
    disposition = part.headers.get("content-disposition", "")
    name = part.filename
    # The decoder drops every backslash, and with them the folders of a Windows path that was sent as it is.
    if "\\" in disposition and (quoted := _QUOTED_NAME.search(disposition)):
        name = _ESCAPED.sub(r"\1", quoted.group(1))
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _keep(form: Form, name: str, value: bytearray, file_field: str) -> None:
    if name == file_field:
        raise InvalidRequestError(f"{file_field} must be a file: give its part a filename.", param=file_field)
    if name in form.fields:
        raise InvalidRequestError(f"{name!r:.60} is given twice.", param=name[:60])
    try:
        form.fields[name] = value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name!r:.60} is not valid UTF-8.", param=name[:60]) from error


def _events(request: Request) -> Iterator[Event]:
    # The limit is on what the decoder holds: one read, and what it could not decode before.
    decoder = MultipartDecoder(_boundary(request), READ_BYTES + FIELD_BYTES, max_parts=MAX_PARTS)
    body = Body(request)
    complete = False
    try:
        while not complete:
            data = body.read(READ_BYTES)
            decoder.receive_data(data or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, Epilogue):
                    complete = True
                    break
                yield event
            if not data and not complete:
                raise InvalidRequestError("The body ends before the form does; send it again, whole.")
    except RequestEntityTooLarge as error:
        text = f"The form has more than {MAX_PARTS} parts, or a part's head is too large."
        raise PayloadTooLargeError(text) from error
    except (ValueError, UnicodeError) as error:
        raise InvalidRequestError(f"The body is not a valid multipart form: {error}.") from error


def _boundary(request: Request) -> bytes:
    if not is_multipart(request):
        sent = request.mimetype or "no content type"
        text = f"Content-Type: send a multipart/form-data body, not {sent:.60}."
        raise InvalidRequestError(text, param="Content-Type")
    _, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    if not boundary or len(boundary) > MAX_BOUNDARY or not boundary.isascii():
        raise InvalidRequestError("The Content-Type has no usable boundary.", param="Content-Type")
    return boundary.encode()
