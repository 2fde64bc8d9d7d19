"""The settings of a rollout: length, context and sampling of chunks."""

from dataclasses import dataclass

from worldplay.model.config import CHUNK_LATENTS, require_positive

MAX_STEPS = 100  # denoising steps that may be asked for
# JSON's numbers are doubles to many of its readers, and hold every integer up to this one exactly.
MAX_SEED = 2**53
LATENTS_ON_DEVICE = 1024  # the latest of each walk, 3 minutes; older ones are in the host's memory
MOST_KEPT = 256  # latents whose context is kept of a walk on a CPU; 43 s
MOST_KEPT_ON_GPU = 3600  # where memory is not short; 10 minutes


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """The settings of a rollout; sizes are in latent frames (docs/worldplay-model.md 9 to 11)."""

    chunk_latents: int
    memory_latents: int  # the most context a chunk gets
    recent_latents: int  # how many of these are the latest
    context_timestep: float
    steps: int
    shift: float
    guidance: float
    first_latents: int = CHUNK_LATENTS  # how many of the context are the walk's first
    history_guidance: float = 1.0  # the last step's, where the first chunk does not show the view
    is_still: bool = False  # nothing in this world moves by itself: while the view stays, the picture settles
    relights: bool = False  # a prompt decides the light alone; see relighting.py

    def __post_init__(self) -> None:
        require_positive(
            chunk_latents=self.chunk_latents,
            first_latents=self.first_latents,
            recent_latents=self.recent_latents,
            steps=self.steps,
            shift=self.shift,
            guidance=self.guidance,
            history_guidance=self.history_guidance,
        )
        if self.guidance != 1 and self.guides_by_history:
            raise ValueError("expected guidance or history_guidance of 1, got neither")
        if self.memory_latents < self.recent_latents:
            raise ValueError(
                f"expected at least {self.recent_latents} memory_latents, got {self.memory_latents}"
            )
        if not 0 <= self.context_timestep <= 1000:
            raise ValueError(f"expected a context_timestep of 0 to 1000, got {self.context_timestep}")

    @property
    def context_lengths(self) -> list[int]:
        """Return how many latents of context chunks have, as a walk gets longer."""
        return [*range(0, self.memory_latents, self.chunk_latents), self.memory_latents]

    @property
    def full_after(self) -> int:
        """Return how many latents a walk must have, so that its next chunk has the most context."""
        return (len(self.context_lengths) - 1) * self.chunk_latents

    @property
    def guides_by_history(self) -> bool:
        return self.history_guidance != 1


def count_kept_latents(spare: float, latent: int, walks: int, context: int) -> int:
    """Count the latents of each walk whose context can be kept between chunks.

    A chunk in progress may encode its whole context anew, beside what is kept. The newest finished chunk,
    which may be cut, needs no more: its context is among what is kept, or nothing else is. Whole chunks are
    kept, because kernels are prepared for most of these lengths.

    Args:
        spare: bytes for all walks.
        latent: bytes of one latent's keys and values.
        walks: at once, those of clips included.
        context: latents of a chunk's context.
    """
    most = max(0, min(MOST_KEPT_ON_GPU, int(spare / max(1, walks) / latent) - context))
    return most - most % CHUNK_LATENTS
