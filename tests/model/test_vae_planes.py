"""A decoder makes luma and chroma directly, as video encoders take them."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.test_vae import EMBEDDED, STILL, tiny_vae
from worldplay.model.bt709 import HALF_RANGE, LUMA
from worldplay.model.config import VAEConfig
from worldplay.model.shock_filter import sharpen, sharpen_luma
from worldplay.model.tiny_decoder import TinyDecoder
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_planes import Planes, PlanesHead

CONFIGS = {
    "as embedded": replace(STILL, pixel_patch=4, sharpen=True),
    "not sharpened": replace(STILL, pixel_patch=4),
    "small patch": EMBEDDED,
}


def make_vae(config: VAEConfig) -> StreamingVAE:
    """Make an autoencoder whose colours are in range."""
    vae = tiny_vae(config)
    head = vae.decoder.conv_out.conv
    head.weight.mul_(0.2)
    vae.use_planes()
    return vae


def make_latents(count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return list(torch.randn(1, EMBEDDED.latent_channels, count, 4, 6, generator=random).split(1, dim=2))


def luma_of(pixels: Tensor) -> Tensor:
    return torch.einsum("bcfhw,c->bfhw", pixels, torch.tensor(LUMA)).add(1).mul(HALF_RANGE)


def chroma_of(pixels: Tensor) -> Tensor:
    """Blue and red as BT.709 defines them, of which one is kept for each square of 2 x 2 pixels."""
    luma = torch.einsum("bcfhw,c->bfhw", pixels, torch.tensor(LUMA))
    blue, red = (pixels[:, 2] - luma) / 1.8556, (pixels[:, 0] - luma) / 1.5748
    return F.avg_pool3d(torch.stack([blue, red], dim=1), (1, 2, 2)).mul(HALF_RANGE)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("still", [False, True])
def test_planes_are_those_of_the_pixels(config: VAEConfig, still: bool) -> None:
    vae, plain = make_vae(config), make_vae(replace(config, sharpen=False))
    states = [each.new_decoder_state() for each in (vae, vae, plain)]
    for latent in make_latents(3):
        planes = vae.decode_planes(latent, states[0], still=still)
        pixels = vae.decode_latent(latent, states[1], still=still)
        colours = plain.decode_latent(latent, states[2], still=still)
        assert pixels.abs().max() < 1, "these pixels were clamped"
        torch.testing.assert_close(planes.luma, luma_of(pixels), rtol=0, atol=1e-3)
        torch.testing.assert_close(planes.chroma, chroma_of(colours), rtol=0, atol=1e-3)
    for slots in zip(*(state.slots for state in states), strict=True):
        assert torch.equal(slots[0], slots[1])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_still_frames_are_their_mean(config: VAEConfig) -> None:
    vae = make_vae(replace(config, sharpen=False))
    sharp = make_vae(config)
    states = [each.new_decoder_state() for each in (vae, vae, sharp)]
    for latent in make_latents(2):
        moving = vae.decode_latent(latent, states[0])
        still = vae.decode_latent(latent, states[1], still=True)
        shown = sharp.decode_latent(latent, states[2], still=True)
    assert moving.shape == still.shape == shown.shape
    assert not torch.allclose(moving[:, :, 0], moving[:, :, 1], atol=1e-3)
    mean = moving.mean(dim=2, keepdim=True)
    torch.testing.assert_close(still, mean.expand_as(moving))
    torch.testing.assert_close(shown, (sharpen(mean) if config.sharpen else mean).expand_as(moving))


def test_colours_out_of_range_stay_in_range() -> None:
    vae = make_vae(CONFIGS["as embedded"])
    vae.decoder.conv_out.conv.weight.mul_(1e3)
    vae.use_planes()
    planes = vae.decode_planes(make_latents(1)[0], vae.new_decoder_state())
    assert planes.luma.min() == 0
    assert planes.luma.max() == 2 * HALF_RANGE
    assert planes.chroma.min() == -HALF_RANGE
    assert planes.chroma.max() == HALF_RANGE


def test_luma_is_sharpened_as_pixels_are() -> None:
    grey = torch.rand(1, 1, 3, 24, 32, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    pixels = F.avg_pool3d(grey, (1, 5, 5), stride=1, padding=(0, 2, 2)).expand(-1, 3, -1, -1, -1)
    luma = luma_of(pixels)
    sharpen_luma(luma)
    torch.testing.assert_close(luma, luma_of(sharpen(pixels)), rtol=0, atol=1e-3)
    assert (luma - luma_of(pixels)).abs().max() > 1


def test_bfloat16_is_as_near_as_its_pixels() -> None:
    exact, rounded = make_vae(CONFIGS["not sharpened"]), make_vae(CONFIGS["not sharpened"])
    rounded.to(torch.bfloat16)
    rounded.use_planes()
    latent = make_latents(1)[0]
    planes = [vae.decode_planes(latent, vae.new_decoder_state()) for vae in (exact, rounded)]
    assert planes[1].luma.dtype == torch.float32
    torch.testing.assert_close(planes[1].luma, planes[0].luma, rtol=0, atol=2)
    torch.testing.assert_close(planes[1].chroma, planes[0].chroma, rtol=0, atol=2)


def test_planes_are_made_only_where_they_can_be() -> None:
    vae = tiny_vae(CONFIGS["as embedded"])
    assert not vae.makes_planes
    vae.use_planes()
    assert vae.makes_planes
    assert not any("planes" in name for name in vae.state_dict())
    vae.use_tiny_decoder(TinyDecoder())
    assert not vae.makes_planes


def test_frames_of_a_still_latent_share_memory() -> None:
    vae = make_vae(CONFIGS["as embedded"])
    state = vae.new_decoder_state()
    planes = [vae.decode_planes(latent, state, still=True) for latent in make_latents(2)][1]
    assert planes.luma.shape[1] == 4
    assert planes.luma.stride(1) == 0


def test_channels_lie_together_until_they_are_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so are a patch's rows copied as one number each."""
    vae, seen = make_vae(CONFIGS["as embedded"]), list[Tensor]()
    unfold = PlanesHead.unfold

    def see_and_unfold(head: PlanesHead, x: Tensor) -> Planes:
        seen.append(x)
        return unfold(head, x)

    monkeypatch.setattr(PlanesHead, "unfold", see_and_unfold)
    state = vae.new_decoder_state()
    for still in (False, True):
        for latent in make_latents(2):
            vae.decode_planes(latent, state, still=still)
    assert [x.stride(1) for x in seen] == [1] * 4
