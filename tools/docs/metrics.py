"""Generate docs/metrics.md from the declared metrics and the alert rules."""

import re
from pathlib import Path

from app.lib.metrics.declared import ALL, COUNTER, GAUGE, HISTOGRAM, Metric

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"
_ALERT = re.compile(r"- alert: (\w+)\n(.*?)summary: ([^\n]+)\n\s+action: ([^\n]+)", re.DOTALL)

HEAD = """# Metrics

The gateway serves metrics for Prometheus at `/metrics`. They are off, and nothing is counted, until one is set of:

- `BATCHGATE_METRICS_TOKEN`: `GET /metrics` on the port of the web process, with the token as a bearer token. It opens
  nothing else, and no virtual key opens this page. Without the token the page does not exist (404).
- `BATCHGATE_METRICS_PORT`: a port of its own, `/metrics` again. With a token it listens on `BATCHGATE_BIND` and asks
  for the token; without one, only this host reaches it.

**One answer for each host.** All processes of a host that share a `BATCHGATE_HOME` (web, workers, Celery's) write what
they counted to its folder `metrics/` every two seconds, and whichever is asked adds it up. What a process counted stays
in the sum when it ends or is killed, so counters never fall; its files are deleted. The port belongs to one process,
and another takes it over within two seconds. Scrape one of the two on each host; a host on which only workers run needs
the port. Processes without a common folder, such as containers with a file system each, count as hosts of their own.

**Counters and histograms are the host's, gauges are the store's.** A gauge is read from the database at the scrape, at
most every five seconds, in queries that look at a bounded number of rows; it is the same from every host. So add up
counters, `sum(rate(...))`, and take one of the gauges, `max(...)`. While the database does not answer, `store_up` is 0,
gauges of the store are missing, and counters go on.

**Labels have few values.** None is chosen by a caller: accounts are those that you named (those that callers bring with
their own keys are all `callers`), of models the 50 busiest have a name and the others are `other`.

`deploy/prometheus/` has an example of Prometheus's configuration and the alerts below, `deploy/grafana/` a dashboard to
import. Generated from the code by `make docs`.
"""
SECTIONS = (
    ("Counters", COUNTER),
    ("Histograms", HISTOGRAM),
    ("Gauges", GAUGE),
)


def render() -> str:
    """Render the page as Markdown."""
    parts = [HEAD]
    for title, kind in SECTIONS:
        parts.append(f"\n## {title}\n\n| metric | labels | meaning |\n|---|---|---|\n")
        parts += [_metric(metric) for metric in ALL.values() if metric.kind == kind]
    parts.append("\n## Alerts\n\n| alert | means | do |\n|---|---|---|\n")
    parts += [_alert(*found) for found in alerts()]
    return "".join(parts)


def alerts() -> list[tuple[str, str, str]]:
    """(name, summary, action) of each alert."""
    return [(name, _plain(summary), _plain(action)) for name, _, summary, action in _ALERT.findall(RULES.read_text())]


def _metric(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {labels} | {metric.text} |\n"


def _alert(name: str, summary: str, action: str) -> str:
    return f"| `{name}` | {summary} | {action} |\n"


def _plain(text: str) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text.strip('"'))
