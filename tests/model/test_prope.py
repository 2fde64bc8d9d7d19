import math

import torch

from worldplay.model.prope import prepare_cameras


def make_viewmats() -> torch.Tensor:
    """Two cameras, the second turned and moved: [1, 2, 4, 4]."""
    viewmats = torch.eye(4, dtype=torch.float64).repeat(1, 2, 1, 1)
    c, s = math.cos(0.3), math.sin(0.3)
    moved = [[c, 0, s, 1.0], [0, 1, 0, 2], [-s, 0, c, 3], [0, 0, 0, 1]]
    viewmats[0, 1] = torch.tensor(moved, dtype=torch.float64)
    return viewmats


INTRINSICS = torch.tensor([[0.5, 0, 0.7], [0, 0.9, 0.2], [0, 0, 1]], dtype=torch.float64).repeat(1, 2, 1, 1)


def test_query_and_key_matrices_are_inverse() -> None:
    cameras = prepare_cameras(make_viewmats(), INTRINSICS, 8, torch.float64)
    product = cameras.key_value @ cameras.query.mT
    torch.testing.assert_close(product.mT, torch.eye(8, dtype=torch.float64).expand(1, 2, 8, 8))


def test_transform_applies_the_projection_to_each_group_of_four() -> None:
    viewmats = make_viewmats()
    cameras = prepare_cameras(viewmats, INTRINSICS, 8, torch.float64)
    x = torch.arange(8.0, dtype=torch.float64)
    projection = torch.diag(torch.tensor([0.5, 0.9, 1, 1], dtype=torch.float64)) @ viewmats[0, 1]
    expected = torch.cat([projection @ x[:4], projection @ x[4:]])
    torch.testing.assert_close(x @ cameras.output[0, 1], expected)


def test_scores_see_relative_cameras_only() -> None:
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    world = make_viewmats()[:, 1:]
    scores = []
    for viewmats in (make_viewmats(), make_viewmats() @ world):
        cameras = prepare_cameras(viewmats, INTRINSICS, 8, torch.float64)
        scores.append(((q @ cameras.query[0, 0]) * (k @ cameras.key_value[0, 1])).sum())
    torch.testing.assert_close(scores[0], scores[1])


def test_principal_point_is_ignored() -> None:
    centred = INTRINSICS.clone()
    centred[..., :2, 2] = 0.5
    a, b = (prepare_cameras(make_viewmats(), k, 4, torch.float32) for k in (INTRINSICS, centred))
    assert torch.equal(a.query, b.query)
