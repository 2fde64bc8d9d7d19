"""The prompts of a recorded walk, each from a chunk on."""

import numpy as np
import pytest

from worldplay.world.pose_files import MAX_PROMPT_CHARS, parse_trajectory

POSES = [np.eye(4).reshape(16).tolist()] * 12


def test_prompts_are_read_by_latent() -> None:
    prompts = [{"latent": 4, "text": "at dusk"}, {"latent": 8, "text": ""}]
    trajectory = parse_trajectory({"poses": POSES, "prompts": prompts})
    assert trajectory.prompts == {4: "at dusk", 8: ""}
    assert trajectory.first(8).prompts == {4: "at dusk"}


@pytest.mark.parametrize("prompts", [None, []])
def test_walk_may_have_one_prompt_only(prompts: object) -> None:
    assert parse_trajectory({"poses": POSES, "prompts": prompts}).prompts == {}


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("at dusk", "expected prompts as an array, got 'at dusk'"),
        ([4], r"prompts\[0\]: expected an object with a latent's number, got 4"),
        ([{"latent": True, "text": ""}], r"prompts\[0\].latent: expected a whole number, got true"),
        (
            [{"latent": 0, "text": ""}],
            r"latent: expected the first latent of a chunk of 4, from 4 ",
        ),
        ([{"latent": 5, "text": ""}], r"prompts\[0\].latent: expected .* got 5"),
        ([{"latent": 12, "text": ""}], r"prompts\[0\].latent: expected .* got 12"),
        ([{"latent": 4, "text": ""}] * 2, r"prompts\[1\].latent: expected .* from 8 to the end"),
        ([{"latent": 4}], r"prompts\[0\].text: expected text of at most 2000 characters, got null"),
        ([{"latent": 4, "text": "x" * (MAX_PROMPT_CHARS + 1)}], r"prompts\[0\].text: expected text"),
    ],
)
def test_wrong_prompts_are_refused(prompts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_trajectory({"poses": POSES, "prompts": prompts})
