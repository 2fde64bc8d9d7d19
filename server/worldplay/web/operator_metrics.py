"""Metrics for an operator: states of clients, times in seconds, connections, the process."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from worldplay.engine.activity import Reason
from worldplay.engine.engine import Engine
from worldplay.web.connections import Connections
from worldplay.web.monitoring import begin_at_zero
from worldplay.web.streams import Streams


class OperatorMetrics:
    """What an operator wants to know beside the engine's metrics: the process, its garbage, stalls, slots.

    Units: seconds and bytes.
    """

    def __init__(self, engine: Engine, streams: Streams, connections: Connections) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(engine, streams, connections))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self.stalls = Counter(
            "worldplay_client_stalls", "Stalls of the video that clients reported.", registry=self._registry
        )
        self.slots_yielded = Counter(
            "worldplay_slots_yielded",
            "Slots that went to somebody who waited, by reason: silent, paused, idle, turn.",
            ["reason"],
            registry=self._registry,
        )
        begin_at_zero(self.slots_yielded, get_args(Reason))

    def watch(self, collector: Collector) -> None:
        """Export what a collector finds, too."""
        self._registry.register(collector)

    def count_yielded(self, reason: str) -> None:
        self.slots_yielded.labels(reason).inc()

    def export(self) -> bytes:
        """Return the text for Prometheus."""
        return generate_latest(self._registry)


class _ServerCollector(Collector):
    """Reads the current state when Prometheus asks."""

    def __init__(self, engine: Engine, streams: Streams, connections: Connections) -> None:
        self._engine = engine
        self._streams = streams
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        yield from self._collect_engine()
        yield from self._collect_sessions()
        yield from self._collect_connections()

    def _collect_engine(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        counters = stats.counters
        yield GaugeMetricFamily(
            "worldplay_live", "1 while the engine works, 0 after it failed.", self._engine.is_live
        )
        yield GaugeMetricFamily("worldplay_ready", "1 while visitors are taken.", self._engine.healthy)
        yield GaugeMetricFamily(
            "worldplay_uptime_seconds", "Time since the engine started.", stats.uptime_ms / 1000.0
        )
        yield CounterMetricFamily(
            "worldplay_busy_seconds", "Time in which the engine worked.", counters.busy_ms / 1000.0
        )
        chunk = GaugeMetricFamily(
            "worldplay_chunk_seconds",
            "Time of the latest chunks, all stages together, by quantile.",
            labels=["quantile"],
        )
        chunk.add_metric(["0.5"], counters.chunk_median_ms / 1000.0)
        chunk.add_metric(["0.95"], counters.chunk_p95_ms / 1000.0)
        yield chunk
        stages = CounterMetricFamily(
            "worldplay_stage_seconds",
            "Time spent on chunks, by stage: select, context, denoise, decode.",
            labels=["stage"],
        )
        for stage in ("select", "context", "denoise", "decode"):
            stages.add_metric([stage], counters.stage_ms.get(stage, 0.0) / 1000.0)
        yield stages

    def _collect_sessions(self) -> Iterator[Metric]:
        slots = GaugeMetricFamily("worldplay_slots", "How many may walk at once.", self._engine.max_sessions)
        yield slots
        wait = self._engine.eta_s(self._engine.stats().queued + 1) or 0.0
        yield GaugeMetricFamily(
            "worldplay_queue_wait_seconds", "Expected wait of a visitor who comes now to a full server.", wait
        )
        states = GaugeMetricFamily(
            "worldplay_clients",
            "Clients with a WebSocket, by state: greeting, choosing, walking, paused, queued, resting, "
            "watching.",
            labels=["state"],
        )
        for state, count in self._streams.count_states().items():
            states.add_metric([state], count)
        yield states

    def _collect_connections(self) -> Iterator[Metric]:
        connections = self._connections
        yield GaugeMetricFamily("worldplay_connections", "Open TCP connections.", len(connections))
        yield GaugeMetricFamily(
            "worldplay_connections_limit", "The most connections at once.", connections.limits.total
        )
        yield GaugeMetricFamily(
            "worldplay_unfinished_message_bytes",
            "Bytes held of WebSocket messages that have begun.",
            connections.unfinished_bytes,
        )
        yield CounterMetricFamily(
            "worldplay_connections_refused",
            "Connections refused because there were too many, of everybody or of one address.",
            connections.num_refused,
        )
        yield CounterMetricFamily(
            "worldplay_connections_cut_off",
            "Connections ended because their client was too slow.",
            connections.num_cut_off,
        )
