"""Collects what /health and /metrics report."""

from collections.abc import Iterable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from worldplay.engine.cuts import Refusal
from worldplay.engine.engine import Engine
from worldplay.settings import Settings
from worldplay.web.schemas import Health, JobCounts, SessionCounts
from worldplay.world.released.variants import VARIANTS
from worldplay.world.world import World

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.667, 0.8, 1.0, 1.5, 2.0, 4.0, 8.0)
# Names and help texts in /metrics of the engine's statistics and counters.
_GAUGES = {
    "sessions": "Sessions that have a slot.",
    "queued": "Sessions that wait for a slot.",
    "clips_queued": "Clips that wait, including the one in progress.",
}
_COUNTERS = {
    "chunks": "Chunks made for sessions.",
    "frames": "Video frames made for sessions.",
    "late_chunks": "Chunks whose first frame came after the client's buffer was empty.",
    "cancelled_chunks": "Chunks given up because of a start, reset, rewind or close.",
    "cuts": "Chunks whose rest was generated again because the controls had changed.",
    "cuts_abandoned": "Cuts given up because the old latents were needed before the new ones were ready.",
    "latents_thrown_away": "Latents generated but never decoded, because of cuts.",
    "speculation_hits": "Context passes that were ready when the controls were read.",
    "speculation_misses": "Context passes discarded because other work came first.",
    "walks_opened": "Walks opened.",
    "sessions_opened": "Sessions opened.",
    "sessions_ended": "Sessions ended.",
    "sessions_refused": "Sessions refused because no slot and no place in the queue was free.",
    "clips": "Clips finished.",
    "clips_cancelled": "Clips whose client left.",
    "failures": "Sessions and clips that ended because of a server error.",
    "out_of_memory": "Failures caused by lack of memory.",
}


def describe_health(settings: Settings, world: World, engine: Engine) -> Health:
    """Describe the server's current state."""
    ready, stats = engine.healthy, engine.stats()
    variant = VARIANTS.get(world.name)
    return Health(
        status="ok" if ready else "failed",
        model_path=settings.model,
        model_type=world.name,
        action_ckpt="transformer.safetensors" if variant is None else variant.folder,
        pipeline_loaded=True,  # or the server would not have started
        live=engine.is_live,
        ready=ready,
        model=world.name,
        can_walk=world.can_walk,
        device=str(world.device),
        latch=engine.latch,
        tier=world.tier,
        levers=list(world.levers),
        times_real_time=engine.times_real_time,
        sessions=SessionCounts(
            active=stats.sessions, queued=stats.queued, max=engine.max_sessions if world.can_walk else 0
        ),
        jobs=JobCounts(queued=stats.clips_queued, max=settings.max_jobs),
    )


def begin_at_zero(counter: Counter, values: Iterable[str]) -> None:
    """Export a counter for all values of its label, so that Prometheus sees the first increase of each."""
    for value in values:
        counter.labels(value)


class Metrics:
    """The histograms and counters that streams update, and those of the engine."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(engine))
        self.latency_s = Histogram(
            "worldplay_input_to_photon_seconds",
            "From the arrival of a control message to its first frame on screen, by the client's playhead.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.frames_dropped = Counter(
            "worldplay_frames_dropped",
            "Frames that were not sent because a client read too slowly.",
            registry=self._registry,
        )
        self.watch_frames_dropped = Counter(
            "worldplay_watch_frames_dropped",
            "Frames that were not sent to a watcher because it read too slowly.",
            registry=self._registry,
        )
        self.resumes = Counter(
            "worldplay_resumes",
            "Clients that wanted to resume, by where their walk was: memory, store, unknown, or refused.",
            ["found"],
            registry=self._registry,
        )
        self.protocol_errors = Counter(
            "worldplay_protocol_errors", "Errors sent to clients.", ["code"], registry=self._registry
        )
        begin_at_zero(self.resumes, ("memory", "store", "unknown", "refused"))

    def export(self) -> bytes:
        """Return the text for Prometheus."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """Reads the engine's counters when Prometheus asks, so that nothing is counted twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        counters = stats.counters
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"worldplay_{name}", text, value=getattr(stats, name))
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"worldplay_{name}", text, value=getattr(counters, name))
        refused = CounterMetricFamily(
            "worldplay_cuts_refused",
            "Changes of controls without a cut: nothing moves differently (same), the new latents would be "
            "late (late), a later chunk would be (stall), or there were too many cuts before (often).",
            labels=["reason"],
        )
        for reason in get_args(Refusal):
            refused.add_metric([reason], counters.cuts_refused.get(reason, 0))
        yield refused
