"""The settings of a rollout: length, context and sampling of chunks."""

from dataclasses import dataclass

from worldplay.model.config import require_positive


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

    def __post_init__(self) -> None:
        require_positive(
            chunk_latents=self.chunk_latents,
            recent_latents=self.recent_latents,
            steps=self.steps,
            shift=self.shift,
            guidance=self.guidance,
        )
        if self.memory_latents < self.recent_latents:
            raise ValueError(
                f"expected at least {self.recent_latents} memory_latents, got {self.memory_latents}"
            )
        if not 0 <= self.context_timestep <= 1000:
            raise ValueError(f"expected a context_timestep of 0 to 1000, got {self.context_timestep}")
