"""The networks' inputs for a prompt and a start image."""

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


def condition_channels(image_latent: Tensor, num_latents: int, *, first: bool) -> Tensor:
    """Make the channels that are joined to the noisy latents: a condition and its mask.

    A walk's first latent has the start image's latent as its condition, and mask 1. All other latents have
    zeros. In text-to-video all have zeros.

    Args:
        image_latent: [B, C, 1, h, w], scaled.
        first: whether the span begins with the walk's first latent.
    Returns: [B, C + 1, num_latents, h, w], the mask last.
    Source: docs/worldplay-model.md 5.5.
    """
    batch, channels, _, height, width = image_latent.shape
    condition = image_latent.new_zeros(batch, channels + 1, num_latents, height, width)
    if first:
        condition[:, :channels, :1] = image_latent
        condition[:, channels, 0] = 1
    return condition
