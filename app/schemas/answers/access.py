"""Projects, keys and accounts in answers of the management API."""

from marshmallow import Schema, fields

from app.schemas.answers.base import (
    Answer,
    Page,
    deleted,
    extra,
    flag,
    instant,
    kind,
    limits,
    listed,
    mapping,
    number,
    one,
    text,
    texts,
)
from app.schemas.answers.money import Budget, UsageSums
from app.schemas.base import about

KEY_ID = "3f6c0f5a9b2e4d71"
ROLES = ("viewer", "member", "admin")


class Project(Answer):
    """A project."""

    id = text("The id, which is the name.", "team-a")
    object = kind("project")
    name = text("The name.", "team-a")
    description = text("What it is for.", "Nightly evaluations", null=True)
    default_provider = text("The provider of requests that name none.", "openai", null=True)
    limits = limits("Limits by name.")
    is_active = flag("False for an archived project.", True)
    created_at = instant("When it was created.")
    archived_at = instant("When it was archived.", null=True)
    extra_fields = extra(optional=True)


class ProjectList(Page):
    """A page of projects."""

    data = listed(Project, "The projects.")


class BatchesCancelled(Answer):
    """How many batches of a project were cancelled."""

    id = text("The project.", "team-a")
    cancelled = number("How many batches ran.", 3)
    extra_fields = extra()


class KeyProvider(Answer):
    provider = text("The provider.", "openai")
    allowed_models = texts("Its models; `*` for all.", ["*"])


class KeyRateLimit(Answer):
    request_max_limit = number("Requests a minute.", 600, null=True)
    request_reset_duration = text("`1m`.", "1m", null=True)
    token_max_limit = number("Tokens a day.", 1000000, null=True)
    token_reset_duration = text("`1d`.", "1d", null=True)


class KeyUse(Answer):
    """What a key may use."""

    id = text("The id.", KEY_ID)
    name = text("The name.", "ci")
    role = text("What it may do.", "member", words=ROLES)
    kind = text("Where it comes from.", "issued")
    is_active = flag("Whether it works.", True)
    limits = limits("Limits by name.")
    rate_limit = one(KeyRateLimit, "Bifrost's limits, of those that the gateway counts.", null=True)
    provider_configs = fields.List(
        fields.Nested(KeyProvider), allow_none=True, metadata=about("Providers with their models; null for all.")
    )
    providers = texts("Its providers; null for all.", ["openai"], null=True)
    models = texts("Its models; null for all.", ["openai/gpt-4o-mini"], null=True)
    endpoints = texts("Its endpoints; null for all.", ["/v1/chat/completions"], null=True)
    accounts = texts("Its accounts; null for all.", ["openai/main"], null=True)
    project = text("Its project.", "team-a")
    expires_at = instant("When it expires; null for never.", null=True)


class Key(KeyUse):
    """A virtual key."""

    object = kind("virtual_key")
    description = text("What it is for.", "Continuous integration", null=True)
    state = text("Whether it works, and if not, why.", words=("active", "expired", "revoked", "stopped", "archived"))
    networks = texts("Networks that it may be used from; null for all.", ["10.0.0.0/8"], null=True)
    issuer = text("Of a JWT's subject, the issuer.", null=True)
    subject = text("Of a JWT's subject, its name there.", null=True)
    created_at = instant("When it was created.")
    revoked_at = instant("When it was revoked.", null=True)
    stopped_at = instant("When its batches were cancelled.", null=True)
    previous_until = instant("Until when the secret before the last rotation works.", null=True)
    budgets = fields.List(
        fields.Nested(Budget), metadata={**about("Its own budgets. Absent in lists."), "optional": True}
    )
    value = fields.String(
        metadata={**about("The key itself: only when it is created or rotated.", "sk-bf-..."), "optional": True}
    )
    extra_fields = extra(optional=True)


class KeyList(Page):
    """A page of keys."""

    data = listed(Key, "The keys.")


KeyDeleted: type[Schema] = Answer.from_dict(deleted("virtual_key.deleted"), name="KeyDeleted")


class LimitsUsed(Answer):
    key = limits("Used of the key's own limits.")
    project = limits("Used of the project's limits.")


class KeyQuota(KeyUse):
    """What a key may use, and what has been used."""

    object = kind("virtual_key.quota")
    project_limits = limits("Limits of the project.")
    limits_used = one(LimitsUsed, "How much of the limits is used.")
    budgets = listed(Budget, "Budgets of the key and of its project.")
    usage = one(UsageSums, "What the key has used in the last 30 days.")
    extra_fields = extra()


class Account(Answer):
    """A credential at a provider; the credential itself is not shown."""

    id = text("The id, `provider/name`.", "openai/main")
    object = kind("account")
    provider = text("The provider.", "openai")
    name = text("The name.", "main")
    source = text("Where it comes from.", "environment")
    state = text("Whether it is used.", "active")
    base_url = text("Where the provider is.", "https://api.openai.com/v1")
    weight = number("The share of new batches.", 1)
    max_concurrency = number("The most lines in flight at once.", 64)
    limits = limits("Limits by name.")
    models = mapping("Names of models here, and what they are called at the provider.", fields.String(), {})
    options = texts("Names of options that are set.", [])
    abilities = mapping("What it can do: native, emulated or none.", fields.String(), {"files": "native"}, null=True)
    extra_fields = extra(optional=True)


class AccountList(Page):
    """A page of accounts."""

    data = listed(Account, "The accounts.")
