"""What is asked for, made a plan: what is open is filled in, what cannot be is refused."""

import numpy as np
import pytest
from PIL import Image

from support.clips import make_plan
from worldplay.loading import WorldSpec
from worldplay.world.world import World


def test_large_picture_is_cut_before_the_model_is_asked(world: World) -> None:
    """Else whoever walks would wait for it."""
    picture = make_plan(world, num_frames=29, image=Image.new("RGB", (4000, 3000))).request.walk.picture
    assert picture is not None
    assert (picture.fitted.size, picture.siglip.size) == ((world.width, world.height), (720, 544))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"num_frames": 14}, "num_frames: .* nearest is 13 or 29"),
        ({"pose": "w-5"}, "pose: expected .* got 21; nearest is 13 or 29"),
        ({"pose": "w-5", "num_frames": 29}, r"pose: expected poses for 8 latents \(7 motions\) .* got 6"),
        ({"pose": "w-1", "num_frames": 13}, r"pose: expected poses for 4 .* got 2 \(1 motion\)$"),
        ({"pose": "jump-3"}, "pose: .* expected an action"),
        ({"view": "moon"}, "view: unknown view 'moon'; expected one of"),
        ({"variant": "ar-rl"}, "variant: expected 'embedded', which is loaded, got 'ar-rl'"),
        ({"width": 150}, "width: expected a multiple of 16, got 150"),
        ({"height": 480}, "height: expected 192, the size of the loaded model, got 480"),
        ({"prompt": "caf\udce9"}, "prompt: expected text in UTF-8, got other bytes"),
        ({"steps": 0}, "num_inference_steps: expected 1 to 100, got 0"),
    ],
)
def test_wishes_that_cannot_be_met_say_why(world: World, given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_plan(world, **given)


def test_open_wishes_are_filled_in(world: World) -> None:
    ahead = make_plan(world, seed=None)
    assert (ahead.num_frames, ahead.request.num_chunks, ahead.pose) == (125, 8, "w-31")
    assert make_plan(world, seed=None).seed != ahead.seed
    assert make_plan(world, pose="w-3, right-4").num_frames == 29


POSES = {"poses": [np.eye(4).tolist()] * 33}  # as the model's published example has


@pytest.mark.parametrize(
    ("pose", "advice"),
    [
        (POSES, "got 129; nearest is 125 or 141: ask for 125 frames to leave out the last pose of 33"),
        ("w-6", "got 25; nearest is 13 or 29: ask for 13 frames to leave out the last 3 poses of 7"),
        ("w-1", "got 5; nearest is 13"),
    ],
)
def test_pose_that_makes_no_whole_chunks_says_what_to_cut(world: World, pose: object, advice: str) -> None:
    with pytest.raises(ValueError, match=f"^pose: expected 13, 29, .* {advice}$"):
        make_plan(world, pose=pose)


def test_longer_pose_is_cut_to_the_frames_that_are_asked_for(world: World) -> None:
    cut = make_plan(world, pose=POSES, num_frames=125)
    assert (cut.trajectory.num_latents, cut.num_unused_poses, cut.request.num_chunks) == (32, 1, 8)
    assert (
        make_plan(world, pose="w-7", num_frames=13).trajectory.moves
        == make_plan(world, pose="w-3").trajectory.moves
    )
    assert make_plan(world, pose="w-3").num_unused_poses == 0


def test_first_prompt_stays_where_chunks_are_longer_than_the_walks() -> None:
    changes = [{"latent": 4, "text": "at dusk"}, {"latent": 12, "text": "at night"}]
    pose = {"poses": [np.eye(4).tolist()] * 32, "prompts": changes}
    plan = make_plan(WorldSpec("bidirectional", 64, 64, 16), pose=pose, prompt="sunny")
    assert (plan.request.walk.prompt, plan.request.prompts) == ("sunny", {1: "at night"})
