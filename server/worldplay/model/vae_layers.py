"""The layers of the published video autoencoder, as holders of their parameters. vae_stream.py computes them.

Names and shapes are those of diffusers' AutoencoderKLHunyuanVideo15. Importing diffusers' own classes takes
two seconds, because they come with all its other autoencoders.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import nn

from worldplay.model.config import PAST_FRAMES, VAEConfig

Layer = TypeVar("Layer", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Layer]):
    """Layers of one kind, one after the other."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        super().__init__(layers)

    def __iter__(self) -> Iterator[Layer]:
        return cast("Iterator[Layer]", super().__iter__())


class CausalConv(nn.Module):
    """A 3-D convolution that sees each frame with the two before it, or each frame by itself."""

    def __init__(self, channels: int, out_channels: int, *, still: bool = False) -> None:
        super().__init__()
        self.is_still = still
        self.conv = nn.Conv3d(channels, out_channels, (1 if still else 1 + PAST_FRAMES, 3, 3))


class ChannelNorm(nn.Module):
    """A norm over channels: the vector of each position gets the length of `gamma`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))


class Residual(nn.Module):
    """Two norms, each with a convolution behind it, and a shortcut around them."""

    def __init__(self, channels: int, *, still: bool = False) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = CausalConv(channels, channels, still=still)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = CausalConv(channels, channels, still=still)


class PositionAttention(nn.Module):
    """Attention over the positions of a latent."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.to_q = nn.Conv3d(channels, channels, kernel_size=1)
        self.to_k = nn.Conv3d(channels, channels, kernel_size=1)
        self.to_v = nn.Conv3d(channels, channels, kernel_size=1)
        self.proj_out = nn.Conv3d(channels, channels, kernel_size=1)


class Middle(nn.Module):
    """What encoder and decoder do at the size of latents."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = Residual(channels)
        self.attentions = Layers([PositionAttention(channels)])
        self.resnets = Layers([first, Residual(channels)])


class Downsample(nn.Module):
    """Halves height and width and, if wanted, the number of frames."""

    def __init__(self, channels: int, out_channels: int, *, in_time: bool) -> None:
        super().__init__()
        factor = 8 if in_time else 4
        self.conv = CausalConv(channels, out_channels // factor)
        self.add_temporal_downsample = in_time
        self.group_size = factor * channels // out_channels


class Upsample(nn.Module):
    """Doubles height and width and, if wanted, the number of frames."""

    def __init__(self, channels: int, out_channels: int, *, in_time: bool, still: bool) -> None:
        super().__init__()
        factor = 8 if in_time else 4
        self.conv = CausalConv(channels, out_channels * factor, still=still)
        self.add_temporal_upsample = in_time
        self.repeats = factor * out_channels // channels


class DownLevel(nn.Module):
    """The layers of the encoder at one size."""

    def __init__(self, num_layers: int, channels: int, next_channels: int | None, *, in_time: bool) -> None:
        """Args: next_channels: of the next level, which is smaller; None: its size stays the same."""
        super().__init__()
        self.resnets = Layers([Residual(channels) for _ in range(num_layers)])
        self.downsamplers = (
            None if next_channels is None else Layers([Downsample(channels, next_channels, in_time=in_time)])
        )


class UpLevel(nn.Module):
    """The layers of the decoder at one size."""

    def __init__(self, config: VAEConfig, level: int) -> None:
        super().__init__()
        channels = config.decoder_channels
        residuals = (
            Residual(channels[level], still=config.still and level > 0) for _ in range(config.decoder_layers)
        )
        self.resnets = Layers(residuals)
        self.upsamplers: Layers[Upsample] | None = None
        if level + 1 < len(channels):
            in_time = 2**level < config.temporal_compression
            upsample = Upsample(channels[level], channels[level + 1], in_time=in_time, still=config.still)
            self.upsamplers = Layers([upsample])


class Encoder(nn.Module):
    """From frames to latents: their means and variances."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        channels = config.encoder_channels
        in_time_from = config.spatial_compression // config.temporal_compression
        self.group_size = channels[-1] // (2 * config.latent_channels)
        self.conv_in = CausalConv(3 * config.pixel_patch**2, channels[0])
        self.down_blocks = Layers(
            DownLevel(config.encoder_layers, here, following, in_time=2**level >= in_time_from)
            for level, (here, following) in enumerate(zip(channels, (*channels[1:], None), strict=True))
        )
        self.mid_block = Middle(channels[-1])
        self.norm_out = ChannelNorm(channels[-1])
        self.conv_out = CausalConv(channels[-1], 2 * config.latent_channels)


class Decoder(nn.Module):
    """From latents to frames."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.repeat = channels[0] // config.latent_channels
        self.conv_in = CausalConv(config.latent_channels, channels[0])
        self.mid_block = Middle(channels[0])
        self.up_blocks = Layers(UpLevel(config, level) for level in range(len(channels)))
        self.norm_out = ChannelNorm(channels[-1])
        self.conv_out = CausalConv(channels[-1], 3 * config.pixel_patch**2, still=config.still)
