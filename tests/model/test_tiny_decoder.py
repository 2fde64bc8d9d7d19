"""The tiny decoder: published names and shapes, and that streaming gives what decoding at once gives."""

from dataclasses import replace

import pytest
import torch

from worldplay.model.config import RELEASED_VAE
from worldplay.model.tiny_decoder import LATENT_CHANNELS, TinyDecoder
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_stream import FeatureCache

PUBLISHED = {
    "decoder.1.weight": (256, 32, 3, 3),
    "decoder.1.bias": (256,),
    "decoder.3.conv.0.weight": (256, 512, 3, 3),
    "decoder.3.conv.2.bias": (256,),
    "decoder.5.conv.4.weight": (256, 256, 3, 3),
    "decoder.7.conv.weight": (256, 256, 1, 1),
    "decoder.8.weight": (128, 256, 3, 3),
    "decoder.13.conv.weight": (256, 128, 1, 1),
    "decoder.14.weight": (64, 128, 3, 3),
    "decoder.17.conv.4.bias": (64,),
    "decoder.19.conv.weight": (128, 64, 1, 1),
    "decoder.20.weight": (64, 64, 3, 3),
    "decoder.22.weight": (12, 64, 3, 3),
    "decoder.22.bias": (12,),
}


@pytest.fixture(scope="module")
def decoder() -> TinyDecoder:
    torch.manual_seed(0)
    return TinyDecoder().eval().requires_grad_(False)


def draw(num_latents: int) -> torch.Tensor:
    shape = (1, LATENT_CHANNELS, num_latents, 2, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_names_and_shapes_are_the_published_ones(decoder: TinyDecoder) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    assert {name: shapes[name] for name in PUBLISHED} == PUBLISHED
    assert len(shapes) == 4 + 9 * 6 + 3 * 2
    assert sum(tensor.numel() for tensor in decoder.parameters()) == 9_886_668


def test_first_latent_gives_one_frame_and_every_other_four(decoder: TinyDecoder) -> None:
    state = FeatureCache()
    shapes = [tuple(decoder.decode(latent, state).shape) for latent in draw(3).split(1, dim=2)]
    assert shapes == [(1, 3, 1, 32, 48), (1, 3, 4, 32, 48), (1, 3, 4, 32, 48)]
    assert len(state.slots) == 9


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [1, 3], [2, 2]])
def test_pieces_give_what_all_at_once_gives(decoder: TinyDecoder, sizes: list[int]) -> None:
    state = FeatureCache()
    pieces = [decoder.decode(piece, state) for piece in draw(4).split(sizes, dim=2)]
    expected = decoder.decode(draw(4), FeatureCache())
    torch.testing.assert_close(torch.cat(pieces, dim=2), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01


def test_a_frame_sees_only_the_past(decoder: TinyDecoder) -> None:
    other = draw(3)
    other[:, :, 2] += 1
    frames, changed = decoder.decode(draw(3), FeatureCache()), decoder.decode(other, FeatureCache())
    assert torch.equal(frames[:, :, :5], changed[:, :, :5])
    assert not torch.equal(frames[:, :, 5:], changed[:, :, 5:])


def test_pixels_stay_in_range(decoder: TinyDecoder) -> None:
    frames = decoder.decode(1000 * draw(2), FeatureCache())
    assert -1 <= frames.min() < frames.max() <= 1


@pytest.fixture(scope="module")
def vae(decoder: TinyDecoder) -> StreamingVAE:
    levels = (32,) * 5
    config = replace(RELEASED_VAE, encoder_channels=levels, decoder_channels=levels)
    vae = StreamingVAE(config).eval().requires_grad_(False)
    vae.use_tiny_decoder(decoder)
    return vae


def test_rewound_decoder_goes_on_as_if_uninterrupted(vae: StreamingVAE) -> None:
    latents, state = draw(14), vae.new_decoder_state()
    vae.decode_latent(latents[:, :, :13], state)
    again = vae.decoder_state_after(latents[:, :, :13])
    next_frames = [vae.decode_latent(latents[:, :, 13:], one) for one in (state, again)]
    torch.testing.assert_close(*next_frames, rtol=0, atol=1e-5)


def test_autoencoder_shows_latents_by_it(vae: StreamingVAE, decoder: TinyDecoder) -> None:
    assert torch.equal(
        vae.decode_latent(draw(2), vae.new_decoder_state()), decoder.decode(draw(2), FeatureCache())
    )
