import pytest
import torch

from worldplay.model.attention import EIGHT_BITS, attend
from worldplay.model.eight_bit_attention import (
    KEY_BLOCK,
    attend_in_eight_bits,
    round_blocks,
    round_tokens,
)


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
    first = round_blocks(longer, KEY_BLOCK).widen()[:, :, : 2 * KEY_BLOCK]
    assert torch.equal(first, round_blocks(k, KEY_BLOCK).widen())


def test_result_has_the_dtype_of_the_queries() -> None:
    q, k, v = make_qkv().bfloat16()
    assert attend(q, k, v, EIGHT_BITS).dtype == torch.bfloat16


def test_tokens_that_were_rounded_before_have_the_same_error() -> None:
    q, k, v = make_qkv()
    expected = attend(q, k, v)
    before = round_tokens(k[:, :, :200], v[:, :, :200])
    got = attend_in_eight_bits(q, k, v, before)
    assert (got - expected).norm() / expected.norm() == pytest.approx(error_of(q, k, v), rel=0.05)
    again = torch.cat([torch.zeros_like(k[:, :, :200]), k[:, :, 200:]], dim=2)  # what is rounded is not read
    assert torch.equal(attend_in_eight_bits(q, again, v, before), got)
