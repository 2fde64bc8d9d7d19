"""What tests of sending need: chunks of two frames, a greeted connection, and a socket that keeps all."""

from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np

from worldplay.engine.controls import Latch
from worldplay.engine.ports import ChunkReport
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.wire import pack
from worldplay.web.limits import LIMITS
from worldplay.web.outlet import Sample
from worldplay.world.camera import Motion

TRACK = VideoTrack(16, 16, 24)
MAX_CHUNKS = 3  # of two frames each; so many may wait in tests with `few_frames`
FRAMES = [TRACK.encode(np.zeros((16, 16, 3), np.uint8), key=number == 0) for number in range(2)]


class FakeSocket:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.code: int | None = None

    async def send_bytes(self, data: bytes) -> None:
        self.messages.append(msgpack.unpackb(data))

    async def close(self, code: int) -> None:
        self.code = code


def connected(**hello: Any) -> ServerConnection:
    connection = ServerConnection(LIMITS)
    connection.receive(pack(m.Hello(protocol=1, **hello)), 0.0)
    return connection


def welcome(*, resumed: bool = False) -> m.Welcome:
    return m.Welcome(
        protocol=1,
        session="s",
        secret="s",
        resumed=resumed,
        limits=LIMITS,
        worlds=(),
        model="m",
        fps=24.0,
        size=(16, 16),
        sizes=((16, 16),),
        chunk=m.ChunkShape(latents=4, frames=16, first_frames=13),
    )


def report(
    index: int, frames: int = 2, controls_seq: int | None = None, latched_ms: float = 5.0
) -> ChunkReport:
    chunk: Any = SimpleNamespace(
        index=index,
        first_latent=0,
        num_frames=frames,
        motions=[Motion(forward=0.08)],
        poses=np.eye(4)[None],
        labels=[9],
        timings_ms={"select": 1.0, "context": 2.0, "denoise": 3.0},
    )
    return ChunkReport(chunk, Latch(controls_seq, latched_ms))


def cut_of(whole: ChunkReport, kept: int) -> ChunkReport:
    """The same chunk of 4 latents, cut after `kept` of them."""
    chunk: Any = SimpleNamespace(
        **{
            **vars(whole.chunk),
            "first_latent": kept,
            "num_frames": 16 - 4 * kept,
            "poses": np.eye(4)[None].repeat(4, 0),
        }
    )
    return ChunkReport(chunk, Latch(7, 6.0), revision=1)


def samples(chunk: ChunkReport) -> list[Sample]:
    """The frames of a chunk; the first one is a key frame."""
    return [Sample(chunk, frame, decoded_at_ms=1.0, decode_ms=2.0, encode_ms=3.0) for frame in FRAMES]
