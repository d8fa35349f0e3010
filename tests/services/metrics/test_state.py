"""Gauges of a store with rows in every table are plain numbers, on each database."""

from app.lib.metrics import declared
from app.services.gateway import Gateway
from app.services.metrics import state
from tests.support import every_row


def test_every_gauge_is_a_number_whatever_is_in_the_store(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        every_row.fill(connection)
    values = state.read(gateway)
    assert values.keys() == {metric for metric in declared.ALL.values() if metric.kind == declared.GAUGE}
    for metric, series in values.items():
        assert all(type(value) is float for value in series.values()), metric.name
        assert all(len(labels) == len(metric.labels) for labels in series), metric.name
        assert all(isinstance(label, str) for labels in series for label in labels), metric.name
