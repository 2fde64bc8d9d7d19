"""Context memory: selects the past latents that see most of what the next chunk will see.

Time of one selection after an hour's walk of 21 600 latents, on one thread of a 2-core server CPU (AVX-512):
15 ms (at most 26) in a court of 6 x 6 units, 29 ms turning on the spot, 5 ms on a road that never turns
back, and 45 ms in the worst case found (a court seen from outside after an hour in it, where few candidates
can be dropped early).

With NUM_POINTS the error of a similarity is 0.008 (root mean square, compared with 4 million points; at most
0.031), as with 50 000 independent points (0.008, at most 0.024).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray

from worldplay.world.camera import invert_pose

Array = NDArray[np.float64]
Points = NDArray[np.float32]

RADIUS = 8.0  # units; how far a camera sees
NUM_POINTS = 8192
POINTS_SEED = 0

# These sizes are the fastest, because the arrays stay in the processor's cache.
_SLICE = 64  # points at once; candidates are dropped between slices. At most 255: counts are bytes
_BLOCK = 512  # cameras at once
_LEADERS = 8  # extra candidates that are counted in full first, for a bound on the others


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """A camera's field of view by its full angles, each below 180 degrees."""

    horizontal_deg: float
    vertical_deg: float

    @property
    def tan_horizontal(self) -> float:
        return math.tan(math.radians(self.horizontal_deg) / 2)

    @property
    def tan_vertical(self) -> float:
        return math.tan(math.radians(self.vertical_deg) / 2)


SELECTION_FIELD = FieldOfView(60, 35)
# Radius of a ball that is centred on a camera's axis, touches the camera and contains all it sees: 4 / cos
# of the widest angle between the axis and a corner. That cosine is cos v - cos e cos p (1 - cos h), where
# h and v are the half angles of the field, e is the elevation of the corner, p that of the axis, and
# |e - p| = v. Since cos e cos p is at most (1 + cos v) / 2, the cosine is at least 0.8228.
_REACH = 4.862


def sample_points(num: int, seed: int) -> Points:
    """Spread points evenly in a ball of radius 8 around the camera: [num, 3] float32.

    The points are a scrambled Sobol sequence instead of independent draws. It is uniform, too, but needs only
    a sixth of the points for the same error of a similarity.
    """
    sobol = torch.quasirandom.SobolEngine(3, scramble=True, seed=seed)
    u = sobol.draw(num, dtype=torch.float64).numpy()
    radius, cos, phi = RADIUS * np.cbrt(u[:, 0]), 1 - 2 * u[:, 2], 2 * math.pi * u[:, 1]
    sin = np.sqrt(1 - cos * cos)
    return (radius[:, None] * np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1)).astype(
        np.float32
    )


def similarity(
    query_w2c: Array, candidate_w2c: Array, points: Points, field: FieldOfView = SELECTION_FIELD
) -> Array:
    """Compute the share of the points seen by one camera that each other camera also sees.

    Args:
        query_w2c: [4, 4]; candidate_w2c: [M, 4, 4].
        points: [N, 3] float32; sample points in a ball of radius 8, camera axes.
    Returns: [M] in 0..1; 0 if no point is in the query's field.
    """
    features = _features(points, field)
    forms = _forms(query_w2c[None], invert_pose(candidate_w2c)[:, None], field)
    return _count_seen(features, forms) / max(len(features), 1)


def select_context(
    w2c: Array,
    start: int,
    points: Points,
    *,
    memory_latents: int = 20,
    first_latents: int | None = None,
    recent_latents: int = 12,
    chunk_latents: int = 4,
) -> list[int]:
    """Choose the past latent frames that see most of what the next chunk will see.

    These are the latest latents, the first ones, and as many of the chunks behind the first chunk as there is
    room for: those whose cameras share most sample points with the next chunk's. Of equal chunks the older is
    chosen.

    Args:
        w2c: [T, 4, 4] float64; world-to-camera, axes and units of camera.py.
        start: first latent frame of the next chunk; w2c[:start] is the past.
        points: [N, 3] float32; sample points in a ball of radius 8, camera axes.
        memory_latents: the most to choose; first_latents of them (None: a chunk, which is the most) are the
            first, and recent_latents the latest.
    Returns: sorted indices, each < start; at most memory_latents if the others fill chunks.
    Raises: ValueError if w2c ends before the chunk.
    Source: WorldPlay (arXiv 2512.14614), reconstituted context memory.
    """
    if start >= len(w2c):
        raise ValueError(f"expected poses of the chunk that starts at {start}, got {len(w2c)} poses")
    if start <= memory_latents:
        return list(range(start))
    recent = start - recent_latents
    first_latents = chunk_latents if first_latents is None else first_latents
    chosen = {*range(first_latents), *range(recent, start)}
    candidates = np.arange(chunk_latents, recent, chunk_latents)
    room = -(-(memory_latents - recent_latents - first_latents) // chunk_latents)
    if room > 0 and len(candidates) > 0:
        seen_from = invert_pose(w2c[np.stack([candidates, candidates + chunk_latents // 2], axis=1)])
        best = _most_seen(w2c[start : start + chunk_latents], seen_from, points, min(room, len(candidates)))
        chosen.update(index for c in candidates[best].tolist() for index in range(c, c + chunk_latents))
    return sorted(chosen)


def _most_seen(queries: Array, candidates: Array, points: Points, num: int) -> NDArray[np.intp]:
    """Find the `num` candidates that see most of the queries' points, best first; of equals the older first.

    Points are counted slice by slice while there are many candidates. One is dropped as soon as all remaining
    points could not raise it above others that were counted in full. So the result is the same as counting
    everything.

    Args: queries: w2c [Q, 4, 4]; candidates: c2w [M, P, 4, 4], the P cameras of each counted together.
    """
    features = _features(points, SELECTION_FIELD)
    weight = len(candidates)
    ranks = np.arange(weight)[::-1].copy()  # plus weight times the count: no two are equal
    alive = np.flatnonzero(_may_overlap(invert_pose(queries), candidates))
    forms = _forms(queries, candidates[alive], SELECTION_FIELD)
    rest = features
    while len(rest) and len(alive) > num + _LEADERS:
        part, rest = np.split(rest, [_SLICE])
        ranks[alive] += weight * _count_seen(part, forms)
        leaders = np.argsort(-ranks[alive])[: num + _LEADERS]
        full = ranks[alive[leaders]] + weight * _count_seen(rest, forms[leaders])
        keep = ranks[alive] + weight * len(rest) * forms.shape[1] >= np.sort(full)[-num]
        alive, forms = alive[keep], forms[keep]
    ranks[alive] += weight * _count_seen(rest, forms)
    return np.argsort(-ranks)[:num]


def _may_overlap(queries: Array, candidates: Array) -> NDArray[np.bool_]:
    """Return [M] whether the view of any query and of any camera of each candidate may overlap.

    Each view is enclosed in a ball; the balls are compared.

    Args: queries: c2w [Q, 4, 4]; candidates: c2w [M, P, 4, 4].
    """
    centres = candidates[..., :3, 3] + _REACH * candidates[..., :3, 2]
    query_centres = queries[:, :3, 3] + _REACH * queries[:, :3, 2]
    apart = np.linalg.norm(centres[:, :, None] - query_centres, axis=-1)
    return (apart < 2 * _REACH).any(axis=(1, 2))


def _features(points: Points, field: FieldOfView) -> Points:
    """Compute [n, 5] (x, y, z, 1, |x|^2) of the points in a camera's own field, about 5 % of all."""
    x, y, z = points.T
    inside = (np.abs(x) < z * field.tan_horizontal) & (np.abs(y) < np.hypot(x, z) * field.tan_vertical)
    kept = points[inside]
    return np.column_stack([kept, np.ones(len(kept), np.float32), (kept * kept).sum(axis=1)])


def _forms(queries: Array, cameras: Array, field: FieldOfView) -> Points:
    """Precompute what _see needs for each pair of a query and a camera, in the query's axes.

    Four linear forms of the features: a point's distance ahead of the camera (horizontal, times the field's
    tangent), to its right, and below it, and its squared distance. Then the tangents of the field's lower and
    upper edges.

    Args: queries: w2c [Q, 4, 4]; cameras: c2w [M, P, 4, 4].
    Returns: [M, P * Q, 22] float32.
    """
    relative = queries[:, :3] @ rearrange(cameras, "m p i j -> (m p) 1 i j")[..., 2:]
    (fx, px), (fy, py), (fz, pz) = rearrange(relative, "(m p) q i j -> i j m (p q)", p=cameras.shape[1])
    level = np.hypot(fx, fz)
    upright = level == 0  # a camera that looks straight up or down: its azimuth is taken as 0
    sin, cos = fx / (level + upright), (fz + upright) / (level + upright)
    wide, high = field.tan_horizontal, field.tan_vertical

    forms = np.zeros((*px.shape, 22), np.float32)
    ahead, right, down, square = (forms[..., i : i + 5] for i in (0, 5, 10, 15))
    ahead[..., 0], ahead[..., 2], ahead[..., 3] = wide * sin, wide * cos, -wide * (sin * px + cos * pz)
    right[..., 0], right[..., 2], right[..., 3] = cos, -sin, sin * pz - cos * px
    down[..., 1], down[..., 3] = 1, -py
    square[..., 0], square[..., 1], square[..., 2] = -2 * px, -2 * py, -2 * pz
    square[..., 3], square[..., 4] = px * px + py * py + pz * pz, 1
    # If an edge is beyond the zenith or the nadir, its tangent is infinite.
    forms[..., 20] = (fy + level * high) / np.maximum(level - fy * high, 1e-30)
    forms[..., 21] = (fy - level * high) / np.maximum(level + fy * high, 1e-30)
    return forms


def _count_seen(features: Points, forms: Points) -> NDArray[np.int64]:
    """Count the points [n, 5] that cameras see, adding up the P cameras of forms [M, P, 22]: [M]."""
    cameras = rearrange(forms, "m p f -> (m p) f")
    counts = np.zeros(len(cameras), np.int64)
    for camera in range(0, len(cameras), _BLOCK):
        block = cameras[camera : camera + _BLOCK]
        for point in range(0, len(features), _SLICE):
            seen = _see(features[point : point + _SLICE], block)
            counts[camera : camera + _BLOCK] += np.add.reduce(seen.view(np.uint8), axis=0, dtype=np.uint8)
    return reduce(counts, "(m p) -> m", "sum", p=forms.shape[1])


def _see(features: Points, forms: Points) -> NDArray[np.bool_]:
    """Return [n, m] whether each camera of forms [m, 22] sees each point of [n, 5]."""
    with np.errstate(invalid="ignore"):  # on some CPUs, OpenBLAS also computes with what lies beyond an array
        ahead, right, down, square = (features @ forms[:, i : i + 5].T for i in (0, 5, 10, 15))
    seen = np.abs(right, out=right) < ahead
    seen &= square < RADIUS**2
    across = np.sqrt(np.maximum(square - down * down, 0))
    seen &= (down < across * forms[:, 20]) & (down > across * forms[:, 21])
    return seen
