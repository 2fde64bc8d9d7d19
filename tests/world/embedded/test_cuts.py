"""A walk in the embedded world that is recorded with its cuts and made again."""

import numpy as np
import pytest

from worldplay.engine.clip_chunk import ChunkStages
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.chunk import Chunk
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.recorded_cuts import list_latches
from worldplay.world.steering import Move, ReplaySteering, TrajectorySteering, WalkRequest
from worldplay.world.world import World

AHEAD, TURN, BACK = Motion(forward=FORWARD_STEP), Motion(yaw=TURN_STEP), Motion(forward=-FORWARD_STEP)


def steered(motion: Motion, num_moves: int) -> TrajectorySteering:
    moves: list[Move] = [motion] * num_moves
    return TrajectorySteering(moves)


def record(walk: LiveWalk) -> tuple[dict[str, object], list[np.ndarray]]:
    """Walk three chunks with cuts as the server does. Returns: the recorded walk, and its frames."""
    cuts: list[dict[str, object]] = []
    frames: list[np.ndarray] = []
    poses: list[object] = []
    labels: list[int] = []
    for index in range(3):
        chunk = walk.begin_chunk(steered(AHEAD, 4 if index else 3)).finish()
        for kept, motion in {0: [], 1: [(1, TURN), (3, BACK)], 2: [(2, TURN)]}[index]:
            shown = walk.decode(chunk)
            frames += [next(shown) for _ in range(kept - chunk.first_latent)]
            thrown = chunk
            chunk = walk.begin_cut(kept, steered(motion, 4 - kept)).finish()
            cuts.append(describe(thrown, 4 * index + kept, kept))
        frames += list(walk.decode(chunk))
        poses += [pose.reshape(16).tolist() for pose in chunk.poses]
        labels += chunk.labels
    return {"poses": poses, "labels": labels, "cuts": cuts}, frames


def describe(thrown: Chunk, latent: int, kept: int) -> dict[str, object]:
    poses = [pose.reshape(16).tolist() for pose in thrown.poses[kept:]]
    return {"latent": latent, "poses": poses, "labels": thrown.labels[kept:]}


def test_recorded_walk_is_made_again_with_its_cuts(world: World) -> None:
    first = world.open_walk(WalkRequest(seed=3))
    recorded, frames = record(first)
    trajectory = parse_trajectory(recorded)
    again = world.open_walk(WalkRequest(seed=3))
    steering = ReplaySteering(list_latches(trajectory.moves, trajectory.cuts))
    replayed: list[np.ndarray] = []
    for chunk in range(3):
        stages = ChunkStages(again, steering, [cut.kept for cut in trajectory.cuts if cut.chunk == chunk])
        while not stages.is_done:
            decoded = stages.advance()
            replayed += [] if decoded is None else [decoded]
        assert stages.chunk is not None
        assert (stages.chunk.first_latent, stages.chunk.num_frames) == (0, 16 if chunk else 13)
    latents = [walk.walk.latents.gather(range(12)) for walk in (first, again)]
    assert bool((latents[0] == latents[1]).all())
    assert np.array_equal(np.concatenate(frames), np.concatenate(replayed))


@pytest.mark.parametrize("kept", [0, 2])
def test_chunk_that_leads_to_the_same_place_does_not_differ(world: World, kept: int) -> None:
    walk = world.open_walk(WalkRequest(seed=3))
    walk.begin_chunk(steered(AHEAD, 3)).finish()
    num_moves = 4 - kept if kept else 3
    assert not walk.differs(kept, [AHEAD] * num_moves)
    assert walk.differs(kept, [TURN] * num_moves)
