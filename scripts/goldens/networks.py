"""The transformers of the golden cases: tiny shapes, generated weights, float32 on the CPU."""

import functools
import json
from dataclasses import fields
from typing import Any

from torch import Tensor

from goldens.cases import GoldenError
from goldens.weights import fill
from worldplay.model.transformer import TransformerConfig, WorldPlayTransformer

# What a case's configuration does not say is as in the released model.
_RELEASED = {
    "patch_size": 1,
    "mlp_ratio": 4.0,
    "byt5_dim": 1472,
    "byt5_hidden": 2048,
    "refiner_blocks": 2,
    "rope_theta": 256.0,
}


def read_config(values: dict[str, Any]) -> TransformerConfig:
    """Complete a case's configuration."""
    known = {field.name for field in fields(TransformerConfig)}
    if unknown := values.keys() - known:
        raise GoldenError(f"unknown configuration fields: {', '.join(sorted(unknown))}")
    return TransformerConfig(**{**_RELEASED, **values, "rope_dims": tuple(values["rope_dims"])})


def build(values: dict[str, Any]) -> WorldPlayTransformer:
    """Make the autoregressive transformer of a case's configuration; equal ones are made once."""
    return _build(json.dumps(values, sort_keys=True))


@functools.lru_cache(maxsize=4)
def _build(values: str) -> WorldPlayTransformer:
    model = WorldPlayTransformer(read_config(json.loads(values)))
    fill(model)
    return model.eval()


def text_inputs(
    inputs: dict[str, Tensor], task: str | None, prefix: str = ""
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """The arguments of encode_text; all-zero vision states mean text-to-video, which drops the vision tokens."""
    vision: Tensor | None = inputs[f"{prefix}vision_states"]
    if task != "i2v" and not inputs[f"{prefix}vision_states"].any():
        vision = None
    text, byt5 = f"{prefix}text_", f"{prefix}byt5_"
    return inputs[f"{text}states"], inputs[f"{text}mask"], inputs[f"{byt5}states"], inputs[f"{byt5}mask"], vision
