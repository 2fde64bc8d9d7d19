"""Metrics of walks that are saved, and of the store."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worldplay.store.keeper import Keeper
from worldplay.store.store import Removal


class SnapshotCollector(Collector):
    """Reads the counters of the keeper and of its store when Prometheus asks."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def collect(self) -> Iterator[Metric]:
        totals, store = self._keeper.totals, self._keeper.store
        yield CounterMetricFamily(
            "worldplay_snapshots_saved", "Parts of walks that were saved while they were made.", totals.saved
        )
        yield CounterMetricFamily(
            "worldplay_snapshots_failed", "Parts of walks that could not be saved.", totals.failed
        )
        yield CounterMetricFamily(
            "worldplay_snapshots_saved_bytes", "Bytes of the parts that were saved.", totals.num_bytes
        )
        yield GaugeMetricFamily(
            "worldplay_walks_unsaved", "Walks that cannot be saved at the moment.", self._keeper.num_unsaved
        )
        removed = CounterMetricFamily(
            "worldplay_walks_removed",
            "Walks removed from the store: their time was over (expired), others needed the room (room), or "
            "their address had left too many (address).",
            labels=["reason"],
        )
        for reason in get_args(Removal):
            removed.add_metric([reason], store.num_removed[reason])
        yield removed
        yield CounterMetricFamily("worldplay_bookmarks", "Snapshots that clients kept.", store.num_kept)
        yield GaugeMetricFamily(
            "worldplay_store_bytes",
            "Bytes of all walks in the store, as last counted and written here since.",
            store.num_bytes,
        )
        yield GaugeMetricFamily(
            "worldplay_store_limit_bytes", "The most bytes of walks in the store.", store.quota_bytes
        )
