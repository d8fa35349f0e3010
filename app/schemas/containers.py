"""The requests about containers and the files in them."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.schemas.base import BodySchema, Metadata, QuerySchema, Text, WholeNumber, about, one_of

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


class ContainerExpiry(BodySchema):
    anchor = Text(
        required=True, validate=one_of("last_active_at"), metadata=about("What the time runs from.", "last_active_at")
    )
    minutes = WholeNumber(
        min=1,
        max=MAX_MINUTES,
        required=True,
        metadata=about("Minutes without activity after which the container expires.", 20),
    )


class DomainSecret(BodySchema):
    domain = Text(
        required=True, max_length=253, metadata=about("The domain whose requests get the secret.", "api.example.com")
    )
    name = Text(required=True, metadata=about("The name of the secret.", "API_KEY"))
    value = Text(
        required=True,
        max_length=MAX_SECRET_LENGTH,
        multiline=True,
        metadata=about("The secret itself, which is never returned.", "s3cret"),
    )


class NetworkPolicy(BodySchema):
    type = Text(
        required=True,
        validate=one_of(DISABLED, ALLOWLIST),
        metadata=about("`disabled`: no network; `allowlist`: only the domains that are listed.", "disabled"),
    )
    allowed_domains = fields.List(
        Text(max_length=253),
        allow_none=True,
        validate=validate.Length(max=MAX_DOMAINS),
        metadata=about("The domains that an allowlist permits.", ["api.example.com"]),
    )
    domain_secrets = fields.List(
        fields.Nested(DomainSecret), allow_none=True, metadata=about("Secrets that are sent to listed domains.")
    )

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
    name = Text(required=True, max_length=MAX_NAME_LENGTH, metadata=about("The container's name.", "analysis"))
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The provider to use; else the default of the project or the gateway.", "openai"),
    )
    expires_after = fields.Nested(
        ContainerExpiry,
        allow_none=True,
        load_default=None,
        metadata=about("When the container expires: 20 minutes after its last use unless it is given."),
    )
    file_ids = fields.List(
        Text(max_length=MAX_ID_LENGTH),
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=MAX_FILE_IDS, error=f"must list at most {MAX_FILE_IDS} files."),
        metadata=about("Files of the project to copy into the container.", ["file-0198f0c2a7d34c5b"]),
    )
    memory_limit = Text(
        allow_none=True,
        load_default=None,
        validate=one_of(*MEMORY_LIMITS),
        metadata=about("The memory of the container.", "1g"),
    )
    network_policy = fields.Nested(
        NetworkPolicy,
        allow_none=True,
        load_default=None,
        metadata=about("What the container may reach on the network."),
    )
    metadata = Metadata(
        allow_none=True,
        load_default=None,
        metadata=about("Up to 16 pairs of your own, returned with the container.", {"team": "research"}),
    )


class ListContainerFiles(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20, metadata=about("How many to return at most."))
    order = Text(
        load_default="desc",
        validate=one_of("asc", "desc"),
        metadata=about("By time of creation: `asc` from the oldest, `desc` from the newest."),
    )
    after = Text(
        load_default=None,
        max_length=MAX_ID_LENGTH,
        metadata=about("The id of the last object of the page before: the list goes on after it."),
    )


class ListContainers(ListContainerFiles):
    name = Text(
        load_default=None, max_length=MAX_NAME_LENGTH, metadata=about("Only containers of this name.", "analysis")
    )


class CopyFile(BodySchema):
    file_id = Text(
        required=True,
        max_length=MAX_ID_LENGTH,
        metadata=about("The file of the project to copy.", "file-0198f0c2a7d34c5b"),
    )
    file_path = Text(
        allow_none=True,
        load_default=None,
        max_length=MAX_PATH_LENGTH,
        metadata=about("Its path in the container; the file's name unless it is given.", "/mnt/data/notes.txt"),
    )
    provider = Text(
        allow_none=True,
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )


class UploadContainerFile(BodySchema):
    """The form fields of an upload, besides the file, or in its place."""

    file_id = Text(
        load_default=None,
        max_length=MAX_ID_LENGTH,
        metadata=about("A file of the project to copy, in place of an upload.", "file-0198f0c2a7d34c5b"),
    )
    file_path = Text(
        load_default=None,
        max_length=MAX_PATH_LENGTH,
        metadata=about("The path in the container; the file's name unless it is given.", "/mnt/data/notes.txt"),
    )
    provider = Text(
        load_default=None,
        max_length=64,
        metadata=about("The object's provider. Another one is answered with 404.", "openai"),
    )
