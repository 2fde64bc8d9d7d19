from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo15
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15AttnBlock
from torch import Tensor, nn

from worldplay.model import vae_stream
from worldplay.model.config import RELEASED_VAE, VAEConfig
from worldplay.model.shock_filter import sharpen
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_keys import published_key

TINY = VAEConfig(
    pixel_patch=1,
    latent_channels=4,
    encoder_channels=(8, 16, 32, 32, 32),
    encoder_layers=1,
    decoder_channels=(32, 32, 32, 16, 8),
    decoder_layers=2,
    spatial_compression=16,
    temporal_compression=4,
    scaling_factor=0.7,
)
EMBEDDED = VAEConfig(
    pixel_patch=2,
    latent_channels=4,
    encoder_channels=(8, 16, 16, 32),
    encoder_layers=1,
    decoder_channels=(16, 16, 16, 8),
    decoder_layers=1,
    spatial_compression=8,
    temporal_compression=4,
    scaling_factor=1.5,
)
STILL = replace(EMBEDDED, still=True)


def tiny_vae(config: VAEConfig = TINY) -> StreamingVAE:
    torch.manual_seed(0)
    return StreamingVAE(config).requires_grad_(False)


def diffusers_vae(vae: StreamingVAE) -> AutoencoderKLHunyuanVideo15:
    twin = AutoencoderKLHunyuanVideo15(
        latent_channels=TINY.latent_channels,
        block_out_channels=TINY.encoder_channels,
        layers_per_block=TINY.encoder_layers,
    )
    twin.load_state_dict(vae.state_dict(), strict=True)
    return twin.requires_grad_(False)


class AttentionPerLatent(nn.Module):
    """diffusers' own attention, called for one latent at a time."""

    def __init__(self, layer: HunyuanVideo15AttnBlock) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layer(latent) for latent in x.split(1, dim=2)], dim=2)


@pytest.mark.parametrize("for_gradients", [False, True])
def test_decode_in_a_stream_is_the_whole_decode_with_attention_per_latent(for_gradients: bool) -> None:
    vae = tiny_vae()
    whole = diffusers_vae(vae)
    whole.decoder.mid_block.attentions[0] = AttentionPerLatent(whole.decoder.mid_block.attentions[0])
    latents = torch.randn(1, 4, 5, 2, 3)
    state = vae.new_decoder_state()
    with torch.inference_mode(not for_gradients):
        frames = torch.cat([vae.decode_raw(latent, state) for latent in latents.split(1, dim=2)], dim=2)
    torch.testing.assert_close(frames, whole.decode(latents).sample, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("for_gradients", [False, True])
def test_encode_in_a_stream_is_the_whole_encode_with_attention_per_latent(for_gradients: bool) -> None:
    vae = tiny_vae()
    whole = diffusers_vae(vae)
    whole.encoder.mid_block.attentions[0] = AttentionPerLatent(whole.encoder.mid_block.attentions[0])
    pixels = torch.rand(1, 3, 13, 32, 48) * 2 - 1
    state = vae.new_encoder_state()
    with torch.inference_mode(not for_gradients):
        pieces = [vae.encode_moments(piece, state) for piece in pixels.split([1, 4, 4, 4], 2)]
    moments = torch.cat(pieces, dim=2)
    expected = whole.encode(pixels).latent_dist
    torch.testing.assert_close(moments[:, :4], expected.mean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [EMBEDDED, STILL])
def test_several_pieces_at_once_are_one_at_a_time(config: VAEConfig) -> None:
    vae = tiny_vae(config)
    pixels = torch.rand(2, 3, 9, 32, 32) * 2 - 1
    state = vae.new_encoder_state()
    singly = torch.cat([vae.encode_frames(piece, state) for piece in pixels.split([1, 4, 4], 2)], dim=2)
    latents = vae.encode_frames(pixels, vae.new_encoder_state())
    torch.testing.assert_close(latents, singly)
    state = vae.new_decoder_state()
    frames = torch.cat([vae.decode_latent(latent, state) for latent in latents.split(1, 2)], dim=2)
    torch.testing.assert_close(vae.decode_latent(latents, vae.new_decoder_state()), frames)


def test_image_encoding_is_that_of_diffusers() -> None:
    vae = tiny_vae()
    image = torch.rand(1, 3, 1, 32, 48) * 2 - 1
    expected = diffusers_vae(vae).encode(image).latent_dist.mode() * 0.7
    torch.testing.assert_close(vae.encode_image(image), expected, atol=1e-5, rtol=1e-5)


def test_first_latent_is_one_frame_and_later_ones_are_four() -> None:
    vae = tiny_vae(EMBEDDED)
    state = vae.new_decoder_state()
    shapes = [tuple(vae.decode_latent(torch.randn(1, 4, 1, 2, 3), state).shape) for _ in range(3)]
    assert shapes == [(1, 3, 1, 32, 48), (1, 3, 4, 32, 48), (1, 3, 4, 32, 48)]


def test_decoded_pixels_are_clamped() -> None:
    vae = tiny_vae()
    frame = vae.decode_latent(100 * torch.randn(1, 4, 1, 2, 2), vae.new_decoder_state())
    assert (frame.amin().item(), frame.amax().item()) == (-1, 1)


def test_cloned_state_goes_its_own_way() -> None:
    vae = tiny_vae()
    latents = torch.randn(3, 1, 4, 1, 2, 2)
    state = vae.new_decoder_state()
    vae.decode_latent(latents[0], state)
    branch = state.clone()
    vae.decode_latent(latents[1], branch)
    replay = state.clone()
    expected = vae.decode_latent(latents[2], state)
    torch.testing.assert_close(vae.decode_latent(latents[2], replay), expected, atol=0, rtol=0)


DEEP = replace(
    RELEASED_VAE,  # as many layers, but narrow
    latent_channels=4,
    encoder_channels=(8, 8, 8, 8, 8),
    encoder_layers=1,
    decoder_channels=(16, 16, 16, 8, 8),
)


def state_after(vae: StreamingVAE, latents: Tensor) -> vae_stream.FeatureCache:
    state = vae.new_decoder_state()
    for latent in latents.split(1, dim=2):
        vae.decode_latent(latent, state)
    return state


@pytest.mark.parametrize(
    ("config", "reach", "for_gradients"),
    [
        *((config, reach, way) for config, reach in ((EMBEDDED, 22), (STILL, 14)) for way in (False, True)),
        (TINY, 33, False),
        (TINY, 33, True),
        (DEEP, 42, False),  # which nobody trains, and which has no layers that TINY has not
    ],
)
def test_state_made_of_the_latest_latents_is_exactly_that_of_the_whole_video(
    config: VAEConfig, reach: int, for_gradients: bool
) -> None:
    vae = tiny_vae(config)
    assert vae.decoder_reach == reach
    latents = torch.randn(1, 4, reach + 3, 1, 2)
    with torch.inference_mode(not for_gradients):
        whole = state_after(vae, latents)
        rebuilt = vae.decoder_state_after(latents[:, :, -reach:])
        fewer = vae.decoder_state_after(latents[:, :, 1 - reach :])
    assert all(torch.equal(*slots) for slots in zip(whole.slots, rebuilt.slots, strict=True))
    assert not all(torch.equal(*slots) for slots in zip(whole.slots, fewer.slots, strict=True))


@pytest.mark.parametrize("for_gradients", [False, True])
@pytest.mark.parametrize("num_latents", [1, 2, 5])
@pytest.mark.parametrize("config", [EMBEDDED, STILL])
def test_state_made_of_a_short_video_is_exactly_its_own(
    config: VAEConfig, num_latents: int, for_gradients: bool
) -> None:
    vae = tiny_vae(config)
    latents = torch.randn(1, 4, num_latents, 1, 2)
    with torch.inference_mode(not for_gradients):
        rebuilt = vae.decoder_state_after(latents)
        whole = state_after(vae, latents)
    assert all(torch.equal(*slots) for slots in zip(whole.slots, rebuilt.slots, strict=True))


def test_state_holds_two_frames_per_convolution_however_long_the_stream() -> None:
    vae = tiny_vae()
    state = vae.new_decoder_state()
    vae.decode_latent(torch.randn(1, 4, 3, 2, 2), state)
    assert {slot.shape[2] for slot in state.slots} == {2}
    assert all(slot.untyped_storage().nbytes() == slot.nbytes for slot in state.slots)


def test_still_decoder_sees_other_frames_only_before_its_first_upsampling() -> None:
    vae = tiny_vae(STILL)
    kernels = {
        name: layer.kernel_size[0]
        for name, layer in vae.decoder.named_modules()
        if isinstance(layer, nn.Conv3d)
    }
    causal = {name for name, frames in kernels.items() if frames == 3}
    assert all(name.startswith(("conv_in", "mid_block", "up_blocks.0.resnets")) for name in causal)
    state = vae.new_decoder_state()
    vae.decode_latent(torch.randn(1, 4, 1, 2, 2), state)
    assert len(state.slots) == len(causal) == 7


@pytest.mark.parametrize("for_gradients", [False, True])
def test_still_convolutions_are_causal_ones_that_ignore_the_past(for_gradients: bool) -> None:
    still, causal = tiny_vae(STILL), tiny_vae(EMBEDDED)
    weights = causal.state_dict()
    for name, weight in still.state_dict().items():
        if weight.shape != weights[name].shape:  # no weight on the two frames before
            weights[name] = torch.cat([torch.zeros_like(weight).repeat(1, 1, 2, 1, 1), weight], dim=2)
        else:
            weights[name] = weight
    causal.load_state_dict(weights)
    latents = torch.randn(1, 4, 3, 2, 2)
    with torch.inference_mode(not for_gradients):
        frames = [vae.decode_raw(latents, vae.new_decoder_state()) for vae in (still, causal)]
    torch.testing.assert_close(*frames)


def test_detached_state_stops_gradients() -> None:
    vae = tiny_vae().requires_grad_(True)
    state = vae.new_decoder_state()
    first = torch.randn(1, 4, 1, 2, 2, requires_grad=True)
    vae.decode_raw(first, state)
    carried, cut = state.clone(), state.detach()
    latent = torch.randn(1, 4, 1, 2, 2)
    vae.decode_raw(latent, carried).sum().backward()
    assert first.grad is not None
    first.grad = None
    vae.decode_raw(latent, cut).sum().backward()
    assert first.grad is None


def test_number_of_frames_that_is_no_group_is_refused() -> None:
    vae = tiny_vae()
    state = vae.new_encoder_state()
    with pytest.raises(ValueError, match=r"expected 1 \+ 4n frames, got 4"):
        vae.encode_frames(torch.zeros(1, 3, 4, 16, 16), state)
    with pytest.raises(ValueError, match="multiples of 16, got 16x24"):
        vae.encode_frames(torch.zeros(1, 3, 1, 16, 24), state)


def test_configuration_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected channels of 4 levels, got \(8, 16, 32\)"):
        replace(EMBEDDED, encoder_channels=(8, 16, 32))


@pytest.mark.parametrize(
    ("ours", "published"),
    [
        ("encoder.down_blocks.3.resnets.1.conv1.conv.weight", "encoder.down.3.block.1.conv1.conv.weight"),
        ("encoder.down_blocks.0.downsamplers.0.conv.conv.bias", "encoder.down.0.downsample.conv.conv.bias"),
        ("decoder.up_blocks.2.upsamplers.0.conv.conv.weight", "decoder.up.2.upsample.conv.conv.weight"),
        ("decoder.mid_block.attentions.0.to_q.weight", "decoder.mid.attn_1.q.weight"),
        ("decoder.mid_block.resnets.1.norm2.gamma", "decoder.mid.block_2.norm2.gamma"),
        ("encoder.norm_out.gamma", "encoder.norm_out.gamma"),
    ],
)
def test_published_name(ours: str, published: str) -> None:
    assert published_key(ours) == published


def test_released_configuration() -> None:
    assert RELEASED_VAE.pixels_per_latent == 16


@pytest.mark.parametrize("past_frames", [0, 2])
def test_surroundings_are_the_same_with_and_without_gradients(past_frames: int) -> None:
    random = torch.Generator().manual_seed(0)
    past = torch.randn(1, 3, past_frames, 4, 5, generator=random)
    x = torch.randn(1, 3, 4, 4, 5, generator=random)
    plain = vae_stream._surround(past, x)
    assert plain.shape == (1, 3, past_frames + 4, 6, 7)
    assert torch.equal(plain, vae_stream._surround_for_gradients(past, x))


def test_only_what_is_shown_is_sharpened() -> None:
    plain, sharp = tiny_vae(), tiny_vae(replace(TINY, sharpen=True))
    latent = torch.randn(1, TINY.latent_channels, 1, 4, 6)
    shown = plain.decode_latent(latent, plain.new_decoder_state())
    assert torch.equal(sharp.decode_latent(latent, sharp.new_decoder_state()), sharpen(shown))
    raw = [vae.decode_raw(latent, vae.new_decoder_state()) for vae in (plain, sharp)]
    assert torch.equal(*raw)
