"""Measures the model's linear layers in 8 bits (torch._scaled_mm, a scale for each row) against bf16."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gpu.setup import Row, Setup
from worldplay.model.attention_choice import FAILURES
from worldplay.model.config import CHUNK_LATENTS, TransformerConfig
from worldplay.wording import describe_error
from worldplay.world.tiers import find_rounding_problem

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max
_LACKS = ("would only emulate them", "has no units for them")  # ends of sentences of `find_rounding_problem`


@torch.inference_mode()
def measure_linears(setup: Setup) -> Iterator[Row]:
    """Time each layer of a block at the tokens of a step and of a context pass, at every size."""
    for size in setup.scale.sizes:
        tokens = Setup(setup.scale, size, setup.device).tokens
        for kind, latents in (("step", CHUNK_LATENTS), ("context", setup.most_context)):
            for layer, (inputs, outputs) in layers(setup.scale.transformer).items():
                row: Row = {"size": f"{size[0]}x{size[1]}", "pass": kind, "layer": layer}
                yield row | _compare(setup, latents * tokens, inputs, outputs)


def layers(config: TransformerConfig) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a block's linear layers."""
    hidden, wide = config.hidden, int(config.hidden * config.mlp_ratio)
    return {
        "q, k, v": (hidden, 3 * hidden),
        "output": (2 * hidden, hidden),
        "MLP up": (hidden, wide),
        "MLP down": (wide, hidden),
    }


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round rows to 8 bits. Returns: the numbers, and what each row is multiplied with, [rows, 1]."""
    scale = x.abs().amax(dim=-1, keepdim=True).float().clamp_min(1e-12) / LARGEST
    return (x.float() / scale).clamp(-LARGEST, LARGEST).to(FP8), scale


def multiply(x: tuple[Tensor, Tensor], weight: tuple[Tensor, Tensor]) -> Tensor:
    """Multiply rows that were rounded with the rows of a rounded weight."""
    return torch._scaled_mm(
        x[0],
        weight[0].t(),
        scale_a=x[1],
        scale_b=weight[1].t(),
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )


def is_lack(problem: str) -> bool:
    """Return whether a problem of rounding is that the device has no units for 8 bits."""
    return problem.endswith(_LACKS)


def name_failure(device: torch.device) -> str:
    """Return under which name a row tells that 8-bit products fail: they must work if there are units."""
    return "unsupported" if is_lack(find_rounding_problem(device) or "") else "failed"


def _compare(setup: Setup, rows: int, inputs: int, outputs: int) -> Row:
    x = torch.randn(rows, inputs, device=setup.device).bfloat16()
    weight = (torch.randn(outputs, inputs, device=setup.device) * inputs**-0.5).bfloat16()
    tflop = 2.0 * rows * inputs * outputs / 1e12
    ms = setup.median_ms(partial(F.linear, x, weight))
    row: Row = {"shape": f"{rows} x {inputs} x {outputs}", "bf16 ms": ms, "bf16 TFLOP/s": 1000 * tflop / ms}
    try:
        small, small_weight = quantise(x), quantise(weight)
        expected = F.linear(x, weight).float()
        off = (multiply(small, small_weight).float() - expected).norm() / expected.norm()
        fp8_ms = setup.median_ms(partial(multiply, small, small_weight))
    except FAILURES as error:  # the device may lack units for it
        return row | {name_failure(setup.device): describe_error(error)}
    rounding_ms = setup.median_ms(partial(quantise, x))
    row |= {"fp8 ms": fp8_ms, "fp8 TFLOP/s": 1000 * tflop / fp8_ms, "rounding ms, not fused": rounding_ms}
    return row | {"times as fast": ms / fp8_ms, "fp8 error": off.item()}
