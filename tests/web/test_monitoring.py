"""What Prometheus reads."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from worldplay.engine.stats import Counters, EngineStats
from worldplay.web.monitoring import Metrics

GAUGES = {"sessions", "queued", "clips_queued"}
COUNTERS = {
    "chunks",
    "frames",
    "late_chunks",
    "cancelled_chunks",
    "cuts",
    "cuts_abandoned",
    "cuts_refused",
    "latents_thrown_away",
    "speculation_hits",
    "speculation_misses",
    "walks_opened",
    "sessions_opened",
    "sessions_ended",
    "sessions_refused",
    "clips",
    "clips_cancelled",
    "failures",
    "out_of_memory",
    "frames_dropped",
    "watch_frames_dropped",
    "protocol_errors",
    "resumes",
}
NOT_EXPORTED = {"counters", "chunk_times"}  # what holds others
IN_SECONDS = {"uptime_ms", "busy_ms", "stage_ms", "chunk_median_ms", "chunk_p95_ms"}  # for operators


def export(counters: Counters) -> dict[str, Any]:
    stats = EngineStats(sessions=2, queued=1, clips_queued=3, uptime_ms=1000.0, counters=counters)
    engine: Any = SimpleNamespace(stats=lambda: stats)
    return {
        family.name.removeprefix("worldplay_"): family
        for family in text_string_to_metric_families(Metrics(engine).export().decode())
    }


def test_names_and_kinds_stay_as_dashboards_know_them() -> None:
    families = export(Counters())
    kinds = {name: family.type for name, family in families.items() if not name.endswith("_created")}
    assert kinds == {
        **dict.fromkeys(GAUGES, "gauge"),
        **dict.fromkeys(COUNTERS, "counter"),
        "input_to_photon_seconds": "histogram",
    }


def test_all_that_the_engine_counts_is_exported() -> None:
    counted = {field.name for kind in (Counters, EngineStats) for field in fields(kind)}
    assert counted - NOT_EXPORTED - IN_SECONDS == export(Counters()).keys() & counted


def test_values_are_the_engines() -> None:
    families = export(Counters(chunks=7, cuts_refused={"late": 5}))
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for name in ("sessions", "chunks", "cuts_refused")
        for sample in families[name].samples
    }
    expected: dict[tuple[str, ...], float] = {
        ("worldplay_sessions",): 2,
        ("worldplay_chunks_total",): 7,
        ("worldplay_cuts_refused_total", "late"): 5,
        **{("worldplay_cuts_refused_total", reason): 0 for reason in ("same", "stall", "often")},
    }
    assert values == expected
