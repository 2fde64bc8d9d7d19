"""The Triton kernel, run by Triton's interpreter on a CPU, where Triton is installed."""

from importlib.util import find_spec

import pytest

from support.paths import run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed"),
]

COMPARE = """
import torch
import torch.nn.functional as F
from worldplay.model.fused_norm import fused_surround
from worldplay.model.vae_stream import TINY, _surround

last = torch.channels_last_3d
for channels, *size in ((8, 1, 2, 3), (32, 4, 5, 7), (24, 2, 1, 3), (16, 1, 1, 1), (1024, 1, 2, 2)):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 2e-3)):
        x = (300 * torch.randn(1, channels, *size)).to(dtype).contiguous(memory_format=last)
        past = torch.randn(1, channels, 2, *size[1:]).to(dtype).contiguous(memory_format=last)
        gamma = torch.randn(channels, 1, 1, 1).to(dtype)
        normed = F.rms_norm(x.float().movedim(1, -1), (channels,), gamma.float().view(-1), TINY)
        expected = _surround(past, F.silu(normed).movedim(-1, 1).to(dtype))
        torch.testing.assert_close(fused_surround(x, gamma, past), expected, atol=tolerance, rtol=tolerance)
"""


def test_it_computes_what_plain_operations_do() -> None:
    run_python("-c", COMPARE, TRITON_INTERPRET="1")
