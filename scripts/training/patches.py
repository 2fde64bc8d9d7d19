"""Initialises a transformer with the weights of one that has larger patches."""

from einops import reduce
from torch import Tensor


def split_patches(weights: dict[str, Tensor], patch: tuple[int, int]) -> dict[str, Tensor]:
    """Convert weights to smaller patches, (height, width).

    A new token begins as the old, larger one would if the latent were constant over it: input weights are
    summed, output weights averaged. Noise passes through at the same strength, too.

    Raises: ValueError if the patches that the weights are for are no multiple of `patch`.
    """
    inputs = weights["img_in.proj.weight"]  # [H, C, 1, rows, columns]
    rows, columns = inputs.shape[-2:]
    if rows % patch[0] or columns % patch[1]:
        raise ValueError(f"expected weights for patches in multiples of {patch}, got {(rows, columns)}")
    parts = {"i": patch[0], "j": patch[1]}
    outputs = {"p": rows // patch[0], "q": columns // patch[1], **parts}
    names = {name: f"final_layer.linear.{name}" for name in ("weight", "bias")}
    return {
        **weights,
        "img_in.proj.weight": reduce(inputs, "h c t (p i) (q j) -> h c t i j", "sum", **parts),
        names["weight"]: reduce(weights[names["weight"]], "(c p i q j) h -> (c i j) h", "mean", **outputs),
        names["bias"]: reduce(weights[names["bias"]], "(c p i q j) -> (c i j)", "mean", **outputs),
    }
