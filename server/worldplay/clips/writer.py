"""A clip as a file: joins the engine, which makes its frames, with the encoder and the boxes of MP4."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from worldplay.clips.plan import ClipPlan
from worldplay.engine.clip_run import ClipJob, ClipRequest
from worldplay.engine.engine import Engine
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.media.track import VideoTrack
from worldplay.world.steering import TrajectorySteering
from worldplay.world.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the file: first the init segment, then one fragment a frame."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PassDone:
    """The network has been through the context of a chunk, or through one of its denoising steps."""


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """All fragments of a chunk have been given."""

    report: ChunkReport
    decode_ms: float
    encode_ms: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The file is complete."""


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no more; the code is one of `bad_request`, `out_of_memory`, `internal`, `stopped`."""

    code: str
    message: str


Piece = Data | PassDone | ChunkDone | Finished | Failed
Decorate = Callable[[Frames, int], Frames]  # frames of one latent and its label


class ClipFile:
    """One clip's file in the making. Its pieces are given to `put`, in order, on the encoding thread.

    No more is made than is encoded, so that raw frames do not pile up; the encoded file may, as it is small,
    and whoever takes it slowly must not keep the next clip waiting.
    """

    def __init__(self, world: World, put: Callable[[Piece], None], decorate: Decorate | None = None) -> None:
        self._world = world
        self._put = put
        self._decorate = decorate
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode-clip")
        self._job: ClipJob | None = None
        self._track: VideoTrack | None = None
        self._report: ChunkReport | None = None  # of the chunk being encoded
        self._num_latents = 0  # of that chunk, encoded
        self._num_frames = 0
        self._chunk_start = 0
        self._chunk_end = 0
        self._decode_ms = 0.0
        self._encode_ms = 0.0

    def begin(self, engine: Engine, plan: ClipPlan) -> None:
        """Have it made, after the clips that were asked for before."""
        request = ClipRequest(plan.walk, TrajectorySteering(plan.trajectory.moves), plan.num_chunks)
        self._job = engine.render(request, self)

    def close(self) -> None:
        """Stop making it, unless it is finished. Nothing is given from then on but what is under way."""
        if self._job is not None:
            self._job.cancel()
        self._encoding.shutdown(wait=False, cancel_futures=True)

    # -- from the engine, on its worker thread

    def on_opened(self) -> None:
        self._submit(self._open)

    def on_pass(self) -> None:
        self._submit(self._put, PassDone())

    def on_chunk(self, report: ChunkReport) -> None:
        self._submit(self._begin_chunk, report)

    def on_frames(self, frames: Frames, decode_ms: float) -> None:
        self._submit(self._encode, frames, decode_ms)

    def on_finished(self) -> None:
        self._submit(self._put, Finished())

    def on_failed(self, code: str, message: str) -> None:
        self._submit(self._put, Failed(code, message))

    # -- on the encoding thread, one at a time

    def _submit(self, action: Callable[..., None], *arguments: object) -> None:
        try:
            self._encoding.submit(self._run, action, *arguments)
        except RuntimeError:  # shut down: nobody wants the clip any more
            logger.debug("a report came after its clip was closed")

    def _run(self, action: Callable[..., None], *arguments: object) -> None:
        try:
            action(*arguments)
        except Exception:  # the top of this thread: what breaks here is this clip's loss alone
            logger.exception("encoding a clip failed")
            self.close()
            self._put(Failed("internal", "the server failed to encode this clip; its log says why"))

    def _open(self) -> None:
        self._track = VideoTrack(self._world.width, self._world.height, self._world.fps)
        self._put(Data(self._track.init_segment))

    def _begin_chunk(self, report: ChunkReport) -> None:
        self._report = report
        self._num_latents = 0
        self._chunk_start = self._num_frames
        self._chunk_end = self._num_frames + report.chunk.num_frames
        self._decode_ms = self._encode_ms = 0.0

    def _encode(self, frames: Frames, decode_ms: float) -> None:
        assert self._track is not None, "frames before the clip was opened"
        assert self._job is not None, "frames before the clip was begun"
        assert self._report is not None, "frames before their chunk"
        began = time.perf_counter()
        if self._decorate is not None:
            frames = self._decorate(frames, self._report.chunk.labels[self._num_latents])
        for frame in frames:
            sample = self._track.encode(frame, key=self._num_frames == self._chunk_start)
            self._put(Data(self._track.fragment(sample, self._num_frames)))
            self._num_frames += 1
        self._num_latents += 1
        self._decode_ms += decode_ms
        self._encode_ms += (time.perf_counter() - began) * 1000.0
        if self._num_frames == self._chunk_end:
            self._put(ChunkDone(self._report, self._decode_ms, self._encode_ms))
            self._job.allow_chunk()
