"""The requests about containers and the files in them."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.schemas.base import BodySchema, Metadata, QuerySchema, Text, WholeNumber, one_of

MAX_MINUTES = 20
MAX_FILE_IDS = 500
MAX_DOMAINS = 1000
MAX_SECRET_LENGTH = 10_485_760
MAX_NAME_LENGTH = 512
MAX_PATH_LENGTH = 1024
MAX_ID_LENGTH = 256
MEMORY_LIMITS = ("1g", "4g", "16g", "64g")
DISABLED = "disabled"
ALLOWLIST = "allowlist"


class ExpiresAfter(BodySchema):
    anchor = Text(required=True, validate=one_of("last_active_at"))
    minutes = WholeNumber(min=1, max=MAX_MINUTES, required=True)


class DomainSecret(BodySchema):
    domain = Text(required=True, max_length=253)
    name = Text(required=True)
    value = Text(required=True, max_length=MAX_SECRET_LENGTH, multiline=True)


class NetworkPolicy(BodySchema):
    type = Text(required=True, validate=one_of(DISABLED, ALLOWLIST))
    allowed_domains = fields.List(Text(max_length=253), allow_none=True, validate=validate.Length(max=MAX_DOMAINS))
    domain_secrets = fields.List(fields.Nested(DomainSecret), allow_none=True)

    @validates_schema
    def _allows_something(self, data: dict[str, Any], **_: Any) -> None:
        if data["type"] == ALLOWLIST and not data.get("allowed_domains"):
            raise ValidationError("must list at least one domain for an allowlist.", field_name="allowed_domains")
        if data["type"] == DISABLED and data.get("allowed_domains"):
            raise ValidationError("is allowed only with type allowlist.", field_name="allowed_domains")

    @post_load
    def _plain(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data["type"] == DISABLED:
            return {"type": DISABLED}
        secrets = {"domain_secrets": data["domain_secrets"]} if data.get("domain_secrets") else {}
        return {"type": ALLOWLIST, "allowed_domains": data["allowed_domains"], **secrets}


class CreateContainer(BodySchema):
    name = Text(required=True, max_length=MAX_NAME_LENGTH)
    provider = Text(allow_none=True, load_default=None, max_length=64)
    expires_after = fields.Nested(ExpiresAfter, allow_none=True, load_default=None)
    file_ids = fields.List(
        Text(max_length=MAX_ID_LENGTH),
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=MAX_FILE_IDS, error=f"must list at most {MAX_FILE_IDS} files."),
    )
    memory_limit = Text(allow_none=True, load_default=None, validate=one_of(*MEMORY_LIMITS))
    network_policy = fields.Nested(NetworkPolicy, allow_none=True, load_default=None)
    metadata = Metadata(allow_none=True, load_default=None)


class ListContainerFiles(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20)
    order = Text(load_default="desc", validate=one_of("asc", "desc"))
    after = Text(load_default=None, max_length=MAX_ID_LENGTH)


class ListContainers(ListContainerFiles):
    name = Text(load_default=None, max_length=MAX_NAME_LENGTH)


class CopyFile(BodySchema):
    file_id = Text(required=True, max_length=MAX_ID_LENGTH)
    file_path = Text(allow_none=True, load_default=None, max_length=MAX_PATH_LENGTH)
    provider = Text(allow_none=True, load_default=None, max_length=64)


class UploadFile(BodySchema):
    """The form fields of an upload, besides the file."""

    file_path = Text(load_default=None, max_length=MAX_PATH_LENGTH)
    provider = Text(load_default=None, max_length=64)
