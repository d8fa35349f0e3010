"""What a scrape is answered: counters and histograms of the host's processes, and gauges of the store."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family

from app.lib.metrics.declared import ALL, COUNTER, GAUGE, HISTOGRAM, Metric
from app.lib.metrics.recorder import Totals
from app.services.gateway import Gateway
from app.services.metrics.state import StoreState, Values

MAX_ACCEPT = 1000


class Exposition:
    """The answers of one process to Prometheus."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._state = StoreState(gateway)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """(body, content type) in the format that the client prefers."""
        encode, content_type = choose_encoder(accept[:MAX_ACCEPT])
        collected = _Collected(self.gateway.metrics.host_totals(), self._state.values())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collected)
        return encode(registry), content_type


class _Collected:
    """What was counted and read, for the encoders."""

    def __init__(self, totals: Totals, values: Values) -> None:
        self._totals = totals
        self._values = values

    def collect(self) -> Iterator[Family]:
        by_name: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
        for (name, *labels), found in self._totals.items():
            by_name.setdefault(name, []).append((tuple(labels), found))
        for metric in ALL.values():
            if metric.kind == GAUGE:
                yield _gauge(metric, self._values.get(metric, {}).items())
            elif metric.kind == COUNTER:
                yield _counter(metric, by_name.get(metric.name, ()))
            elif metric.kind == HISTOGRAM:
                yield _histogram(metric, by_name.get(metric.name, ()))


def _gauge(metric: Metric, found: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)
    for labels, value in found:
        family.add_metric(labels, value)
    return family


def _counter(metric: Metric, found: Iterable[tuple[tuple[str, ...], list[float]]]) -> Family:
    family = CounterMetricFamily(metric.name, metric.text, labels=metric.labels)
    known = list(found) or ([((), [0.0])] if not metric.labels else [])
    for labels, (value,) in _of_this_release(metric, known, 1):
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, found: Iterable[tuple[tuple[str, ...], list[float]]]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
    bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
    for labels, (*counts, total) in _of_this_release(metric, found, len(bounds) + 1):
        below, buckets = 0.0, []
        for bound, count in zip(bounds, counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, total)
    return family


def _of_this_release(
    metric: Metric, found: Iterable[tuple[tuple[str, ...], list[float]]], length: int
) -> list[tuple[tuple[str, ...], list[float]]]:
    """Without what a process of another release counted under other labels or buckets."""
    return [(labels, each) for labels, each in found if len(labels) == len(metric.labels) and len(each) == length]
