"""What a provider's refusal means, as data: by status, code or type, words, and provider.

`TABLE` is read from the top, and the first row that fits decides. A provider's own rows stand above those for all.
docs/refusals.md is generated from it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is refused, and so what has to wait or to end."""

    BUSY = "busy"
    LINE = "line"
    AGAIN = "again"
    ACCOUNT = "account"
    CREDENTIAL = "credential"
    MODEL = "model"


MEANINGS: Mapping[Kind, str] = {
    Kind.BUSY: "It passes by itself. The line waits and is sent again; the attempt does not count.",
    Kind.LINE: "This request can never pass. The line ends with the answer that it got.",
    Kind.AGAIN: "It may pass. The line has a few attempts, and then ends with the answer that it got.",
    Kind.ACCOUNT: "Quota, credit or billing of the account is spent. Its lines wait until an operator has mended it.",
    Kind.CREDENTIAL: "The account's credential is refused. Its lines wait until an operator has mended it.",
    Kind.MODEL: "The account may not use the model. Lines for the model wait until an operator has mended it.",
}

# The same for calls about files, jobs and containers.
MANAGEMENT: Mapping[Kind, str] = {
    Kind.BUSY: "It passes by itself. The call is repeated after a pause, until the batch's window ends.",
    Kind.LINE: "What is asked for is refused. A job fails with the answer, and a caller gets it with its status.",
    Kind.AGAIN: "It may pass. With a 4xx the call is repeated a few times, and refused then; with a 5xx as if busy.",
    Kind.ACCOUNT: "Quota, credit or billing of the account is spent. The call is repeated until that is mended.",
    Kind.CREDENTIAL: "The account's credential is refused. The call is repeated until that is mended; a caller gets "
    "502 `provider_auth_error` without the provider's words.",
    Kind.MODEL: "The account may not use the model. The call is repeated until that is mended.",
}
# A call that creates something may have done so although it was answered like this: it is looked for, then repeated.
PERHAPS_DONE = frozenset({408, 409, 425})
# The code of a refusal without a code or a message: it may come from anything between here and the provider.
UNEXPLAINED = "unexplained"
# How a provider that lacks a call answers it.
NO_SUCH_CALL = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: which answers it fits, and what they mean.

    `codes` fit the error's code or its type, `words` are a pattern in its message, `too_much` fits a message whose
    `Requested` is above its `Limit`. What is empty fits all. `first` and `last` bound the status.
    """

    kind: Kind
    first: int
    last: int = 0
    codes: frozenset[str] = frozenset()
    words: str = ""
    too_much: bool = False
    providers: frozenset[str] = frozenset()
    example: str = ""

    def fits(self, provider: str, status: int, error: Mapping[str, Any]) -> bool:
        """True when the row decides about this answer."""
        if not self.first <= status <= (self.last or self.first):
            return False
        if self.providers and provider not in self.providers:
            return False
        if self.codes and error.get("code") not in self.codes and error.get("type") not in self.codes:
            return False
        message = str(error.get("message") or "")
        if self.words and not re.search(self.words, message, re.IGNORECASE):
            return False
        return not self.too_much or _asks_too_much(message)


# "Limit 30000, Requested 36278": such a request fits in no minute, however empty.
_NUMBER = r":?\s*([0-9,]{1,18})\b"
_AMOUNTS = re.compile(rf"\blimit{_NUMBER}.{{0,200}}?\brequested{_NUMBER}", re.IGNORECASE | re.DOTALL)

_GOOGLE = frozenset({"gemini", "vertex"})

TABLE: Sequence[Rule] = (
    # Rows of single providers, whose words or codes mean something else than others'.
    Rule(
        Kind.ACCOUNT,
        429,
        words=r"\blimit: 0\b",
        providers=_GOOGLE,
        example="You exceeded your current quota. Quota exceeded for metric: free_tier_requests, limit: 0",
    ),
    Rule(
        Kind.BUSY,
        429,
        providers=_GOOGLE,
        example="You exceeded your current quota, please check your plan. Please retry in 12s.",
    ),
    Rule(
        Kind.CREDENTIAL,
        400,
        words=r"\bapi key (not valid|not found|expired)",
        providers=_GOOGLE,
        example="API key not valid. Please pass a valid API key.",
    ),
    Rule(
        Kind.CREDENTIAL,
        403,
        words=r"^permission\b.*\bdenied|has not been used in project|\bmethod doesn't allow unregistered callers",
        providers=_GOOGLE,
        example="Permission 'aiplatform.endpoints.predict' denied on resource.",
    ),
    Rule(
        Kind.ACCOUNT,
        400,
        words=r"^your credit balance is too low\b",
        providers=frozenset({"anthropic"}),
        example="Your credit balance is too low to access the Anthropic API.",
    ),
    Rule(
        Kind.ACCOUNT,
        403,
        429,
        words=r"\bcredits\b|\bspending limit\b",
        providers=frozenset({"xai"}),
        example="Your team has used all available credits or reached its monthly spending limit.",
    ),
    Rule(
        Kind.ACCOUNT,
        412,
        words=r"\bsuspended\b|\bspending limit\b",
        providers=frozenset({"fireworks"}),
        example="Account is suspended, possibly due to reaching the monthly spending limit.",
    ),
    Rule(
        Kind.CREDENTIAL,
        403,
        codes=frozenset({"UNAUTHORIZED"}),
        providers=frozenset({"fireworks"}),
        example="The API key you provided is invalid.",
    ),
    Rule(
        Kind.ACCOUNT,
        429,
        words=r"\btrial key\b.*\bmonth\b",
        providers=frozenset({"cohere"}),
        example="You are using a Trial key, which is limited to 1000 API calls / month.",
    ),
    Rule(Kind.BUSY, 498, providers=frozenset({"groq"}), example="Flex tier capacity exceeded."),
    Rule(
        Kind.MODEL,
        403,
        words=r"\baccess to the model\b",
        providers=frozenset({"bedrock"}),
        example="You don't have access to the model with the specified model ID.",
    ),
    Rule(
        Kind.CREDENTIAL,
        403,
        codes=frozenset(
            {
                "AccessDeniedException",
                "ExpiredTokenException",
                "IncompleteSignature",
                "InvalidSignatureException",
                "UnrecognizedClientException",
            }
        ),
        providers=frozenset({"bedrock"}),
        example="The security token included in the request is invalid.",
    ),
    # Too many, too much, or nothing left to pay with: OpenAI's 429 is all of these.
    Rule(
        Kind.ACCOUNT,
        429,
        codes=frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}),
        example="You exceeded your current quota, please check your plan and billing details.",
    ),
    Rule(
        Kind.ACCOUNT,
        429,
        words=r"exceeded your current quota|insufficient (credit|balance|funds)|billing (hard )?limit|is not active",
        example="Your account is not active, please check your billing details on our website.",
    ),
    Rule(
        Kind.LINE,
        429,
        words=r"^request too large\b",
        example="Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 36278.",
    ),
    Rule(
        Kind.LINE,
        429,
        too_much=True,
        example="Rate limit reached for gpt-4o on tokens per min (TPM): Limit: 30000, Requested: 36278.",
    ),
    Rule(
        Kind.BUSY,
        429,
        example="Rate limit reached for gpt-4o on requests per min (RPM): Limit 500, Used 500, Requested 1.",
    ),
    Rule(
        Kind.ACCOUNT,
        400,
        codes=frozenset({"billing_hard_limit_reached", "billing_not_active", "insufficient_quota"}),
        example="Billing hard limit has been reached.",
    ),
    Rule(Kind.CREDENTIAL, 401, example="Incorrect API key provided."),
    Rule(Kind.ACCOUNT, 402, example="Insufficient credits."),
    # What a 403 refuses: the content, the model, or the credential; any other is the line's.
    Rule(
        Kind.LINE,
        403,
        words=r"\bmoderation\b|\bflagged\b|\bcontent (policy|filter|management)|\bsafety\b",
        example="openai/gpt-4o requires moderation and your input was flagged for violence.",
    ),
    Rule(
        Kind.MODEL,
        403,
        codes=frozenset({"model_not_found", "model_not_permitted", "model_permission_denied"}),
        example="Project proj_1 does not have access to model gpt-4o.",
    ),
    Rule(
        Kind.MODEL,
        403,
        words=r"\b(no|not have|without) (access|permission) to (use )?(the |this )?(requested )?model\b",
        example="You do not have access to the model.",
    ),
    Rule(
        Kind.CREDENTIAL,
        403,
        codes=frozenset({"invalid_api_key", "insufficient_permissions", "permission_error", "PERMISSION_DENIED"}),
        example="You have insufficient permissions for this operation. Missing scopes: model.request.",
    ),
    Rule(Kind.AGAIN, 408, 409, example="Model timed out processing the request."),
    Rule(Kind.AGAIN, 421, example="Misdirected request."),
    Rule(Kind.AGAIN, 423, 425, example="The model failed while it processed the request."),
    Rule(Kind.BUSY, 503, example="The engine is currently overloaded, please try again later."),
    Rule(Kind.BUSY, 529, example="Overloaded"),
    Rule(Kind.AGAIN, 500, 599, example="The server had an error while processing your request."),
)


def classify(provider: str, status: int, error: Mapping[str, Any]) -> Kind:
    """What an answer with an error status means; `error` are the fields of OpenAI's error object."""
    return next((rule.kind for rule in TABLE if rule.fits(provider, status, error)), Kind.LINE)


def _asks_too_much(message: str) -> bool:
    found = _AMOUNTS.search(message)
    if found is None:
        return False
    limit, requested = (found.group(n).replace(",", "") for n in (1, 2))
    return bool(limit and requested) and int(requested) > int(limit) > 0
