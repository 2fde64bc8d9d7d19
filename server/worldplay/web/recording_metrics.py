"""Metrics of recordings."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worldplay.store.recorder import Recorder
from worldplay.store.tape import EndReason


class RecordingCollector(Collector):
    """Reads the recorder's counters when Prometheus asks."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        recordings = self._recorder.recordings
        yield GaugeMetricFamily(
            "worldplay_recordings", "Recordings of visits in progress.", len(recordings.active)
        )
        yield GaugeMetricFamily(
            "worldplay_recordings_bytes", "Bytes of all recordings on disk.", recordings.num_bytes
        )
        yield GaugeMetricFamily(
            "worldplay_recordings_limit_bytes", "The most bytes of recordings.", recordings.limits.all_bytes
        )
        yield CounterMetricFamily(
            "worldplay_recorded_bytes", "Bytes written to recordings.", recordings.num_written_bytes
        )
        ended = CounterMetricFamily(
            "worldplay_recordings_ended",
            "Recordings that ended before their walk: as long as allowed (limit), no room for more (full), "
            "or the disk is full or fails (disk).",
            labels=["reason"],
        )
        for reason in get_args(EndReason):
            ended.add_metric([reason], self._recorder.ended[reason])
        yield ended
