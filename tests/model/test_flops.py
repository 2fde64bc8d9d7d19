"""The counts against worldplay-model.md, section 22, and against what torch counts as it runs."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from support.published import VAE
from worldplay.model import flops
from worldplay.model.config import RELEASED_TRANSFORMER, RELEASED_VAE
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE

TOKENS, TEXT = 1560, 880  # 480x832
GRID = (30, 52)


def count_fused(bias: object, rows: tuple[int, int], weight: tuple[int, int], **_: object) -> int:
    return 2 * rows[0] * rows[1] * weight[1]


FUSED = {torch.ops.aten._addmm_activation: count_fused}  # which torch's counter does not know


def tera(work: float) -> int:
    return round(work / 1e12)


def test_one_denoising_step_of_the_released_model() -> None:
    step = flops.denoise_step(RELEASED_TRANSFORMER, TOKENS, 20, TEXT)
    assert (round(step.linears / 1e12, 1), round(step.attention / 1e12, 1)) == (36.7, 211.6)
    assert tera(step.total) == 248


@pytest.mark.parametrize(
    ("context", "denoise", "encode"),
    [(4, 442, 76), (8, 580, 221), (12, 718, 435), (16, 855, 718), (20, 993, 1069)],
)
def test_denoising_and_context_by_context_size(context: int, denoise: int, encode: int) -> None:
    steps = flops.denoise_step(RELEASED_TRANSFORMER, TOKENS, context, TEXT).times(4)
    every_block = flops.image_pass(RELEASED_TRANSFORMER, context * TOKENS, TEXT + context * TOKENS)
    assert (tera(steps.total), tera(every_block.total)) == (denoise, encode)


def test_last_block_of_the_context_pass_is_nearly_free() -> None:
    tokens = 20 * TOKENS
    every_block = flops.image_pass(RELEASED_TRANSFORMER, tokens, TEXT + tokens).total
    ours = flops.context_pass(RELEASED_TRANSFORMER, tokens, TEXT).total
    assert 1 - ours / every_block == pytest.approx(0.018, abs=0.0005)


@pytest.mark.parametrize(
    ("grid", "tokens", "expected"),
    [((30, 52), 1560, (993, 1069, 159)), ((22, 40), 880, (357, 391, 90)), ((15, 26), 390, (93, 106, 40))],
)
def test_whole_chunk_by_size(grid: tuple[int, int], tokens: int, expected: tuple[int, int, int]) -> None:
    work = flops.chunk(RELEASED_TRANSFORMER, RELEASED_VAE, grid, 20, TEXT, steps=4)
    every_block = flops.image_pass(RELEASED_TRANSFORMER, 20 * tokens, TEXT + 20 * tokens)
    assert (tera(work.denoise), tera(every_block.total), tera(work.decode)) == expected
    assert work.total == work.context + work.denoise + work.decode


def test_decoding_a_latent_of_the_released_autoencoder() -> None:
    assert round(flops.decode_latent(RELEASED_VAE, GRID) / 1e12, 1) == 39.8


@pytest.mark.slow
def test_decoding_agrees_with_torch_on_the_real_configuration() -> None:
    with torch.device("meta"), torch.inference_mode():
        vae = StreamingVAE(RELEASED_VAE)
        state = vae.new_decoder_state()
        vae.decode_latent(torch.empty(1, 32, 1, *GRID), state)
        with FlopCounterMode(display=False) as counter:
            vae.decode_latent(torch.empty(1, 32, 1, *GRID), state)
        # torch counts the norms' channel means as well, which are convolutions here.
        expected = flops.decode_latent(RELEASED_VAE, GRID)
        assert counter.get_total_flops() == pytest.approx(expected, rel=3e-4)


@pytest.mark.parametrize("to_planes", [False, True])
@pytest.mark.parametrize("still", [False, True])
def test_decoding_agrees_with_torch_on_a_small_configuration(still: bool, to_planes: bool) -> None:
    config = replace(VAE, still=still, pixel_patch=2)
    with torch.device("meta"), torch.inference_mode():
        vae = StreamingVAE(config)
        vae.use_planes()
        state = vae.new_decoder_state()
        decode = vae.decode_planes if to_planes else vae.decode_latent
        decode(torch.empty(1, config.latent_channels, 1, 6, 10), state)
        with FlopCounterMode(display=False) as counter:
            decode(torch.empty(1, config.latent_channels, 1, 6, 10), state)
        expected = flops.decode_latent(config, (6, 10), to_planes=to_planes)
        assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)  # torch counts the norms, too


def test_passes_agree_with_torch_on_two_real_blocks() -> None:
    config = replace(RELEASED_TRANSFORMER, blocks=2)
    with torch.device("meta"), torch.inference_mode():
        model = WorldPlayTransformer(config)
        cache = model.new_cache(GRID, TEXT)
        latents, cond = (torch.empty(1, channels, 4, *GRID) for channels in (32, 33))
        actions, timesteps = torch.zeros(4, dtype=torch.long), torch.full((4,), 625.0)
        cameras = model.prepare_cameras(torch.empty(1, 4, 4, 4), torch.empty(1, 4, 3, 3))
        with FlopCounterMode(display=False, custom_mapping=FUSED) as counter:
            model.denoise(latents, cond, cameras, actions, timesteps, cache)
    # Beyond the formula: modulation per latent, the embedders, and dense products for RoPE and PRoPE.
    expected = flops.denoise_step(config, TOKENS, 0, 0).total
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.03)
    assert counter.get_total_flops() > expected


def test_text_pass_of_the_released_model() -> None:
    work = flops.text_pass(RELEASED_TRANSFORMER, TEXT)
    assert (round(work.linears / 1e12, 2), round(work.attention / 1e12, 2)) == (4.72, 0.34)
