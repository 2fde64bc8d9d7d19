"""Makes one chunk of a clip, stage by stage, and decodes it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from worldplay.engine.pacing import Stage
from worldplay.engine.ports import Frames, WalkPort
from worldplay.world.chunk import Chunk
from worldplay.world.steering import Steering


class ChunkStages:
    """The stages of a clip's chunk: its context pass, its denoising steps, the decoding of each latent.

    If the walk was recorded with cuts, each cut's stages follow, before anything is decoded.
    """

    def __init__(self, walk: WalkPort, steering: Steering, cuts: Sequence[int] = ()) -> None:
        """`cuts`: how many latents each cut keeps."""
        self.chunk: Chunk | None = None  # once it is generated
        self._walk = walk
        self._steering = steering
        self._cuts = list(cuts)
        self._versions: list[Chunk] = []  # one more after each cut
        self._pending = walk.begin_chunk(steering)
        self._frames: Iterator[Frames] = iter(())
        self._num_undecoded = 0

    @property
    def next_stage(self) -> Stage:
        """Return what `advance` will do."""
        return self._pending.next_stage if self.chunk is None else "decode"

    @property
    def is_done(self) -> bool:
        return self.chunk is not None and self._num_undecoded == 0

    def advance(self) -> Frames | None:
        """Do the next stage. Returns: the frames of a latent if one was decoded."""
        if self.chunk is not None:
            self._num_undecoded -= 1
            return next(self._frames)
        version = self._pending.advance()
        if version is not None:
            self._versions.append(version)
            if len(self._versions) <= len(self._cuts):
                self._pending = self._walk.begin_cut(self._cuts[len(self._versions) - 1], self._steering)
            else:
                self._finish(version)
        return None

    def _finish(self, version: Chunk) -> None:
        """Describe the whole chunk, and begin to decode what was kept of each version."""
        num_frames = self._versions[0].num_frames
        self.chunk = replace(version, first_latent=0, num_frames=num_frames)
        self._num_undecoded = len(version.poses)
        ends = [*self._cuts, len(version.poses)]
        parts = zip(self._versions, ends, strict=True)
        self._frames = chain.from_iterable(
            islice(self._walk.decode(chunk), max(0, end - chunk.first_latent)) for chunk, end in parts
        )
