"""Files at providers that read those which lines name: by id, or in the line."""

from app.connectors.catalogue.declarations import CHAT, DIRECT, GIB, MESSAGES, MIB, RESPONSES
from app.connectors.contract.abilities import FileLimits

PDF = "application/pdf"
CHATS = (CHAT, RESPONSES, MESSAGES)
SHOWN = frozenset({"assistants", "vision", "user_data"})
# What Claude reads of a file, and what Gemini does. Any text may stand in a line, as text.
READ_BY_CLAUDE = frozenset({PDF, "text/plain", "image/jpeg", "image/png", "image/gif", "image/webp"})
HELD_BY_CLAUDE = READ_BY_CLAUDE | {"text/*"}
READ_BY_GEMINI = frozenset({PDF, "text/*", "image/*", "audio/*", "video/*"})
OFFICE = frozenset(
    {
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
)

OPENAI = FileLimits(
    bytes=512 * MIB,
    direct=DIRECT,
    named={CHAT: frozenset({PDF}), RESPONSES: frozenset({"*"})},
    inlined_bytes=50 * 10**6,
)
AZURE = FileLimits(
    bytes=512 * MIB,
    direct=DIRECT,
    named={RESPONSES: frozenset({PDF})},
    named_purpose="assistants",
    inlined_bytes=50 * 10**6,
)
ANTHROPIC = FileLimits(
    bytes=500 * 10**6,
    direct=SHOWN,
    named=dict.fromkeys(CHATS, READ_BY_CLAUDE),
    inlined=HELD_BY_CLAUDE,
    inlined_bytes=24 * 10**6,  # of a request that may have 32 MB
)
BEDROCK = FileLimits(bytes=5 * GIB, direct=SHOWN, bucket="s3", inlined=HELD_BY_CLAUDE | OFFICE)
COHERE = FileLimits(
    bytes=1_500_000_000,  # of a dataset (docs.cohere.com, "Datasets")
    inlined=frozenset({"image/*", "text/*"}),
)
VERTEX = FileLimits(direct=SHOWN, bucket="gcs", inlined=READ_BY_GEMINI, inlined_bytes=14 * 10**6)
GEMINI = FileLimits(
    bytes=2_000_000_000,
    direct=SHOWN,
    named=dict.fromkeys(CHATS, READ_BY_GEMINI),
    inlined=READ_BY_GEMINI,
    inlined_bytes=14 * 10**6,  # of a request that may have 20 MB
)
MISTRAL = FileLimits(
    bytes=512 * MIB,
    direct=frozenset({"fine-tune"}),
    named={CHAT: frozenset({PDF})},
    named_purpose="ocr",
    inlined=frozenset({PDF, "image/*", "text/*"}),
)
XAI = FileLimits(direct=SHOWN, named={RESPONSES: frozenset({"application/*", "text/*"})})
