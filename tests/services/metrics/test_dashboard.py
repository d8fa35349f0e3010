"""deploy/grafana: every query is valid PromQL about metrics that exist, and every metric is shown."""

import json
import re
from pathlib import Path

import yaml

from app.lib.metrics.declared import ALL, HISTOGRAM
from tests.support import promtool

BOARD = json.loads((promtool.RULES.parents[1] / "grafana" / "batchgate.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\bbatchgate_\w+")
RESERVED = {"__name__", "le", "instance"}
# The labels in `{...}` and `by (...)`, in braces of a legend, and in lists of `on (...)`.
LABELS = re.compile(r"\b(?:by|on|group_left) \(([^)]*)\)|\{([^{}]*)\}")


def metric_of(name: str) -> str:
    """The declared metric of a series: a histogram has three."""
    bare = re.sub(r"_(bucket|count|sum)$", "", name)
    return bare if ALL.get(bare) is not None and ALL[bare].kind == HISTOGRAM else name


def labels_in(query: str) -> set[str]:
    found = set()
    for names, matchers in LABELS.findall(query):
        found |= {name.strip() for name in names.split(",") if name.strip()}
        found |= {part.strip() for part in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)}
    return found


def test_queries_and_alerts_name_metrics_and_labels_that_exist() -> None:
    rules = yaml.safe_load(promtool.RULES.read_text())["groups"][0]["rules"]
    for query in (*QUERIES, *(rule["expr"] for rule in rules)):
        metrics = {metric_of(name) for name in NAME.findall(query)}
        assert metrics and metrics <= ALL.keys(), query
        known = {label for name in metrics for label in ALL[name].labels} | RESERVED
        assert labels_in(query) <= known, query


def test_every_metric_has_its_place_on_the_dashboard() -> None:
    assert {metric_of(name) for query in QUERIES for name in NAME.findall(query)} == ALL.keys()


def test_legends_name_labels_of_their_query() -> None:
    for target in (target for panel in PANELS for target in panel["targets"]):
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert legend <= labels_in(target["expr"]), target["expr"]


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool.run("check", "rules", str(file))


def test_panels_have_places_of_their_own() -> None:
    cells = [
        (at["x"] + dx, at["y"] + dy)
        for at in (panel["gridPos"] for panel in BOARD["panels"])
        for dx in range(at["w"])
        for dy in range(at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert all(x < 24 for x, _ in cells)
