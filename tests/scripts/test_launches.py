"""What a denoising step launches, without a GPU."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from gpu.launches import META, LaunchCounter, count_per_block, count_step, measure_launches
from gpu.setup import MINIATURE, Setup
from worldplay.model.config import RELEASED_TRANSFORMER, RELEASED_VAE, VAEConfig
from worldplay.model.vae import StreamingVAE, lay_out_channels_last

BEFORE = 37  # per block and step, in bf16, as the first version of the blocks was counted
DECODER_BEFORE = 652  # per latent, counted as these are


def count_latent(config: VAEConfig) -> Counter[str]:
    """Count what decoding one latent launches, in the middle of a stream."""
    counter = LaunchCounter()
    with META:
        vae = StreamingVAE(config).half().eval()
    lay_out_channels_last(vae)
    state = vae.new_decoder_state()
    latent = torch.empty(1, config.latent_channels, 1, 4, 6, device=META)
    with torch.inference_mode():
        vae.decode_latent(latent, state)
        with counter:
            vae.decode_latent(latent, state)
    return counter.launches


def test_views_and_allocations_launch_nothing() -> None:
    x = torch.empty(2, 6, device=META)
    with LaunchCounter() as counter:
        torch.empty_like(x).view(3, 4)[1:].transpose(0, 1).unflatten(0, (2, 2))
    assert counter.total == 0


def test_a_reshape_launches_if_it_copies() -> None:
    x = torch.empty(2, 6, device=META)
    with LaunchCounter() as counter:
        x.reshape(3, 4)
        x.T.reshape(3, 4)
    assert counter.launches == {"clone": 1}


def test_a_layer_is_one_launch() -> None:
    with torch.inference_mode(), META:
        layer, x = torch.nn.Linear(4, 4), torch.empty(2, 3, 4)
        with LaunchCounter() as counter:
            layer(x)
    assert counter.launches == {"linear": 1}


@pytest.mark.parametrize("context", [0, 20])
def test_a_block_launches_less_than_half_of_before(context: int) -> None:
    launches = count_per_block(RELEASED_TRANSFORMER, context)
    assert launches.total() == 18
    assert 2 * launches.total() < BEFORE
    assert launches["scaled_dot_product_attention"] == 1
    assert launches["copy_"] + launches["cat"] + launches["_to_copy"] + launches["clone"] == 0


def test_a_step_launches_little_beside_its_blocks() -> None:
    one = replace(RELEASED_TRANSFORMER, blocks=1)
    assert count_step(one, 4).total() - count_per_block(RELEASED_TRANSFORMER, 4).total() <= 30


def test_a_latent_of_the_decoder_launches_less_than_half_of_before() -> None:
    launches = count_latent(RELEASED_VAE)
    assert launches.total() == 308
    assert 2 * launches.total() < DECODER_BEFORE
    assert launches["cat"] + launches["mul"] == 0


def test_a_table_is_made_of_the_counts() -> None:
    rows = measure_launches(Setup(MINIATURE, MINIATURE.sizes[0], torch.device("cpu")))
    assert rows[-1]["per block and step"] == sum(int(row["per block and step"]) for row in rows[:-1]) == 18
