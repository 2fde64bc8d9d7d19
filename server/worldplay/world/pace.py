"""How fast a world makes chunks, and how many walks that is enough for."""

from dataclasses import dataclass

from worldplay.world.frames import FPS, FRAMES_PER_LATENT

AUTO = "auto"  # what is chosen by measuring: a size, an attention backend
BUSY = 0.9  # share of the time that chunks may take; the rest is for encoding, prompts and other programs


@dataclass(frozen=True, slots=True)
class Pace:
    """What a chunk after a full context takes."""

    made_s: float  # to generate and decode it
    chunk_latents: int

    @property
    def shown_s(self) -> float:
        """Return how long the chunk is on screen."""
        return FRAMES_PER_LATENT * self.chunk_latents / FPS

    @property
    def times_real_time(self) -> float:
        return self.shown_s / self.made_s

    @property
    def frames_per_s(self) -> float:
        return FPS * self.times_real_time

    @property
    def sessions(self) -> int:
        """Return how many walks at once are in real time; 0 if not even one is."""
        return int(BUSY * self.times_real_time)

    def limit(self, most: int) -> int:
        """Return how many of `most` walks to allow: one, even if it is not in real time."""
        return max(1, min(most, self.sessions))
