"""Lines as records of Bedrock's model families, and records of results as answers (contracts: providers, 5.3)."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

from app.connectors.contract.base import LineCall
from app.connectors.contract.objects import EncodedLine, JobLine, JobResult, NativeJob
from app.connectors.providers.bedrock import shapes
from app.connectors.shared.nobody import readable
from app.connectors.shared.regrouping import Piece, piece_id, regrouped
from app.connectors.shared.translated import NativeCall
from app.lib import json
from app.translate import dialects
from app.translate.converse.answers import read as read_converse
from app.translate.converse.families import CONVERSE, Family, family
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, EmbeddingAnswer, EmbeddingRequest, Json, Request


def encoded(line: JobLine, *, mode: str) -> EncodedLine:
    """A line as one record, or as one per text where the model takes a single text. Raises TranslationError."""
    if line.endpoint == dialects.EMBEDDINGS:
        request = dialects.read_embedding(line.body)
        request.model = line.model
        records = family(line.model).write_embeddings(request)
        count = len(records)
        data = b"".join(_record(piece_id(line.custom_id, n, count), body) for n, body in enumerate(records))
        return EncodedLine(data, count, _dropped(request))
    chat = dialects.read_request(line.endpoint, line.body)
    chat.model = line.model
    written = family(line.model, mode=mode).write(chat)
    return EncodedLine(_record(line.custom_id, written.body), dropped=tuple(written.dropped))


def is_converse(model: str, *, mode: str) -> bool:
    """True when lines of a model are written for Converse."""
    return mode == CONVERSE and not makes_vectors(model)


def pieces(call: LineCall) -> Iterator[list[str]] | None:
    """The texts of an embedding in groups that fit into one call; None if one call is enough."""
    try:
        request = dialects.read_embedding(call.body)
        count = len(family(request.model).write_embeddings(request))
    except TranslationError:
        return None  # the call itself reports the error
    if count == 1:
        return None
    texts = request.inputs
    size = 1 if count == len(texts) else -(-len(texts) // count)
    return (texts[start : start + size] for start in range(0, len(texts), size))


def native_call(request: Request | EmbeddingRequest, *, mode: str) -> NativeCall:
    """One line as a call of InvokeModel or Converse. Raises TranslationError."""
    path = f"/model/{quote(request.model, safe='')}"
    if isinstance(request, EmbeddingRequest):
        dialect = family(request.model)
        body = dialect.write_embeddings(request)[0]
        return NativeCall(f"{path}/invoke", body, dialect.read_embeddings, _dropped(request))
    dialect = family(request.model, mode=mode)
    written = dialect.write(request)
    verb = "converse" if dialect.name == CONVERSE else "invoke"
    return NativeCall(f"{path}/{verb}", written.body, dialect.read, tuple(written.dropped))


def results(job: NativeJob, files: Generator[Iterator[bytes]], *, now_s: int) -> Iterator[JobResult]:
    """The result of each line, from the files of results. What reading these raises passes through."""
    known = _family(job.model or "")
    created = now_s if job.ended_at is None else job.ended_at // 1000

    def read(output: Any) -> Answer | EmbeddingAnswer:
        if job.endpoint == dialects.EMBEDDINGS:
            return _known(known).read_embeddings(output)
        # The account's mode may have changed since the job was created. Nova and Converse share this shape.
        if isinstance(output, dict) and isinstance(output.get("output"), dict):
            return read_converse(output, created=created)
        return _known(known).read(output, created=created)

    records = _read(files, read)
    if job.endpoint != dialects.EMBEDDINGS:
        return records
    return regrouped((Piece(result.custom_id, result) for result in records), status=job.status)


def _read(files: Generator[Iterator[bytes]], read: shapes.Read) -> Iterator[JobResult]:
    with closing(files):
        yield from readable(files, lambda row, number: shapes.result(row, number, read))


def makes_vectors(model: str | None) -> bool:
    """True for a model whose lines may become several records."""
    known = _family(model or "")
    return known is not None and known.is_embedding


def _family(model: str) -> Family | None:
    try:
        return family(model)
    except TranslationError:
        return None


def _known(known: Family | None) -> Family:
    if known is None:
        raise UnexpectedAnswerError("The answers of this model are in an unknown dialect.")
    return known


def _record(record: str, body: Json) -> bytes:
    return json.dumps_line({"recordId": record, "modelInput": body})


def _dropped(request: EmbeddingRequest) -> tuple[str, ...]:
    return (*request.dropped, "user") if request.user else tuple(request.dropped)
