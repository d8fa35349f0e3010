"""Real processes of one host: web answers for the worker, also after that was killed."""

import urllib.request
from pathlib import Path

import pytest

from tests.support import promtool
from tests.support.gunicorn import Gunicorn
from tests.support.process import Process
from tests.support.waiting import until

pytestmark = pytest.mark.one_database
SWEPT = 'batchgate_step_seconds_count{step="sweep"}'


def test_web_answers_for_a_worker_that_lives_and_one_that_was_killed(environment: dict[str, str]) -> None:
    counting = {**environment, "BATCHGATE_METRICS_TOKEN": "scrape-me"}
    with Gunicorn(counting) as web, Process("worker", counting) as worker:
        until(lambda: scraped(web).get(SWEPT, 0.0) >= 1 and scraped(web)["batchgate_workers{}"] == 1)
        swept = scraped(web)[SWEPT]
        worker.kill()
        after = scraped(web)
        assert after[SWEPT] >= swept
        assert after['batchgate_requests_total{operation="metrics",status="200"}'] >= 2
        folder = Path(environment["BATCHGATE_HOME"]) / "metrics"
        assert len(list(folder.glob("*.lock"))) == 1  # what the worker counted is in the sum of the ended


def scraped(web: Gunicorn) -> dict[str, float]:
    url = f"http://127.0.0.1:{web.port}/metrics"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Bearer scrape-me"})) as answer:
        return promtool.samples(answer.read().decode())
