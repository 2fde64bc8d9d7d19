"""The parameters on paper are those of the networks that are built."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from support.published import TRANSFORMER, VAE
from support.tiny import TINY
from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.config import RELEASED_TRANSFORMER, RELEASED_VAE, TransformerConfig, VAEConfig
from worldplay.model.parameters import is_text_parameter, transformer_parameters, vae_parameters
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.embedded.load import EMBEDDED
from worldplay.world.embedded.manifest import read_description

SHIPPED = read_description(EMBEDDED)
PATCHES = replace(TINY, patch_size=(2, 1), refiner_blocks=1, mlp_ratio=2.5)
# No temporal folding at the finest levels; more levels than fold in time; different layers.
DEEP_VAE = replace(
    RELEASED_VAE,
    encoder_channels=(16, 16, 32, 32, 64, 64),
    decoder_channels=(64, 32, 32, 16, 16, 16),
    spatial_compression=32,
    encoder_layers=1,
    decoder_layers=2,
)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("config", [RELEASED_TRANSFORMER, SHIPPED.transformer, TRANSFORMER, TINY, PATCHES])
@pytest.mark.parametrize("network", [WorldPlayTransformer, BidirectionalTransformer])
def test_parameters_of_a_transformer(config: TransformerConfig, network: type[WorldPlayTransformer]) -> None:
    with torch.device("meta"):
        built = network(config)
    assert transformer_parameters(config) == shapes_of(built)


@pytest.mark.parametrize("config", [RELEASED_VAE, SHIPPED.vae, VAE, DEEP_VAE, replace(DEEP_VAE, still=True)])
def test_parameters_of_an_autoencoder(config: VAEConfig) -> None:
    with torch.device("meta"):
        built = StreamingVAE(config)
    assert vae_parameters(config) == shapes_of(built)


def test_text_stream_is_what_the_vision_pass_never_touches() -> None:
    names = transformer_parameters(TRANSFORMER)
    idle = {name for name in names if is_text_parameter(name)}
    assert "double_blocks.0.txt_attn_q.weight" in idle
    assert "txt_in.input_embedder.weight" in idle
    assert not any(name.startswith(("img_in", "time_in", "action_in", "final_layer")) for name in idle)
    assert not any(".img_" in name for name in idle)
