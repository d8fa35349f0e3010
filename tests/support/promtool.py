"""Prometheus's own tool, which checks metrics and evaluates alert rules on samples that a test scraped."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"
BEFORE_MINUTES = 5
MINUTES = 60
COUNTED = ("_total", "_bucket", "_count", "_sum")


def run(*arguments: str, text: str = "") -> str:
    """What promtool says. Fails the test when it finds something."""
    tool = shutil.which("promtool")
    assert tool is not None, "promtool is needed: apt-get install prometheus"
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def samples(text: str) -> dict[str, float]:
    """The samples of a scrape, by series."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def firing(before: str, after: str, *, folder: Path, expected: Iterable[str]) -> None:
    """Fail unless just the alerts `expected` fire, an hour after the scrape changed from `before` to `after`."""
    first, then = samples(before), samples(after)
    series = [{"series": name, "values": _values(name, first.get(name), then.get(name))} for name in first | then]
    ending = {"eval_time": f"{BEFORE_MINUTES + MINUTES}m"}
    check: dict[str, Any] = {
        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
    }
    group = {"interval": "1m", "input_series": series, "promql_expr_test": [check | ending]}
    test = folder / "test.json"
    test.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [group]}))
    run("test", "rules", str(test))


def _values(name: str, before: float | None, after: float | None) -> str:
    """A series minute by minute: a gauge stays as it was found, and what was counted is counted again each minute."""
    began = f"_x{BEFORE_MINUTES}" if before is None else f"{before!r}x{BEFORE_MINUTES - 1}"
    if after is None:
        return f"{began} _x{MINUTES}"
    step = after - (before or 0.0) if name.partition("{")[0].endswith(COUNTED) else 0.0
    return f"{began} {after!r}+{step!r}x{MINUTES - 1}"
