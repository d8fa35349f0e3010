"""`python -m bench.line_client URL LINES THREADS`: the client of lines alone, without a store.

Prints the milliseconds of CPU that each line takes: what a worker cannot do without.
"""

import itertools
import sys
import threading
import time

from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote
from app.lib import json
from bench.store import chat_lines


def main() -> None:
    """Post the bodies of `chat_lines`, each once."""
    url, lines, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    bodies = [json.dumps(json.loads(line)["body"]) for line in chat_lines(lines)]
    client = LineClient(Remote(url), max_idle=threads)
    numbers = itertools.count()

    def post() -> None:
        while (number := next(numbers)) < lines:
            answer = client.post("/chat/completions", bodies[number], timeout_s=60)
            if not answer.is_success:
                raise RuntimeError(f"The fake answered {answer.status}.")

    posting = [threading.Thread(target=post) for _ in range(threads)]
    before_s = time.process_time()
    for thread in posting:
        thread.start()
    for thread in posting:
        thread.join()
    print((time.process_time() - before_s) / lines * 1000, flush=True)


if __name__ == "__main__":
    main()
