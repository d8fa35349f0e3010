"""Files, uploads in parts, and models."""

from app.api.reference.described.declared import BYTES, MULTIPART, Body, Described
from app.schemas import files as requests
from app.schemas import uploads
from app.schemas.answers import files

FILES, UPLOADS, MODELS = "Files", "Uploads", "Models"
STORAGE = {
    "type": "string",
    "maxLength": 4096,
    "description": "Where the bytes are to be kept, as a JSON object: the gateway's own store unless it is given.",
    "examples": ['{"s3": {"bucket": "my-bucket", "prefix": "inputs"}}'],
}
OPERATIONS = {
    "file_upload": Described(
        FILES,
        files.File,
        bodies=(
            Body(
                requests.UploadFile,
                MULTIPART,
                more={"file": {**BYTES, "description": "The file, with its name."}, "storage_config": STORAGE},
                needs=("file",),
            ),
        ),
        refused=(400, 409, 413),
        stores_bytes=True,
        is_created_at_azure=True,
    ),
    "file_list": Described(FILES, files.FileList, refused=(400,)),
    "file_retrieve": Described(FILES, files.File, refused=(400,)),
    "file_delete": Described(FILES, files.FileDeleted, refused=(400, 409)),
    "file_content": Described(FILES, refused=(400,), is_content=True),
    "file_estimate": Described(FILES, files.FileEstimate, refused=(400,)),
    "upload_create": Described(
        UPLOADS, files.Upload, bodies=(Body(uploads.CreateUpload),), refused=(400, 409, 413), stores_bytes=True
    ),
    "upload_part_add": Described(
        UPLOADS,
        files.UploadPart,
        bodies=(
            Body(
                uploads.AddPart,
                MULTIPART,
                more={"data": {**BYTES, "description": "The bytes of the part, with any name."}},
                needs=("data",),
            ),
        ),
        refused=(400, 409, 413),
        stores_bytes=True,
    ),
    "upload_complete": Described(
        UPLOADS,
        files.Upload,
        bodies=(Body(uploads.CompleteUpload),),
        refused=(400, 409, 413),
        stores_bytes=True,
    ),
    "upload_cancel": Described(
        UPLOADS, files.Upload, bodies=(Body(uploads.CancelUpload, is_required=False),), refused=(400, 409)
    ),
    "model_list": Described(MODELS, files.ModelList, refused=(400,)),
}
