import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from goldens.world_cases import build_trajectory
from support.paths import GOLDENS
from worldplay.world.camera import (
    FORWARD_STEP,
    TURN_STEP,
    Motion,
    apply_motion,
    invert_pose,
)
from worldplay.world.context import NUM_POINTS, RADIUS, FieldOfView, sample_points, select_context, similarity

CASES = json.loads((GOLDENS / "manifest.json").read_text())["cases"]
NAMES = sorted(name for name in CASES if name.startswith("memory_"))
POINTS = sample_points(2048, seed=0)
DEFAULT_VIEW = FieldOfView(60, 35)
Golden = tuple[dict[str, Any], dict[str, NDArray[Any]]]  # what it says of itself, and its arrays


@pytest.fixture(scope="module", params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return CASES[request.param]["meta"], load_file(GOLDENS / f"{request.param}.safetensors")


@pytest.mark.parametrize("view", [FieldOfView(60, 35), FieldOfView(105, 75)], ids=["60x35", "105x75"])
def test_similarity_matches_golden(golden: Golden, view: FieldOfView) -> None:
    _, data = golden
    found = [
        similarity(data["in.w2c"][q], data["in.w2c"][[c]], data["in.points_local"], view)[0]
        for q, c in data["in.pairs"]
    ]
    expected = data[f"out.similarity_{view.horizontal_deg}x{view.vertical_deg}"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def mean_distances(
    w2c: NDArray[np.float64], start: int, points: NDArray[np.float32], chunk: int = 4, recent: int = 12
) -> NDArray[np.float64]:
    """Section 11's distance of every candidate chunk, from similarities."""
    candidates = np.arange(chunk, start - recent, chunk)
    pairs = w2c[np.stack([candidates, candidates + chunk // 2], axis=1).flatten()]
    shared = [similarity(query, pairs, points) for query in w2c[start : start + chunk]]
    distances: NDArray[np.float64] = 1 - np.mean(shared, axis=0).reshape(-1, 2).mean(axis=1)
    return distances


def test_distances_match_golden(golden: Golden) -> None:
    meta, data = golden
    for start in meta["detail"]:
        distances = mean_distances(data["in.w2c"], start, data["in.points_local"])
        np.testing.assert_allclose(distances, data[f"out.distance.{start}"], rtol=0, atol=1e-6)


def test_selection_matches_golden(golden: Golden) -> None:
    meta, data = golden
    for start in meta["chunk_starts"]:
        selected = select_context(data["in.w2c"], start, data["in.points_local"])
        assert selected == data[f"out.selected.{start}"].tolist(), start


def wrapped(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    return (degrees + 180) % 360 - 180


def angles_of(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Azimuth and elevation of every point, [..., 3], in degrees."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.degrees(np.arctan2(x, z)), np.degrees(np.arctan2(y, np.hypot(x, z)))


def similarity_by_angles(
    relative: NDArray[np.float64], points: NDArray[np.float32], view: FieldOfView
) -> float:
    """Section 11 as it is written, with the angles of every point."""
    local = points.astype(np.float64)
    h, v = view.horizontal_deg / 2, view.vertical_deg / 2
    azimuth, elevation = angles_of(local)
    inside = local[(np.abs(azimuth) < h) & (np.abs(elevation) < v)]
    yaw, pitch = angles_of(relative[:3, 2])
    moved = inside - relative[:3, 3]
    azimuth, elevation = angles_of(moved)
    seen = (np.abs(wrapped(azimuth - yaw)) < h) & (np.abs(wrapped(elevation - pitch)) < v)
    return float(np.mean(seen & (np.linalg.norm(moved, axis=1) < RADIUS)))


def random_poses(count: int, seed: int) -> NDArray[np.float64]:
    """Cameras anywhere nearby, looking anywhere: behind, above and below as well."""
    rng = np.random.default_rng(seed)
    motions = [
        Motion(
            yaw=rng.uniform(-4, 4), pitch=rng.uniform(-2, 2), forward=rng.normal(0, 3), right=rng.normal(0, 3)
        )
        for _ in range(count)
    ]
    return np.stack([apply_motion(np.eye(4), motion) for motion in motions])


@pytest.mark.parametrize("view", [FieldOfView(60, 35), FieldOfView(105, 75), FieldOfView(20, 150)], ids=str)
def test_similarity_is_that_of_the_angles(view: FieldOfView) -> None:
    c2w = random_poses(400, seed=1)
    expected = [similarity_by_angles(relative, POINTS, view) for relative in c2w]
    found = similarity(np.eye(4), invert_pose(c2w), POINTS, view)
    assert np.count_nonzero(expected) > 40
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_similarity_depends_on_the_relative_camera_only() -> None:
    query, candidate, world = random_poses(3, seed=2)
    here = similarity(invert_pose(query), invert_pose(candidate)[None], POINTS)
    there = similarity(invert_pose(world @ query), invert_pose(world @ candidate)[None], POINTS)
    assert here == pytest.approx(there, abs=1e-9)


def turned(**motion: float) -> NDArray[np.float64]:
    return invert_pose(apply_motion(np.eye(4), Motion(**motion)))[None]


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (turned(), 1),
        (turned(yaw=math.pi), 0),
        (turned(yaw=2 * math.pi), 1),
        (turned(forward=-9), 0),
        (turned(forward=17), 0),
        (turned(forward=-8, yaw=math.pi), 0.25),  # face to face: both halves of the way, 2 * (1 / 2)**3
        (turned(pitch=math.pi / 2), 0),
    ],
)
def test_similarity_of_plain_cases(camera: NDArray[np.float64], expected: float) -> None:
    assert similarity(np.eye(4), camera, POINTS)[0] == pytest.approx(expected, abs=0.1)


def test_similarity_ignores_roll() -> None:
    rolled = np.eye(4)
    rolled[:2, :2] = [[0, 1], [-1, 0]]
    assert similarity(np.eye(4), rolled[None], POINTS)[0] == 1


def test_similarity_is_zero_without_a_point_in_the_field() -> None:
    assert similarity(np.eye(4), np.eye(4)[None], np.array([[0, 0, -1]], np.float32)).tolist() == [0]


def test_sample_points_fill_the_ball_evenly() -> None:
    points = sample_points(4096, seed=3)
    radius = np.linalg.norm(points, axis=1)
    assert points.dtype == np.float32
    assert radius.max() <= RADIUS * 1.000001
    assert np.mean(radius < RADIUS / 2) == pytest.approx(1 / 8, abs=0.01)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.05)


def test_sample_points_are_the_seeds() -> None:
    np.testing.assert_array_equal(sample_points(64, seed=5), sample_points(64, seed=5))
    assert not np.array_equal(sample_points(64, seed=5), sample_points(64, seed=6))


def test_shipped_points_are_accurate() -> None:
    dense = np.random.default_rng(0).uniform(-RADIUS, RADIUS, (400_000, 3)).astype(np.float32)
    dense = dense[np.linalg.norm(dense, axis=1) < RADIUS]
    w2c = invert_pose(random_poses(200, seed=4))
    errors = similarity(np.eye(4), w2c, sample_points(NUM_POINTS, seed=0)) - similarity(np.eye(4), w2c, dense)
    assert np.sqrt(np.mean(errors**2)) < 0.01


def court_walk(count: int, seed: int, half: float = 3.0) -> NDArray[np.float64]:
    """A visitor's w2c in a walled court: some keys for a while, then others."""
    rng = np.random.default_rng(seed)
    c2w = [np.eye(4)]
    while len(c2w) < count:
        keys = rng.choice([-1, 0, 1], 4, p=[0.2, 0.4, 0.4])
        motion = Motion(
            FORWARD_STEP * keys[0], FORWARD_STEP * keys[1], TURN_STEP * keys[2], TURN_STEP * keys[3] / 9
        )
        for _ in range(rng.integers(2, 24)):
            moved = apply_motion(c2w[-1], motion)
            moved[:3, 3] = np.clip(moved[:3, 3], -half, half)
            c2w.append(moved)
    return invert_pose(np.stack(c2w[:count]))


def select_by_distance(
    w2c: NDArray[np.float64],
    start: int,
    points: NDArray[np.float32],
    memory: int,
    recent: int,
    chunk: int,
    first: int | None = None,
) -> list[int]:
    """Section 11 word for word, but perhaps with fewer of the first chunk's latents."""
    distances = mean_distances(w2c, start, points, chunk, recent).round(9)
    starts, listed = np.arange(chunk, start - recent, chunk), list(range(first or chunk))
    for best in np.argsort(distances, kind="stable"):
        if len(listed) >= memory - recent:
            break
        listed += range(starts[best], starts[best] + chunk)
    return sorted({*listed, *range(start - recent, start)})


@pytest.mark.parametrize("half", [0.0, 3.0, 40.0], ids=["turning on the spot", "court", "open"])
@pytest.mark.parametrize(
    ("memory", "recent", "chunk", "first"),
    [
        (20, 12, 4, None),
        (16, 4, 4, None),
        (8, 4, 4, None),
        (12, 4, 2, None),
        (18, 12, 4, None),
        (10, 4, 4, 2),
        (17, 8, 4, 1),
    ],
)
def test_selection_is_that_of_all_distances(
    half: float, memory: int, recent: int, chunk: int, first: int | None
) -> None:
    w2c = court_walk(400, seed=memory, half=half)
    for start in range(memory + chunk, 396, 104):
        expected = select_by_distance(w2c, start, POINTS, memory, recent, chunk, first)
        sizes = {"memory_latents": memory, "recent_latents": recent, "chunk_latents": chunk}
        assert select_context(w2c, start, POINTS, first_latents=first, **sizes) == expected


def test_short_past_is_taken_whole() -> None:
    assert select_context(court_walk(24, 0), 20, POINTS) == list(range(20))


def test_no_past_gives_no_context() -> None:
    assert select_context(court_walk(4, 0), 0, POINTS) == []


def test_standing_still_takes_the_oldest_chunk() -> None:
    still = np.tile(np.eye(4), (104, 1, 1))
    assert select_context(still, 100, POINTS) == [*range(8), *range(88, 100)]


def test_room_for_the_first_chunk_only_takes_no_other() -> None:
    assert select_context(court_walk(44, 0), 40, POINTS, memory_latents=8, recent_latents=4) == [
        0,
        1,
        2,
        3,
        36,
        37,
        38,
        39,
    ]


def test_context_may_have_fewer_than_the_first_chunk() -> None:
    first, second, *retrieved, a, b, c, d = select_context(
        court_walk(44, 0), 40, POINTS, memory_latents=10, first_latents=2, recent_latents=4
    )
    assert [first, second, a, b, c, d] == [0, 1, 36, 37, 38, 39]
    assert retrieved == list(range(retrieved[0], retrieved[0] + 4))
    assert retrieved[0] % 4 == 0


def test_poses_that_end_inside_the_chunk_are_enough() -> None:
    w2c = court_walk(101, 1)
    assert select_context(w2c, 100, POINTS) == select_by_distance(w2c, 100, POINTS, 20, 12, 4)


def test_missing_poses_of_the_chunk_are_refused() -> None:
    with pytest.raises(ValueError, match="expected poses of the chunk that starts at 40, got 40 poses"):
        select_context(court_walk(40, 0), 40, POINTS)


def test_after_a_full_turn_the_chunk_that_looked_this_way_is_found() -> None:
    w2c = invert_pose(build_trajectory([Motion(yaw=TURN_STEP)] * 163))  # 120 latents a turn
    assert select_context(w2c, 160, POINTS) == [*range(4), *range(40, 44), *range(148, 160)]
