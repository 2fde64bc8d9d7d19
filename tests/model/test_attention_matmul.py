"""The plain-product backend gives what SDPA gives."""

import torch

from worldplay.model.attention import MATMUL, attend


def test_matmul_attention_equals_sdpa():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 5, 8, generator=generator)
    k, v = torch.randn(2, 2, 3, 7, 8, generator=generator)
    torch.testing.assert_close(attend(q, k, v, MATMUL), attend(q, k, v), atol=1e-6, rtol=1e-5)
