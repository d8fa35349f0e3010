"""Files, uploads in parts, estimates and models in answers."""

from marshmallow import Schema

from app.schemas.answers.base import (
    FILE_ID,
    Answer,
    Page,
    deleted,
    dollars,
    extra,
    instant,
    kind,
    listed,
    number,
    one,
    text,
)
from app.schemas.files import PURPOSES


class File(Answer):
    """A file."""

    id = text("The id.", FILE_ID)
    object = kind("file")
    bytes = number("The size.", 1048576)
    created_at = instant("When the file was uploaded.")
    filename = text("The name.", "requests.jsonl")
    purpose = text("What the file is for.", "batch")
    status = text("`processed` once the file can be used.", "processed")
    status_details = text("Of an input of batches, what is wrong with its lines.", null=True)
    expires_at = instant("When the file expires; null for never.", null=True)
    storage_backend = text("Where the bytes are: here, in a bucket, or only at the provider (`api`).", "local")
    storage_uri = text("Where they are there.", f"local://{FILE_ID}")
    extra_fields = extra()


class FileList(Page):
    """A page of files."""

    data = listed(File, "The files.")
    after = text("The id of the last file, to send as `after`.", FILE_ID, null=True)


FileDeleted: type[Schema] = Answer.from_dict(deleted("file"), name="FileDeleted")


class Upload(Answer):
    """A file that is sent in parts."""

    id = text("The id.", "upload_0198f0c2a7d34c5b")
    object = kind("upload")
    bytes = number("The size of the whole file.", 1048576)
    created_at = instant("When the upload was announced.")
    expires_at = instant("When the upload expires unless it is completed.")
    filename = text("The name.", "requests.jsonl")
    purpose = text("What the file is for.", "batch", words=PURPOSES)
    status = text("Where the upload is.", "pending", words=("pending", "completed", "cancelled", "expired"))
    file = one(File, "The file, once the upload is completed.", null=True)
    extra_fields = extra()


class UploadPart(Answer):
    """A part of an upload."""

    id = text("The id, for the list of parts that completes the upload.", "part_0198f0c2a7d34c5b")
    object = kind("upload.part")
    created_at = instant("When the part was received.")
    upload_id = text("The upload.", "upload_0198f0c2a7d34c5b")
    extra_fields = extra()


class ModelEstimate(Answer):
    model = text("The model.", "gpt-4o-mini")
    lines = number("Lines of this model.", 100)
    input_tokens = number("Their input, as estimated from its length.", 12000)
    output_tokens = number("The most that they can answer.", 50000)
    estimated_cost = dollars("The most that they can cost; null without a price.", null=True)


class FileEstimate(Answer):
    """What a batch on a file can cost."""

    object = kind("file.estimate")
    file_id = text("The file.", FILE_ID)
    execution = text("Who would run the lines.", "provider")
    lines = number("Valid lines.", 100)
    invalid_lines = number("Lines that a batch would not accept.", 0)
    models = listed(ModelEstimate, "The same by model.")
    input_tokens = number("The input, as estimated from its length.", 12000)
    max_output_tokens = number("The most that lines with a limit can answer.", 50000, null=True)
    lines_without_max_output_tokens = number("Lines that set no limit.", 0)
    output_tokens = number("The most that all lines can answer, with the default for those without a limit.", 50000)
    default_output_tokens = number("What a line without a limit is counted with.", 4096)
    estimated_cost = dollars("The most that the batch can cost; null without a price.", null=True)
    extra_fields = extra()


class Model(Answer):
    id = text("The name to use in lines.", "gpt-4o-mini")
    object = kind("model")
    created = number("When the model was made, in Unix seconds.", 1721172741, null=True)
    owned_by = text("Who made it.", "openai", null=True)
    provider = text("The provider that lists it.", "openai")


class ModelList(Answer):
    """Models that reachable accounts list."""

    object = kind("list")
    data = listed(Model, "The models.")
    extra_fields = extra()
