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
