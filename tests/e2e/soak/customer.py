"""A client that runs one batch after another while processes die, and asks again until it has an answer."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl
from tests.support.waiting import until

SLOW = "slow-line"  # in the text of lines that the provider takes long for
SLOW_SHARE = 0.03
MOST_OPEN = 4
ANSWERS_S = 60.0
ENDS_S = 180.0
TIMEOUT_S = 20.0
AGAIN = (409, 503)


@dataclass(slots=True)
class Customer:
    """Uploads and starts batches in a thread of its own until `stop`. `batches`: lines of each batch by its id."""

    url: str
    key: str
    dice: random.Random
    batches: dict[str, int] = field(default_factory=dict)
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="customer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was begun. Raises what went wrong."""
        self._stopping.set()
        self._thread.join(ANSWERS_S * 3)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def get(self, path: str) -> requests.Response:
        """GET, asked again while nobody answers."""
        return self._asked(lambda: requests.get(self.url + path, headers=self._headers(), timeout=TIMEOUT_S))

    def ended(self, batch_id: str) -> bool:
        """True when the batch is over, or nobody works on it any more because the test ends."""
        return self._stopping.is_set() or self.get(f"/v1/batches/{batch_id}").json()["status"] in TERMINAL

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._one_batch(len(self.batches))
                if len(self.batches) >= MOST_OPEN:
                    # So few at a time that each meets several kills.
                    oldest = list(self.batches)[-MOST_OPEN]
                    until(lambda: self.ended(oldest), seconds=ENDS_S, what=f"the end of {oldest}")  # noqa: B023
        except BaseException as error:  # noqa: BLE001 - told to the test by `stop`
            self.failure = error

    def _one_batch(self, number: int) -> None:
        lines = self.dice.randrange(20, 300)
        data = jsonl(chat_line(f"b{number}-{line}", self._text()) for line in range(lines))
        file_id = self._post(
            "/v1/files", f"file-{number}", data={"purpose": "batch"}, files={"file": ("in.jsonl", data)}
        )
        body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        self.batches[self._post("/v1/batches", f"batch-{number}", json=body)] = lines

    def _text(self) -> str:
        return SLOW if self.dice.random() < SLOW_SHARE else "x" * self.dice.randrange(2000)

    def _post(self, path: str, idempotency_key: str, **content: Any) -> str:
        headers = {**self._headers(), "Idempotency-Key": idempotency_key}
        answer = self._asked(lambda: requests.post(self.url + path, headers=headers, timeout=TIMEOUT_S, **content))
        return str(answer.json()["id"])

    def _asked(self, ask: Callable[[], requests.Response]) -> requests.Response:
        found: list[requests.Response] = []

        def answered() -> bool:
            try:
                answer = ask()
            except requests.RequestException:
                return False  # killed midway: nobody knows whether it was done
            if answer.status_code in AGAIN:
                return False
            assert answer.status_code in (200, 206), answer.text
            found.append(answer)
            return True

        until(answered, seconds=ANSWERS_S, what="an answer")
        return found[0]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}
