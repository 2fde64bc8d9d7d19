"""Builds the transformers of the golden cases: tiny sizes, generated weights, at a case's place."""

from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from goldens.cases import Case, GoldenError
from goldens.weights import fill
from worldplay.model.config import TransformerConfig
from worldplay.model.transformer import WorldPlayTransformer

TextInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]

# Values that a case's configuration does not have are those of the released model.
_RELEASED = {
    "patch_size": (1, 1),
    "mlp_ratio": 4.0,
    "byt5_dim": 1472,
    "byt5_hidden": 2048,
    "refiner_blocks": 2,
    "rope_theta": 256.0,
}


def read_config(values: dict[str, Any]) -> TransformerConfig:
    """Complete a case's configuration with released values. Raises: GoldenError for unknown fields."""
    known = {field.name for field in fields(TransformerConfig)}
    if unknown := values.keys() - known:
        raise GoldenError(f"unknown configuration fields: {', '.join(sorted(unknown))}")
    return TransformerConfig(**{**_RELEASED, **values, "rope_dims": tuple(values["rope_dims"])})


class ObservedTransformer(WorldPlayTransformer):
    """Records the latents that every denoising step starts from."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self._observed: list[Tensor] = []

    def denoise(self, latents: Tensor, *rest: Any) -> Tensor:
        self._observed.append(latents)
        return super().denoise(latents, *rest)

    def take_observed(self) -> list[Tensor]:
        taken, self._observed = self._observed, []
        return taken


Network = TypeVar("Network", bound=WorldPlayTransformer)


def build(network: type[Network], case: Case) -> Network:
    """Build the transformer of a case's configuration at the case's place."""
    with torch.device("meta"):
        model = network(read_config(case.meta["config"]))
    return fill(model).eval().to(case.place.device, case.place.dtype)


def text_inputs(inputs: dict[str, Tensor], task: str | None, prefix: str = "") -> TextInputs:
    """Collect the arguments of encode_text. All-zero vision states mean text-to-video: no vision tokens."""
    names = ("text_states", "text_mask", "byt5_states", "byt5_mask", "vision_states")
    text, text_mask, byt5, byt5_mask, vision = (inputs[prefix + name] for name in names)
    has_image = task == "i2v" or bool(vision.any())
    return text, text_mask, byt5, byt5_mask, vision if has_image else None
