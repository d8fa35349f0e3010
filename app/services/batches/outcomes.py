"""What became of a line, in the dialect that a face asks for: a batch of chat lines can be read as Messages."""

from dataclasses import dataclass
from typing import Any

from app.errors import InvalidRequestError
from app.lib import ids, json
from app.services.batches.batches import Batch
from app.services.lines import output
from app.translate import dialects
from app.translate.chat import answers as chat
from app.translate.errors import UnexpectedAnswerError
from app.translate.messages import answers as messages
from app.translate.neutral import Answer
from app.translate.responses import reading as responses

SUCCEEDED, ERRORED, EXPIRED, CANCELLED = "succeeded", "errored", "expired", "cancelled"
READERS = {dialects.CHAT: chat.read, dialects.MESSAGES: messages.read, dialects.RESPONSES: responses.read}
UNEXECUTED = {output.EXPIRED: EXPIRED, output.CANCELLED: CANCELLED}
BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a line ended. `body` is the answer of one that succeeded; of the others `message` says what is wrong.

    `status` is that of the provider's answer, None without one. `code` is the code or type of the error.
    """

    custom_id: str
    kind: str
    body: Any = None
    status: int | None = None
    request_id: str | None = None
    code: str | None = None
    message: str = ""


def check(batch: Batch, dialect: str) -> None:
    """Raises InvalidRequestError when the answers of the batch cannot be written in `dialect`."""
    if batch.endpoint != dialect and batch.endpoint not in READERS:
        text = (
            f"Batch {batch.public_id} is of {batch.endpoint}, whose answers have no form here: "
            f"read them at /v1/batches/{batch.public_id}/results."
        )
        raise InvalidRequestError(text, code="other_dialect")


def read(batch: Batch, line: bytes, dialect: str) -> Outcome:
    """The outcome of an output line of a batch that `check` has passed."""
    value = json.loads(line)
    custom_id, response = value["custom_id"], value["response"]
    if response is None:
        code, message = value["error"]["code"], value["error"]["message"]
        return Outcome(custom_id, UNEXECUTED.get(code, ERRORED), code=code, message=message)
    status, request_id, body = response["status_code"], response["request_id"], response["body"]
    if status >= BAD_REQUEST:
        code, message = _error(body)
        return Outcome(custom_id, ERRORED, status=status, request_id=request_id, code=code, message=message)
    if batch.endpoint != dialect:
        try:
            body = _written(READERS[batch.endpoint](body), dialect, answer_id=value["id"].removeprefix(ids.LINE))
        except UnexpectedAnswerError as error:
            # Without the status, which is that of a success.
            return Outcome(custom_id, ERRORED, request_id=request_id, code=error.code, message=str(error))
    return Outcome(custom_id, SUCCEEDED, body=body, status=status, request_id=request_id)


def _written(answer: Answer, dialect: str, *, answer_id: str) -> Any:
    created = answer.created or 0
    return dialects.write_answer(dialect, answer, request={}, answer_id=answer_id, model=answer.model, now_s=created)


def _error(body: Any) -> tuple[str | None, str]:
    """(code or type, message) of an error as any provider writes it."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None, error if isinstance(error, str) else "The provider gave no reason."
    code = error.get("code") or error.get("type")
    return None if code is None else str(code), str(error.get("message") or "The provider gave no reason.")
