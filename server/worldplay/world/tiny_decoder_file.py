"""Loads the weights of the tiny decoder, which are published apart from the model."""

from pathlib import Path

import torch

from worldplay.model.tiny_decoder import TinyDecoder
from worldplay.model.vae import lay_out_channels_last
from worldplay.world.weight_files import Weights
from worldplay.world.weights import build_empty, fill

_UNUSED = "encoder."  # how the names of the file's other weights begin


def load_tiny_decoder(path: Path, device: torch.device, dtype: torch.dtype) -> TinyDecoder:
    """Load the decoder. Raises: ValueError naming the file and what is wrong with it."""
    decoder = build_empty(TinyDecoder)
    weights = Weights([path])
    names = {key: key for key in weights.keys if not key.startswith(_UNUSED)}
    fill(decoder, weights, dtype, lambda _: device, names)
    lay_out_channels_last(decoder)
    return decoder
