import pytest
import torch

from worldplay.model.attention import MATMUL, SDPA, attend


def make_qkv() -> torch.Tensor:
    return torch.randn(3, 2, 3, 5, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backend", [SDPA, MATMUL, "native"])
def test_every_backend_computes_softmax_attention(backend: str) -> None:
    q, k, v = make_qkv()
    expected = torch.softmax(torch.einsum("bnqd,bnkd->bnqk", q, k) / 8**0.5, dim=-1) @ v
    torch.testing.assert_close(attend(q, k, v, backend), expected, atol=1e-6, rtol=1e-5)


def test_masked_pairs_are_not_seen() -> None:
    q, k, v = make_qkv()
    mask = torch.tensor([True, True, False, False, False]).expand(2, 1, 5, 5)
    seen = attend(q, k[:, :, :2], v[:, :, :2])
    torch.testing.assert_close(attend(q, k, v, mask=mask), seen)


def test_unknown_backend_is_refused() -> None:
    q, k, v = make_qkv()
    with pytest.raises(ValueError, match="telepathy"):
        attend(q, k, v, "telepathy")


@torch.inference_mode()
@pytest.mark.parametrize("length", [5, 32, 33])
def test_products_in_bf16_see_no_more_keys_than_there_are(length: int) -> None:
    q, k, v = torch.randn(3, 1, 2, 40, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    k[:, :, length:], v[:, :, length:] = torch.inf, torch.nan  # what lies behind them in a cache
    part = slice(None), slice(None), slice(length)
    expected = attend(q.float(), k[part].float(), v[part].float(), SDPA)
    got = attend(q, k[part], v[part], MATMUL)
    torch.testing.assert_close(got.float(), expected, atol=2e-2, rtol=2e-2)
