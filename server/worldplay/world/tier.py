"""The tiers by name, and the levers of each, without importing torch; tiers.py applies them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldplay.world.model_files import TINY_DECODER

TierName = Literal["exact", "balanced", "fast"]


@dataclass(frozen=True, slots=True)
class Tier:
    """Which levers are used."""

    newest: int | None = None  # context latents encoded for every chunk, the others are kept; None: all
    eight_bits: bool = False  # in linear layers and attention
    halved_steps: bool = False
    tiny_decoder: bool = False

    @property
    def keeps_context(self) -> bool:
        return self.newest is not None


TIERS: dict[TierName, Tier] = {
    "exact": Tier(),
    "balanced": Tier(newest=8, eight_bits=True),
    "fast": Tier(newest=4, eight_bits=True, halved_steps=True, tiny_decoder=True),
}


def uses_tiny_decoder(name: TierName, root: Path) -> bool:
    """Return whether a tiny decoder shows the released model's latents: the tier has one, and it is there."""
    return TIERS[name].tiny_decoder and (root / TINY_DECODER).is_file()


def check_tier(name: TierName, *, can_walk: bool) -> None:
    """Raises: ValueError if the model cannot walk: its context is never encoded apart."""
    if name != "exact" and not can_walk:
        raise ValueError(f"expected --tier exact for a model that only makes clips, got {name!r}")
