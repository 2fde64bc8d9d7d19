"""Measures the decoder on a steady latent: dtypes, norms, layouts, one CUDA graph; and the error of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from gpu.setup import Row, Setup
from worldplay.model import flops, vae_stream
from worldplay.model.attention_choice import FAILURES
from worldplay.model.vae import StreamingVAE, lay_out_channels_last
from worldplay.model.vae_layers import ChannelNorm
from worldplay.model.vae_stream import FeatureCache
from worldplay.world.released.random_weights import fill_randomly

Norm = Callable[[ChannelNorm, Tensor], Tensor]

PAST = 2  # latents decoded before the one that is timed
TINY = 1e-24
LEVELS = 127.5  # the largest number of the float32 picture counts as white


def wide_norm(layer: ChannelNorm, x: Tensor) -> Tensor:
    """Normalise over channels in float32, whose square does not overflow."""
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + TINY)
    normed: Tensor = wide * scale * layer.gamma.float()
    return normed.to(x.dtype)


def whole_silu(x: Tensor, out: Tensor) -> None:
    """Do what the decoder's SiLU does, without writing into a view, at which the compiler would cut."""
    out.copy_(F.silu(x))


def fused_norm(layer: ChannelNorm, x: Tensor) -> Tensor:
    """Normalise over channels in one kernel, which sums in float32."""
    weight = layer.gamma.flatten()
    normed: Tensor = F.rms_norm(x.movedim(1, -1), weight.shape, weight, TINY)
    return normed.movedim(-1, 1)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to decode."""

    name: str
    dtype: torch.dtype
    norm: Norm
    channels_last: bool = True
    times_convolutions: bool = False  # cuDNN takes the fastest, instead of guessing


SERVED: Norm = vae_stream._rms_norm
REFERENCE = Way("float32", torch.float32, SERVED)
WAYS = (
    Way("bf16, as served", torch.bfloat16, SERVED),
    Way("fp16, norms in float32", torch.float16, wide_norm),
    Way("fp16, fused norms", torch.float16, fused_norm),
    Way("bf16, fused norms", torch.bfloat16, fused_norm),
    Way("fp16, fused norms, fastest convolutions", torch.float16, fused_norm, times_convolutions=True),
    Way("fp16, fused norms, channels first", torch.float16, fused_norm, channels_last=False),
)
COMPILED = Way("fp16, norms in float32, compiled", torch.float16, wide_norm)


@torch.inference_mode()
def measure_decode(setup: Setup) -> Iterator[Row]:
    """Time one latent in each way. At the smallest size, also compare with float32, which is slow."""
    compares = setup.size == setup.scale.sizes[-1]
    expected: Tensor | None = None
    for way in [*([REFERENCE] if compares else []), *WAYS]:
        with _in_way(way):
            try:
                decode = _prepare(setup, way)
                row = _time(setup, way.name, decode)
                yield row | _compare(decode(), expected)
                yield from _time_graph(setup, way.name, decode)
            except FAILURES as error:  # another way may still work
                yield {"way": way.name, "failed": str(error).strip()[:300]}
                continue
            if way is REFERENCE:
                expected = decode()


@torch.inference_mode()
def measure_compiled_decode(setup: Setup) -> Iterator[Row]:
    """Time one latent by the whole decoder compiled, which takes long."""
    with _in_way(COMPILED), patch.object(vae_stream, "_silu", whole_silu):
        decode = torch.compile(
            _prepare(setup, COMPILED), dynamic=False, fullgraph=True, backend=setup.scale.compiler
        )
        first_ms = setup.time_ms(decode)
        yield _time(setup, COMPILED.name, decode) | {"first run s": first_ms / 1000}
        yield from _time_graph(setup, COMPILED.name, decode)


def _prepare(setup: Setup, way: Way) -> Callable[[], Tensor]:
    """Build a decoder, and decode the past. Returns: a function that decodes the same latent."""
    vae = _build(setup, way)
    random = torch.Generator().manual_seed(0)
    shape = 1, setup.scale.vae.latent_channels, PAST + 1, *setup.grid
    latents = torch.randn(shape, generator=random).to(setup.device)
    state = vae.new_decoder_state()
    for latent in torch.split(latents[:, :, :PAST], 1, dim=2):
        vae.decode_raw(latent, state)
    past, latent = state.slots, latents[:, :, PAST:]

    def decode() -> Tensor:
        return vae.decode_raw(latent, FeatureCache(list(past)))

    return decode


def _build(setup: Setup, way: Way) -> StreamingVAE:
    with torch.device("meta"):
        vae = StreamingVAE(setup.scale.vae)
    fill_randomly(vae.decoder, setup.device, torch.float32).to(way.dtype)
    if way.channels_last:
        lay_out_channels_last(vae.decoder)
    return vae


@contextmanager
def _in_way(way: Way) -> Iterator[None]:
    surround: Callable[..., Tensor] = vae_stream._surround

    def surround_channels_first(*arguments: object) -> Tensor:
        return surround(*arguments).contiguous()

    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=way.times_convolutions, allow_tf32=False),
        patch.object(vae_stream, "_rms_norm", way.norm),
        patch.object(vae_stream, "_surround", surround if way.channels_last else surround_channels_first),
    ):
        yield


def _time(setup: Setup, name: str, decode: Callable[[], object]) -> Row:
    ms = setup.median_ms(decode)
    rate = flops.decode_latent(setup.scale.vae, setup.grid) / ms * 1000.0
    return {"way": name, "ms a latent": ms, "TFLOP/s": rate / 1e12}


def _time_graph(setup: Setup, name: str, decode: Callable[[], Tensor]) -> Iterator[Row]:
    if setup.device.type == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            decode()
        yield _time(setup, f"{name}, as a graph", graph.replay)


def _compare(got: Tensor, expected: Tensor | None) -> Row:
    """Return how far a picture is from float32's, in levels of 255."""
    if expected is None:
        return {}
    off = (got.float() - expected).abs() * (LEVELS / expected.abs().max())
    relative = (got.float() - expected).norm() / expected.norm()
    return {
        "rms error": relative.item(),
        "rms levels": off.square().mean().sqrt().item(),
        "worst level": off.max().item(),
    }
