"""One API of an account, as both HTTP clients need to know it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from requests.auth import AuthBase

from app.connectors.contract.base import Target
from app.connectors.http.auth import bearer
from app.connectors.http.redaction import Redaction
from app.connectors.http.wire import Answer


@dataclass(frozen=True, slots=True)
class Remote:
    """Where an API is, what opens it, what no error may repeat, and how its refusals are read.

    `reword` turns refusals that come in another form into JSON.
    """

    base_url: str
    redaction: Redaction = field(default_factory=Redaction)
    auth: AuthBase | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reword: Callable[[Answer], Answer] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "redaction", self.redaction.at(self.base_url))

    def url(self, path: str) -> str:
        """The URL of a path, which begins with a slash."""
        return self.base_url.rstrip("/") + path

    def readable(self, answer: Answer) -> Answer:
        """`answer` itself if it is a 2xx; otherwise in JSON, and without secrets.

        Secrets go first: what is cut from the answer later may leave part of one.
        """
        if answer.is_success:
            return answer
        answer = self.redaction.answer(answer)
        return self.reword(answer) if self.reword else answer


def with_bearer(target: Target) -> Remote:
    """The API at the account's base URL, opened by its credential as a bearer."""
    return Remote(target.base_url, Redaction(target.credential), bearer(target.credential))
