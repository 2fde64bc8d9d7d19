import torch

from worldplay.model.rope import rotation_table, swap_pairs


def rotate(x: torch.Tensor, start: int) -> torch.Tensor:
    cos, sin = rotation_table((4, 6, 6), (1, 1, 1), 256.0, start)
    return x * cos + swap_pairs(x) * sin


def test_table_starts_at_the_given_time() -> None:
    whole = rotation_table((4, 6, 6), (5, 2, 3), 256.0)
    later = rotation_table((4, 6, 6), (2, 2, 3), 256.0, start=3)
    assert torch.equal(later.cos, whole.cos[3:])
    assert torch.equal(later.sin, whole.sin[3:])


def test_table_orders_tokens_by_row_then_column() -> None:
    cos, sin = rotation_table((2, 2, 2), (1, 2, 3), 256.0)
    angles = torch.atan2(sin, cos)[0, :, 0].round(decimals=5)
    assert angles[:, 2].tolist() == angles[:, 3].tolist() == [0, 0, 0, 1, 1, 1]
    assert angles[:, 4].tolist() == angles[:, 5].tolist() == [0, 1, 2, 0, 1, 2]


def test_interleaved_pairs_are_swapped() -> None:
    assert swap_pairs(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [-2.0, 1.0, -4.0, 3.0]


def test_rotated_scores_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    scores = [(rotate(q, start) * rotate(k, start + 3)).sum() for start in (0, 17)]
    torch.testing.assert_close(scores[0], scores[1])
