import torch

from worldplay.model.rope import rope_table, rotate


def test_rope_table_starts_at_the_given_time() -> None:
    whole = rope_table((4, 6, 6), (5, 2, 3), 256.0)
    assert torch.equal(rope_table((4, 6, 6), (2, 2, 3), 256.0, start=3), whole[3:])


def test_rope_table_orders_tokens_by_row_then_column() -> None:
    angles = rope_table((2, 2, 2), (1, 2, 3), 256.0).angle()
    assert angles[0, :, 1].tolist() == [0, 0, 0, 1, 1, 1]
    assert angles[0, :, 2].tolist() == [0, 1, 2, 0, 1, 2]


def test_rotate_turns_interleaved_pairs() -> None:
    quarter = torch.full((1, 1, 2), 1j, dtype=torch.complex64)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 1, 4)
    assert rotate(x, quarter).flatten().tolist() == [-2.0, 1.0, -4.0, 3.0]


def test_rotated_scores_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    scores = [
        (
            rotate(q, rope_table((4, 6, 6), (1, 1, 1), 256.0, start))
            * rotate(k, rope_table((4, 6, 6), (1, 1, 1), 256.0, start + 3))
        ).sum()
        for start in (0, 17)
    ]
    torch.testing.assert_close(scores[0], scores[1])
