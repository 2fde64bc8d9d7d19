"""What a prompt and a start image become before the text pass."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Inputs of the text pass (docs/worldplay-model.md 5.2), for a batch of B samples.

    States [B, L, D], masks [B, L] of 0 and 1; each kind has its own L and D.
    """

    text_states: Tensor
    text_mask: Tensor
    byt5_states: Tensor
    byt5_mask: Tensor
    vision_states: Tensor | None  # None in text-to-video

    def sample(self, index: int) -> "Conditioning":
        """One sample, as a batch of its own."""
        one = slice(index, index + 1)
        vision = None if self.vision_states is None else self.vision_states[one]
        masked_text = self.text_states[one], self.text_mask[one]
        return Conditioning(*masked_text, self.byt5_states[one], self.byt5_mask[one], vision)
