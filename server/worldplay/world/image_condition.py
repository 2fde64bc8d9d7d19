"""How the network is told about the start image: in channels beside the noisy latents.

The network reads the latent, a condition of as many channels, and a mask (docs/worldplay-model.md 5.5).
Only the first latent of a walk has a condition, the latent of the start image; its mask is 1.
All others carry zeros. Without an image, they all do.
"""

from torch import Tensor


def condition_channels(image_latent: Tensor, num_latents: int, *, first: bool) -> Tensor:
    """The condition and the mask for a span of latents: [B, C + 1, num_latents, h, w], the mask last.

    Args:
        image_latent: [B, C, 1, h, w], scaled.
        first: whether the span begins with the walk's first latent.
    """
    batch, channels, _, height, width = image_latent.shape
    condition = image_latent.new_zeros(batch, channels + 1, num_latents, height, width)
    if first:
        condition[:, :channels, :1] = image_latent
        condition[:, channels, 0] = 1
    return condition
