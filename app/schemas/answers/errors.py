"""The error envelope."""

from app.schemas.answers.base import Answer, flag, number, one, text


class ErrorBody(Answer):
    type = text("OpenAI's word for the kind of error.", "invalid_request_error")
    code = text("A code that programs can test.", "not_found", null=True)
    message = text("What is wrong, where, and what to do.", "There is no file 'file-1' in this project.")
    param = text("The field that is wrong.", "file_id", null=True)
    event_id = text("The id of the request.", "req_0198f0c2a7d34c5b")


class ErrorExtraFields(Answer):
    provider = text("The provider that failed or refused.", "openai", null=True)
    model_requested = text("The model that the request named.", null=True)
    request_type = text("The operation.", "file_retrieve")


class Error(Answer):
    """An error, as clients of OpenAI and of Bifrost read it."""

    event_id = text("The id of the request, as in `x-request-id`.", "req_0198f0c2a7d34c5b")
    type = text("As in `error`.", "invalid_request_error")
    is_bifrost_error = flag("True if the gateway refused or failed, false if the provider did.", True)
    status_code = number("The HTTP status.", 404)
    error = one(ErrorBody, "The error in OpenAI's form.")
    extra_fields = one(ErrorExtraFields, "What the request was.")
