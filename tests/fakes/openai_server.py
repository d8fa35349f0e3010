"""The fake OpenAI-compatible provider on a socket: `FakeServer` in a test, or a process of its own.

python -m tests.fakes.openai_server --port 0 --latency-ms 100
"""

import argparse
import signal
from typing import Any

from tests.fakes.openai_app import OpenAIApp
from tests.fakes.serving import ServedApp


class FakeServer(ServedApp):
    """`with FakeServer() as server: OpenAI(base_url=server.base_url)`; switches are those of ServedApp."""

    def __init__(self, *, responses: bool = True, api_key: str = "", models: Any = None, **serving: Any) -> None:
        known = {} if models is None else {"models": models}
        super().__init__(OpenAIApp(responses=responses, api_key=api_key, **known), **serving)


def main() -> None:
    """Print the URL, serve until SIGTERM or SIGINT. `/_fake/stats` tells what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--max-concurrent", type=int, default=None)
    parser.add_argument("--no-responses", action="store_true")
    parser.add_argument("--any-model", action="store_true")
    options = parser.parse_args()
    server = FakeServer(
        port=options.port,
        responses=not options.no_responses,
        models=() if options.any_model else None,
        latency_s=options.latency_ms / 1000,
        record=False,
    )
    server.max_concurrent = options.max_concurrent
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with server:
        print(server.url, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
