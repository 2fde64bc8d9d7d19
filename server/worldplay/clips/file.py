"""Makes a clip's MP4 file: connects the engine, which makes the frames, with the encoder."""

from collections.abc import Callable
from dataclasses import dataclass

from worldplay.clips.plan import ClipPlan
from worldplay.engine.clip_run import ClipJob
from worldplay.engine.engine import Engine
from worldplay.engine.failures import REASONS, code_of
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.media.frame_encoder import FrameEncoder
from worldplay.world.world import World


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the file: first the init segment, then one fragment a frame."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PassDone:
    """The network has finished a pass: over a chunk's context, or one denoising step."""


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """All fragments of a chunk have been passed on."""

    report: ChunkReport
    decode_ms: float
    encode_ms: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The file is complete."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The clip failed; no more pieces follow. The code is `bad_request`, or one of engine/failures.py."""

    code: str
    message: str


Piece = Data | PassDone | ChunkDone | Finished | Failed
Decorate = Callable[[Frames, int], Frames]  # frames of one latent and its label


@dataclass(slots=True)
class _Chunk:
    """A chunk that is being encoded, and its progress."""

    report: ChunkReport
    num_latents: int = 0
    num_frames: int = 0
    decode_ms: float = 0.0
    encode_ms: float = 0.0


class ClipFile:
    """Makes the file of one clip. `put` gets its pieces in order, on the encoding thread.

    Chunks are made no faster than they are encoded, because raw frames are large. Encoded pieces are small,
    and may accumulate: a client that reads slowly does not delay the next clip.
    """

    def __init__(self, world: World, put: Callable[[Piece], None], decorate: Decorate | None = None) -> None:
        self._put = put
        self._decorate = decorate
        self._encoder = FrameEncoder(world.width, world.height, world.fps, self._fail)
        self._job: ClipJob | None = None
        self._chunk: _Chunk | None = None
        self._num_frames = 0  # of the whole file

    def begin(self, engine: Engine, plan: ClipPlan) -> None:
        """Queue the clip after earlier ones."""
        self._job = engine.render(plan.request, self)

    def close(self) -> None:
        """Stop making the clip, unless it is finished. At most one more piece follows."""
        if self._job is not None:
            self._job.cancel()
        self._encoder.close()

    # -- from the engine, on its worker thread

    def on_opened(self) -> None:
        self._encoder.run(self._open)

    def on_pass(self) -> None:
        self._encoder.run(self._put, PassDone())

    def on_chunk(self, report: ChunkReport) -> None:
        self._encoder.run(self._begin_chunk, report)

    def on_frames(self, frames: Frames, decode_ms: float) -> None:
        self._encoder.run(self._encode, frames, decode_ms)

    def on_finished(self) -> None:
        self._encoder.run(self._put, Finished())

    def on_failed(self, code: str, message: str) -> None:
        self._encoder.run(self._put, Failed(code, message))

    # -- on the encoding thread

    def _fail(self, error: Exception) -> None:
        self.close()
        code = code_of(error)
        self._put(Failed(code, REASONS[code]))

    def _open(self) -> None:
        self._put(Data(self._encoder.track.init_segment))

    def _begin_chunk(self, report: ChunkReport) -> None:
        self._chunk = _Chunk(report)
        self._encoder.begin_chunk()

    def _encode(self, frames: Frames, decode_ms: float) -> None:
        chunk = self._chunk
        assert chunk is not None, "frames before their chunk"
        if self._decorate is not None:
            frames = self._decorate(frames, chunk.report.chunk.labels[chunk.num_latents])
        for frame, encode_ms in self._encoder.encode(frames):
            self._put(Data(self._encoder.track.fragment(frame, self._num_frames)))
            self._num_frames += 1
            chunk.encode_ms += encode_ms
        chunk.num_latents += 1
        chunk.num_frames += len(frames)
        chunk.decode_ms += decode_ms
        if chunk.num_frames == chunk.report.chunk.num_frames:
            self._finish(chunk)

    def _finish(self, chunk: _Chunk) -> None:
        assert self._job is not None, "a chunk of a clip that was not begun"
        self._put(ChunkDone(chunk.report, chunk.decode_ms, chunk.encode_ms))
        self._job.allow_chunk()
