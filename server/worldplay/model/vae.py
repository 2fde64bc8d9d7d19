"""The streaming video autoencoder: frames to latents and back, piece by piece."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model import vae_on_cpu, vae_stream
from worldplay.model.config import VAEConfig
from worldplay.model.graphs import Graphs
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.shock_filter import sharpen, sharpen_luma
from worldplay.model.tiny_decoder import REACH, TinyDecoder
from worldplay.model.vae_layers import Decoder, Encoder
from worldplay.model.vae_planes import Planes, PlanesHead
from worldplay.model.vae_steady import SteadyDecoder
from worldplay.model.vae_stream import FeatureCache, Prepare

EncoderState = FeatureCache
DecoderState = FeatureCache


class StreamingVAE(nn.Module):
    """diffusers' AutoencoderKLHunyuanVideo15 as a stream, with its parameter names.

    A feature cache carries the past. So a video of any length can be processed in pieces, with the same
    result as at once.
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self._ranks: Ranks = ALONE
        self._prepare: Prepare | None = None
        self._steady: SteadyDecoder | None = None
        self._tiny: TinyDecoder | None = None
        self._planes: PlanesHead | None = None
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def new_encoder_state(self) -> EncoderState:
        return EncoderState()

    def new_decoder_state(self) -> DecoderState:
        return self._ranks.share_state(DecoderState())

    def use_ranks(self, ranks: Ranks) -> None:
        """Decode by several ranks. States must be made after this."""
        self._ranks = ranks

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode a still image.

        Args:
            pixels: [B, 3, 1, H, W] in [-1, 1].
        Returns: [B, C, 1, h, w]; the mode of the distribution, scaled.
        """
        return self.encode_frames(pixels, self.new_encoder_state())

    def encode_frames(self, pixels: Tensor, state: EncoderState) -> Tensor:
        """Encode the next frames of a video.

        Args:
            pixels: [B, 3, F, H, W] in [-1, 1]; F = 1 + 4n for a new state, 4n for a used one.
            state: the past of the video; updated.
        Returns: [B, C, T, h, w]; the mode of the distribution, scaled.
        Raises: ValueError for another number of frames or a size that is no multiple of pixels_per_latent.
        """
        mean, _ = self.encode_moments(pixels, state).chunk(2, dim=1)
        return mean * self.config.scaling_factor

    def encode_moments(self, pixels: Tensor, state: EncoderState) -> Tensor:
        """Encode as encode_frames, to mean and log-variance [B, 2C, T, h, w], not scaled."""
        side = self.config.shrink
        seen = pixels if side == 1 else F.avg_pool3d(pixels, (1, side, side))
        return self.encode_shrunk(seen, state)

    def encode_shrunk(self, pixels: Tensor, state: EncoderState) -> Tensor:
        """Encode as encode_moments, but from pixels [B, 3, F, H, W] in the encoder's own size."""
        self._check_frames(pixels, state)
        p = self.config.pixel_patch
        x = rearrange(pixels, "b c t (h p) (w q) -> b (c p q) t h w", p=p, q=p).to(
            self.encoder.conv_in.conv.weight
        )
        moments = [vae_stream.encode(self.encoder, piece, state) for piece in _pieces(x, state)]
        return torch.cat(moments, dim=2)

    def decode_latent(self, latent: Tensor, state: DecoderState, *, still: bool = False) -> Tensor:
        """Decode the next latent (or latents) of a video.

        Args:
            latent: [B, C, T, h, w], scaled.
            state: the past of the video; updated.
            still: show the mean of all frames in place of each.
        Returns: [B, 3, F, H, W] in [-1, 1]; the first latent of a video gives 1 frame, every other 4.
        """
        if self._tiny is not None:
            pixels = self._tiny.decode(latent, state)
        else:
            pixels = self._decode_clamped(latent, state)
        num_frames = pixels.shape[2]
        if still:
            pixels = pixels.mean(dim=2, keepdim=True, dtype=torch.float32)
        if self.config.sharpen and self._tiny is None:
            pixels = pixels.float()
            sharpen(pixels, out=pixels)
        return pixels.expand(-1, -1, num_frames, -1, -1)

    def decode_planes(self, latent: Tensor, state: DecoderState, *, still: bool = False) -> Planes:
        """Decode as decode_latent, one latent, [1, C, 1, h, w], to what a video encoder takes.

        A pixel whose colours are out of range differs a little: luma and chroma are clamped instead.
        """
        assert self._planes is not None, "the weights were not prepared for planes"
        z = self._unscale(latent)
        x = vae_stream.decode(self.decoder, z, state, head=self._planes.layer)
        num_frames = x.shape[2]
        if still:  # channels stay last
            x = x.movedim(1, -1).mean(dim=1, keepdim=True, dtype=torch.float32).movedim(-1, 1)
        luma, chroma = self._planes.unfold(x)
        if self.config.sharpen:
            sharpen_luma(luma)
        return Planes(luma.expand(-1, num_frames, -1, -1), chroma.expand(-1, -1, num_frames, -1, -1))

    def _decode_clamped(self, latent: Tensor, state: DecoderState) -> Tensor:
        if self._steady is None or state.is_empty or latent.shape[2] > 1 or torch.is_grad_enabled():
            return self.decode_raw(latent / self.config.scaling_factor, state).clamp_(-1, 1)
        return self._steady.decode(latent, state)

    def decode_raw(self, latent: Tensor, state: DecoderState) -> Tensor:
        """Decode as decode_latent, but from latents that are not scaled, and without clamping."""
        with self._ranks.together("decode_raw", latent, state):
            z = latent.to(self.decoder.conv_in.conv.weight)
            pieces = _pieces(z, state)
            frames = [
                vae_stream.decode(self.decoder, piece, state, self._ranks, self._prepare) for piece in pieces
            ]
            return self._unfold(frames[0] if len(frames) == 1 else torch.cat(frames, dim=2))

    def use_tiny_decoder(self, decoder: TinyDecoder) -> None:
        """Decode latents by another network. States must be made after this."""
        self._tiny = decoder

    @property
    def makes_planes(self) -> bool:
        """Return whether there is `decode_planes`."""
        return self._planes is not None and self._tiny is None

    def use_planes(self) -> None:
        """Prepare the weights as they are for `decode_planes`, on a CPU and one rank."""
        self._planes = PlanesHead(self.decoder.conv_out, self.config.pixel_patch)

    def use_prepare(self, prepare: Prepare | None) -> None:
        """Make the inputs of the decoder's convolutions in one kernel; None: plain operations do."""
        self._prepare = prepare

    def use_graphs(self, graphs: Graphs | None) -> None:
        """Record how single latents are decoded, and replay that; None: launch every operation anew."""
        self._steady = None if graphs is None else SteadyDecoder(graphs, self._decode_in_place)

    def _decode_in_place(self, latent: Tensor, state: DecoderState) -> Tensor:
        """Decode a latent in the middle of a stream, and write over the tensors of its past."""
        z = self._unscale(latent)
        x = vae_stream.decode(self.decoder, z, state, prepare=self._prepare, in_place=True)
        return self._unfold(x).clamp(-1, 1)

    def _unscale(self, latents: Tensor) -> Tensor:
        return (latents / self.config.scaling_factor).to(self.decoder.conv_in.conv.weight)

    def _unfold(self, x: Tensor) -> Tensor:
        p = self.config.pixel_patch
        if x.device.type == "cpu":
            return vae_on_cpu.unfold_patches(x, p)
        return rearrange(x, "b (c p q) t h w -> b c t (h p) (w q)", p=p, q=p)

    @property
    def decoder_reach(self) -> int:
        """Return how many past latents the decoder's next frames depend on."""
        return vae_stream.reaches(self.decoder)[0]

    def decoder_state_after(self, latents: Tensor) -> DecoderState:
        """Make the state of a decoder that has decoded a video up to its latest latents.

        A level needs fewer latents the nearer it is to the pixels, so this is much faster than decoding.

        Args:
            latents: [B, C, T, h, w], scaled: the video's last `decoder_reach`, or all if there are fewer.
        """
        state = self.new_decoder_state()
        if self._tiny is not None:
            self._tiny.decode(latents[:, :, -REACH:], state)
        else:
            self.catch_up(latents, state)
        return state

    def catch_up(self, latents: Tensor, state: DecoderState) -> None:
        """Fill a new state as `decoder_state_after` says."""
        reaches = vae_stream.reaches(self.decoder)
        with self._ranks.together("catch_up", latents, state):
            z = self._unscale(latents)
            for left, latent in zip(range(z.shape[2], 0, -1), z.split(1, dim=2), strict=True):
                num_levels = sum(reach >= left for reach in reaches[1:-1])
                if left <= reaches[-1]:
                    vae_stream.decode(self.decoder, latent, state, self._ranks)
                else:
                    vae_stream.remember(self.decoder, latent, state, num_levels, self._ranks)

    def _check_frames(self, pixels: Tensor, state: EncoderState) -> None:
        _, _, frames, height, width = pixels.shape
        extra = 1 if state.is_empty else 0
        if frames < extra or (frames - extra) % self.config.temporal_compression:
            raise ValueError(f"expected {'1 + 4n' if extra else '4n'} frames, got {frames}")
        side = self.config.pixel_patch * self.config.spatial_compression
        if height % side or width % side:
            raise ValueError(f"expected height and width in multiples of {side}, got {height}x{width}")


def _pieces(x: Tensor, state: FeatureCache) -> tuple[Tensor, ...]:
    """Split off the first frame of a stream, which must go through alone."""
    if state.is_empty and x.shape[2] > 1:
        return x[:, :, :1], x[:, :, 1:]
    return (x,)


def lay_out_channels_last(module: nn.Module) -> None:
    """Store convolution weights channels-last, so that they need not be reordered at every call."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])
