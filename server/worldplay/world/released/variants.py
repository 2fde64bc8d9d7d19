"""The released variants: their names, folders and sampling."""

from dataclasses import dataclass

from worldplay.model.config import CHUNK_LATENTS, CONTEXT_TIMESTEP, MAX_CONTEXT
from worldplay.world.rollout_config import RolloutConfig

MODEL = "hy-worldplay"
RECENT_LATENTS = 12  # of the context, docs/worldplay-model.md 11
SHIFT = 5.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the published checkpoints."""

    name: str
    folder: str  # in the repository
    chunk_latents: int
    steps: int
    guidance: float
    shift: float
    about: str

    @property
    def is_live(self) -> bool:
        """Return whether it makes live walks: its chunks are short and causal. Others only make clips."""
        return self.chunk_latents == CHUNK_LATENTS

    @property
    def num_branches(self) -> int:
        """Return the passes per denoising step: with guidance there is also one for the negative prompt."""
        return 1 if self.guidance == 1.0 else 2

    def rollout(self) -> RolloutConfig:
        return RolloutConfig(
            chunk_latents=self.chunk_latents,
            memory_latents=MAX_CONTEXT,
            recent_latents=RECENT_LATENTS,
            context_timestep=CONTEXT_TIMESTEP,
            steps=self.steps,
            shift=self.shift,
            guidance=self.guidance,
        )


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("ar-distilled", "ar_distilled_action_model", 4, 4, 1.0, SHIFT, "4 steps, for walking live"),
        Variant("ar", "ar_model", 4, 50, 6.0, SHIFT, "50 steps with guidance"),
        Variant("ar-rl", "ar_rl_model", 4, 50, 6.0, SHIFT, "50 steps with guidance, tuned by rewards"),
        Variant("bidirectional", "bidirectional_model", 16, 30, 6.0, SHIFT, "whole clips only, best looking"),
    )
}
DEFAULT_VARIANT = "ar-distilled"


def find_variant(name: str) -> Variant:
    """Find a variant by name. Raises: ValueError naming the known variants."""
    if name not in VARIANTS:
        raise ValueError(f"unknown variant {name!r}; expected one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
