"""What Prometheus may read at /metrics."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from worldplay.engine.engine import Engine

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.667, 0.8, 1.0, 1.5, 2.0, 4.0, 8.0)


class Metrics:
    """Histograms that the streams fill, and the engine's own counters."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(engine))
        self.input_to_photon_s = Histogram(
            "worldplay_input_to_photon_seconds",
            "From the arrival of a control message to its first frame on screen, by the page's playhead.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.frames_dropped = Counter(
            "worldplay_frames_dropped", "Frames that a page was too slow to take.", registry=self._registry
        )
        self.protocol_errors = Counter(
            "worldplay_protocol_errors", "Errors sent to pages.", ["code"], registry=self._registry
        )

    def export(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)


_GAUGES = ("sessions", "queued", "clips_queued", "uptime_ms", "chunk_median_ms", "chunk_p95_ms")


class _EngineCollector(Collector):
    """Reads the engine when it is asked, so that nothing is counted twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = asdict(self._engine.stats())
        stats |= stats.pop("counters")
        stages = stats.pop("stage_ms")
        del stats["chunk_times"]
        for name, value in stats.items():
            kind = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
            yield kind(f"worldplay_{name}", name.replace("_", " "), value=value)
        by_stage = CounterMetricFamily("worldplay_stage_ms", "time spent by stage, ms", labels=["stage"])
        for stage, time_ms in stages.items():
            by_stage.add_metric([stage], time_ms)
        yield by_stage
