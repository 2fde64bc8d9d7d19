"""Runs the cases of the streaming autoencoder."""

import torch
from torch import Tensor

from goldens.cases import Case
from goldens.weights import generate
from worldplay.model.config import VAEConfig
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_keys import published_key


def run_vae(case: Case) -> dict[str, Tensor]:
    vae, inputs = _build(case), case.placed
    image_moments = vae.encode_moments(inputs["image"], vae.new_encoder_state())
    clip_moments = vae.encode_moments(inputs["clip"], vae.new_encoder_state())
    clip_mode, clip_logvar = clip_moments.chunk(2, dim=1)
    state = vae.new_decoder_state()
    decoded = [vae.decode_raw(latent, state) for latent in torch.split(inputs["latents"], 1, dim=2)]
    return {
        "image_moments": image_moments,
        "image_mode": image_moments.chunk(2, dim=1)[0],
        "clip_mode": clip_mode,
        "clip_logvar": clip_logvar.clamp(-30, 20),
        "decoded": torch.cat(decoded, dim=2),
    }


def _build(case: Case) -> StreamingVAE:
    values = case.meta["config"]
    channels = tuple(values["block_out_channels"])
    config = VAEConfig(
        pixel_patch=1,
        latent_channels=values["latent_channels"],
        encoder_channels=channels,
        encoder_layers=values["layers_per_block"],
        decoder_channels=channels[::-1],
        decoder_layers=values["layers_per_block"] + 1,
        spatial_compression=2 ** (len(channels) - 1),
        temporal_compression=4,
        scaling_factor=1.03682,
    )
    vae = StreamingVAE(config)
    drawn = {name: generate(published_key(name), tuple(old.shape)) for name, old in vae.state_dict().items()}
    vae.load_state_dict(drawn, strict=True)
    return vae.eval().to(case.place.device, case.place.dtype)
