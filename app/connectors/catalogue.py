"""The providers that the gateway knows, as data (contracts: providers, support matrix). Code is named, not imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.connectors.abilities import Abilities, FileLimits, JobLimits, operations

MIB = 2**20
GIB = 2**30

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
MODERATIONS = "/v1/moderations"
IMAGES = "/v1/images/generations"
IMAGE_EDITS = "/v1/images/edits"
VIDEOS = "/v1/videos"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
LINES = frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES})

# What newer models of OpenAI insist on, and who follows it calls the other name old.
NEWER_LIMIT = "max_completion_tokens"

# Purposes at which OpenAI's own services use a file, so that it has to be there.
DIRECT = frozenset({"assistants", "vision", "user_data", "fine-tune", "evals"})
DAYS = frozenset({"24h", "48h", "7d"})

LINES_ONLY = "app.connectors.openai_compatible:OpenAICompatible"
OPENAI_SHAPED = "app.connectors.openai_shaped:OpenAIShaped"
STORE_ONLY = "app.connectors.base:Connector"


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of a provider without importing its code.

    `target` is `module:Class`, empty while there is no connector: then `abilities` are what its API has, and every
    operation answers that it is not supported. `base_url` is the default, may be empty. An account exists when
    `key_envs` (the first one set counts) has a value or, for a provider that runs without keys, when `url_env` has.
    `prefix` starts the names of its other variables; `option_envs` are those of the account's options, `options` the
    defaults of these.
    """

    name: str
    prefix: str
    key_envs: tuple[str, ...]
    url_env: str
    base_url: str = ""
    keyless: bool = False
    target: str = ""
    abilities: Abilities = Abilities()
    install_hint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    option_envs: Mapping[str, str] = field(default_factory=dict)


def _hosted(name: str, base_url: str, *, keys: str = "", url: str = "", prefix: str = "", **more: object) -> Provider:
    prefix = prefix or name.upper()
    key_envs = tuple(keys.split()) or (f"{prefix}_API_KEY",)
    return Provider(name, prefix, key_envs, url or f"{prefix}_BASE_URL", base_url, **more)  # type: ignore[arg-type]


def _own_server(name: str, abilities: Abilities) -> Provider:
    prefix = name.upper()
    return Provider(
        name, prefix, (f"{prefix}_API_KEY",), f"{prefix}_BASE_URL", keyless=True, target=LINES_ONLY, abilities=abilities
    )


def _native(
    jobs: JobLimits,
    *,
    lines: frozenset[str],
    files: FileLimits = FileLimits(),  # noqa: B008 - immutable
    also: str = "",
    emulated: str = "batch_delete",
    without: str = "",
    token_limit: str = "max_tokens",
) -> Abilities:
    found = operations(native=f"files batches {also}", emulated=emulated)
    for name in without.split():
        del found[name]
    return Abilities(found, lines=lines, files=files, jobs=jobs, token_limit=token_limit)


EMULATED = Abilities(operations(emulated="files batches"), lines=LINES)
HOSTED = Abilities(operations(emulated="files batches containers"), lines=LINES)
FILES_ONLY = Abilities(operations(emulated="files"))

PROVIDERS = (
    _hosted(
        "openai",
        "https://api.openai.com/v1",
        target="app.connectors.openai_containers:OpenAIContainers",
        options={"file_expiry": "yes", "output_expiry": "yes"},
        option_envs={"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"},
        abilities=_native(
            JobLimits(endpoints=LINES | {MODERATIONS, IMAGES, IMAGE_EDITS, VIDEOS}, bytes=200 * MIB, lines=50_000),
            token_limit=NEWER_LIMIT,
            lines=LINES,
            files=FileLimits(bytes=512 * MIB, direct=DIRECT),
            also="containers",
        ),
    ),
    _hosted(
        "azure",
        "",
        keys="AZURE_OPENAI_API_KEY",
        url="AZURE_OPENAI_ENDPOINT",
        prefix="AZURE_OPENAI",
        target="app.connectors.azure:Azure",
        options={"file_expiry": "yes", "output_expiry": "yes"},
        option_envs={"api_version": "AZURE_OPENAI_API_VERSION", "authority": "AZURE_AUTHORITY_HOST"},
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT, RESPONSES}), bytes=200 * MIB, lines=100_000),
            token_limit=NEWER_LIMIT,
            lines=LINES,
            files=FileLimits(bytes=512 * MIB, direct=DIRECT),
            also="containers",
        ),
    ),
    _hosted(
        "anthropic",
        "https://api.anthropic.com",
        target="app.connectors.anthropic:Anthropic",
        option_envs={"beta": "ANTHROPIC_BETA", "workspace": "ANTHROPIC_WORKSPACE_ID"},
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES}),
                # The provider's own limit is 256 MB, which all lines and what is around them share.
                bytes=250 * 10**6,
                lines=100_000,
                single_model=False,
                custom_id=r"[a-zA-Z0-9_-]{1,64}",
                dialect="anthropic",
                inline=True,
                finds=False,
            ),
            lines=frozenset({CHAT, RESPONSES, MESSAGES}),
            files=FileLimits(bytes=500 * 10**6, direct=frozenset({"assistants", "vision", "user_data"})),
            emulated="",
        ),
    ),
    _hosted(
        "bedrock",
        "https://bedrock.us-east-1.amazonaws.com",
        keys="AWS_BEDROCK_CREDENTIALS AWS_BEARER_TOKEN_BEDROCK",
        url="AWS_ENDPOINT_URL_BEDROCK",
        prefix="AWS_BEDROCK",
        target="app.connectors.bedrock:Bedrock",
        install_hint="pip install batchgate[aws]",
        option_envs={
            "region": "AWS_REGION",
            "bucket": "AWS_BEDROCK_BUCKET",
            "prefix": "AWS_BEDROCK_PREFIX",
            "role_arn": "AWS_BEDROCK_ROLE_ARN",
            "mode": "AWS_BEDROCK_MODE",
            "min_records": "AWS_BEDROCK_MIN_RECORDS",
            "s3_url": "AWS_ENDPOINT_URL_S3",
            "runtime_url": "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        },
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
                bytes=1 * GIB,
                lines=50_000,
                min_lines=100,  # of most models; a quota of AWS's, so an option
                custom_id=r"[A-Za-z0-9_-]{1,64}",
                dialect="bedrock",
            ),
            lines=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
            files=FileLimits(bytes=5 * GIB, direct=frozenset({"user_data", "vision", "assistants"}), bucket="s3"),
        ),
    ),
    _hosted(
        "cohere",
        "https://api.cohere.com",
        keys="CO_API_KEY COHERE_API_KEY",
        url="CO_API_URL",
        target="app.connectors.cohere:Cohere",
        install_hint="pip install batchgate[cohere]",
        option_envs={"download_hosts": "COHERE_DOWNLOAD_HOSTS"},
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
                bytes=1_500_000_000,  # of a dataset (docs.cohere.com, "Datasets")
                custom_id=r"[^#]+",  # rows of one line are told apart by what follows a "#"
                dialect="cohere",
            ),
            lines=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
            files=FileLimits(bytes=1_500_000_000),
        ),
    ),
    _hosted(
        "vertex",
        "https://aiplatform.googleapis.com",
        keys="VERTEX_CREDENTIALS GOOGLE_APPLICATION_CREDENTIALS_JSON",
        target="app.connectors.vertex:Vertex",
        install_hint="pip install batchgate[google]",
        option_envs={
            "project": "GOOGLE_CLOUD_PROJECT",
            "location": "GOOGLE_CLOUD_LOCATION",
            "bucket": "VERTEX_BUCKET",
            "prefix": "VERTEX_PREFIX",
            "storage_url": "VERTEX_STORAGE_URL",
        },
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
                bytes=GIB,
                lines=200_000,
                custom_id=r"[a-z0-9_-]{1,63}",  # goes into a label, and comes back in no other way
                dialect="vertex",
                operation=True,
            ),
            lines=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
            files=FileLimits(direct=frozenset({"assistants", "vision", "user_data"}), bucket="gcs"),
            emulated="",
        ),
    ),
    _own_server("vllm", EMULATED),
    _hosted(
        "mistral",
        "https://api.mistral.ai",
        target="app.connectors.mistral:Mistral",
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, EMBEDDINGS, MODERATIONS}),
                windows=frozenset({"1h", "4h", "12h", "24h", "48h", "7d"}),
                bytes=512 * MIB,
                lines=1_000_000,
                dialect="mistral",
            ),
            lines=frozenset({CHAT, EMBEDDINGS}),
            files=FileLimits(bytes=512 * MIB, direct=frozenset({"fine-tune"})),
            emulated="",
        ),
    ),
    _own_server("ollama", EMULATED),
    _hosted(
        "groq",
        "https://api.groq.com/openai/v1",
        target=OPENAI_SHAPED,
        options={"paging": "none"},
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, TRANSCRIPTIONS, TRANSLATIONS}), windows=DAYS, bytes=100 * MIB, lines=50_000
            ),
            token_limit=NEWER_LIMIT,
            lines=frozenset({CHAT, RESPONSES}),
        ),
    ),
    _own_server("sgl", EMULATED),
    _hosted(
        "parasail",
        "https://api.parasail.io/v1",
        target=OPENAI_SHAPED,
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT, EMBEDDINGS}), bytes=100 * MIB, lines=50_000, single_model=False),
            lines=frozenset({CHAT, EMBEDDINGS}),
        ),
    ),
    _hosted(
        "perplexity",
        "https://api.perplexity.ai",
        keys="PERPLEXITY_API_KEY PPLX_API_KEY",
        target=OPENAI_SHAPED,
        options={"chat_path": "/chat/completions"},
        abilities=_native(
            JobLimits(endpoints=frozenset({RESPONSES}), bytes=200 * MIB, lines=50_000),
            lines=frozenset({CHAT, RESPONSES}),
        ),
    ),
    _hosted(
        "replicate",
        "https://api.replicate.com/v1",
        keys="REPLICATE_API_TOKEN",
        target="app.connectors.replicate:Replicate",
        abilities=Abilities(operations(native="files"), files=FileLimits(bytes=100 * MIB, direct=DIRECT)),
    ),
    _hosted(
        "cerebras",
        "https://api.cerebras.ai/v1",
        target=OPENAI_SHAPED,
        options={"file_expiry": "yes"},
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT}), bytes=200 * MIB, lines=50_000),
            token_limit=NEWER_LIMIT,
            lines=frozenset({CHAT, COMPLETIONS}),
        ),
    ),
    _hosted(
        "gemini",
        "https://generativelanguage.googleapis.com",
        keys="GEMINI_API_KEY GOOGLE_API_KEY",
        url="GOOGLE_GEMINI_BASE_URL",
        target="app.connectors.gemini:Gemini",
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
                bytes=2_000_000_000,
                custom_id=r"[^#]*",  # rows of one line are told apart by what follows a "#"
                dialect="gemini",
                inline_bytes=16 * MIB,  # of a request that may have 20 MB
                operation=True,
            ),
            lines=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
            files=FileLimits(bytes=2_000_000_000, direct=frozenset({"user_data", "vision", "assistants"})),
            emulated="",
        ),
    ),
    _hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        target="app.connectors.openrouter:OpenRouter",
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, RESPONSES, MESSAGES, EMBEDDINGS}),
                bytes=100 * MIB,
                lines=50_000,
                dialect="openrouter",
                inline=True,
                finds=False,
            ),
            lines=frozenset({CHAT, EMBEDDINGS, RESPONSES}),
            files=FileLimits(bytes=100 * MIB, direct=frozenset({"assistants", "vision", "user_data"})),
            also="container_file_list container_file_retrieve container_file_content",
            emulated="",
            without="batch_cancel",
        ),
    ),
    _hosted("elevenlabs", "https://api.elevenlabs.io", target=STORE_ONLY, abilities=FILES_ONLY),
    _hosted(
        "huggingface",
        "https://router.huggingface.co/v1",
        keys="HF_TOKEN HUGGINGFACE_API_KEY",
        target=LINES_ONLY,
        abilities=Abilities(operations(emulated="files batches"), lines=LINES),
    ),
    _hosted(
        "nebius",
        "https://api.tokenfactory.nebius.com/v1",
        target=OPENAI_SHAPED,
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT, EMBEDDINGS}), bytes=10 * GIB, lines=5_000_000),
            lines=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
        ),
    ),
    _hosted(
        "xai",
        "https://api.x.ai/v1",
        target="app.connectors.xai:XAI",
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT, RESPONSES, IMAGES, VIDEOS}), single_model=False),
            token_limit=NEWER_LIMIT,
            lines=frozenset({CHAT, RESPONSES}),
            files=FileLimits(direct=frozenset({"assistants", "vision", "user_data"})),
        ),
    ),
    _hosted(
        "runway",
        "https://api.dev.runwayml.com",
        keys="RUNWAYML_API_SECRET",
        target=STORE_ONLY,
        abilities=FILES_ONLY,
    ),
    _hosted(
        "fireworks",
        "https://api.fireworks.ai",
        target="app.connectors.fireworks:Fireworks",
        option_envs={"account_id": "FIREWORKS_ACCOUNT_ID", "download_hosts": "FIREWORKS_DOWNLOAD_HOSTS"},
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT}), bytes=150 * MIB, dialect="fireworks"),
            lines=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}),
            files=FileLimits(bytes=150 * MIB, direct=frozenset({"fine-tune"})),
            emulated="",
        ),
    ),
    _own_server("local", HOSTED),
    _hosted(
        "together",
        "https://api.together.xyz/v1",
        target="app.connectors.together:Together",
        abilities=_native(
            JobLimits(
                endpoints=frozenset({CHAT, TRANSCRIPTIONS, TRANSLATIONS}),
                bytes=100 * MIB,
                lines=50_000,
                line_bytes=10 * MIB,
                custom_id=r"(?s).{1,64}",
                dialect="together",
            ),
            lines=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
            files=FileLimits(bytes=5 * GIB, direct=frozenset({"fine-tune", "evals"})),
        ),
    ),
    _hosted(
        "deepinfra",
        "https://api.deepinfra.com/v1",
        keys="DEEPINFRA_API_KEY DEEPINFRA_TOKEN",
        target=OPENAI_SHAPED,
        options={"lines_path": "/openai", "first_line": "0", "output_expiry": "yes"},
        abilities=_native(
            JobLimits(endpoints=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}), bytes=200 * MIB, lines=50_000),
            lines=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
        ),
    ),
)
