import pytest
import torch

from worldplay.model.attention import EIGHT_BITS, attend
from worldplay.model.eight_bit_attention import KEY_BLOCK, round_blocks


def make_qkv(num_tokens: int = 300) -> torch.Tensor:
    return torch.randn(3, 1, 2, num_tokens, 64, generator=torch.Generator().manual_seed(0))


def error_of(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> float:
    expected = attend(q, k, v)
    return float((attend(q, k, v, EIGHT_BITS) - expected).norm() / expected.norm())


def test_error_is_small_and_not_none() -> None:
    assert 0.005 < error_of(*make_qkv()) < 0.04


def test_a_common_offset_of_all_keys_costs_nothing() -> None:
    q, k, v = make_qkv()
    offset = 20 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    assert error_of(q, k + offset, v) == pytest.approx(error_of(q, k, v), rel=0.05)


def test_a_loud_channel_of_values_costs_the_others_nothing() -> None:
    q, k, v = make_qkv()
    loud = v.clone()
    loud[..., 0] *= 1000
    quiet = attend(q, k, v, EIGHT_BITS)[..., 1:]
    torch.testing.assert_close(attend(q, k, loud, EIGHT_BITS)[..., 1:], quiet)


def test_blocks_of_keys_have_scales_of_their_own() -> None:
    """So context that was rounded once keeps its numbers when a chunk's own keys follow it."""
    _, k, _ = make_qkv(2 * KEY_BLOCK)
    longer = torch.cat([k, 100 * k], dim=2)
    assert torch.equal(round_blocks(longer, KEY_BLOCK)[:, :, : 2 * KEY_BLOCK], round_blocks(k, KEY_BLOCK))


def test_result_has_the_dtype_of_the_queries() -> None:
    q, k, v = make_qkv().bfloat16()
    assert attend(q, k, v, EIGHT_BITS).dtype == torch.bfloat16
