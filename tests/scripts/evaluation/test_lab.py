"""Walks as the server generates them, variations of the world, truth from the cache; sections end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL.Image import Image

import eval_world
from evaluation import loops, minutes, standing
from evaluation.lab import Lab, by_chunk, play
from evaluation.routes import held_out, out_and_backwards, turn_round
from evaluation.variations import NO_CONTEXT, Variation, recent_only, vary, without_retrieval
from evaluation.workers import here
from support.drawn_truth import draw_poses
from support.tiny_world import HEIGHT, SCALE, WIDTH, ByteConditioner, make_world
from training.data import frame_poses
from training.vae_streams import reconstruct
from worldplay.model.conditioning import Conditioning
from worldplay.world.courtyard.renderer import render
from worldplay.world.world import World


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(make_world(), tmp_path_factory.mktemp("renders"))


def test_a_played_walk_has_the_truths_length_and_is_repeatable(lab: Lab) -> None:
    route = held_out(0, 2)
    played, again = play(lab.world, route), play(lab.world, route)
    truth = lab.truth(route.c2w(), "day")
    assert [len(chunk) for chunk in played.chunks] == [len(chunk) for chunk in by_chunk(truth)] == [13, 16]
    assert np.array_equal(played.frames, again.frames)


def test_every_true_frame_stands_where_its_latent_does(lab: Lab) -> None:
    c2w = held_out(1, 1).c2w()
    truth = lab.truth(c2w, "night")
    assert np.array_equal(truth[::4], render(c2w, HEIGHT, WIDTH, "night"))


def test_truth_is_rendered_once_for_each_light(lab: Lab) -> None:
    c2w = held_out(2, 1).c2w()
    before = len(list(lab.folder.iterdir()))
    pictures = [lab.truth(c2w, light) for light in ("day", "dusk", "day")]
    assert len(list(lab.folder.iterdir())) == before + 2
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


def test_truth_is_rendered_anew_when_its_poses_are_found_otherwise(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    c2w = held_out(3, 1).c2w()
    before = lab.truth(c2w, "day")
    monkeypatch.setattr("evaluation.lab.frame_poses", lambda c2w: frame_poses(c2w)[::-1])
    assert np.array_equal(lab.truth(c2w, "day"), before[::-1])


def test_reconstruction_keeps_time(lab: Lab) -> None:
    truth = lab.truth(held_out(0, 1).c2w(), "day")
    assert reconstruct(lab.world.vae, truth)[0].shape == truth.shape


def contexts(world: World) -> list[int]:
    return play(world, held_out(0, 6)).contexts[-1]


def test_memories_that_retrieve_less(lab: Lab) -> None:
    assert len(contexts(lab.world)) == 12
    assert contexts(vary(lab.world, without_retrieval(lab.world))) == [0, 1, 2, 3, 16, 17, 18, 19]


def test_withheld_context_changes_chunks_after_the_first(lab: Lab) -> None:
    route = held_out(0, 4)
    served = play(lab.world, route)
    for variation, same in ((NO_CONTEXT, 1), (recent_only(lab.world), 2)):
        other = play(vary(lab.world, variation), route)
        equal = [np.array_equal(a, b) for a, b in zip(served.chunks, other.chunks, strict=True)]
        assert equal == [True] * same + [False] * (4 - same), variation


def test_enough_of_the_newest_context_is_all_of_it(lab: Lab) -> None:
    route = held_out(0, 4)
    generous = vary(lab.world, Variation("all", newest=12))
    assert np.array_equal(play(generous, route).frames, play(lab.world, route).frames)


def test_a_larger_context_and_raw_storage_work_in_caches_of_their_own(lab: Lab) -> None:
    larger = vary(lab.world, Variation("larger", memory_latents=20))
    assert len(contexts(larger)) == 20
    raw = vary(lab.world, Variation("raw", unrotated=True))
    route = held_out(0, 3)
    assert np.array_equal(play(raw, route).frames, play(lab.world, route).frames)


class WordConditioner:
    """A prompt is as many tokens as it has words."""

    def encode(self, prompt: str, image: Image, image_latent: torch.Tensor) -> Conditioning:
        return ByteConditioner().encode("x" * len(prompt.split()), image, image_latent)

    def taken_as(self, prompt: str) -> None:
        return None


def test_a_cache_of_its_own_has_room_for_as_many_words_as_the_served_one(lab: Lab) -> None:
    world = replace(lab.world, conditioner=WordConditioner())
    raw = vary(world, Variation("raw", unrotated=True))
    prompts = {0: "the courtyard in snow"}
    assert len(play(raw, held_out(0, 1), prompts).chunks) == 1


def test_another_precision_leaves_the_served_world_alone(lab: Lab) -> None:
    half = vary(lab.world, Variation("bf16", dtype=torch.bfloat16))
    assert half.rollout.transformer.dtype == torch.bfloat16
    assert lab.world.rollout.transformer.dtype == torch.float32
    route = held_out(0, 1)
    error = play(half, route).frames.astype(int) - play(lab.world, route).frames
    assert 0 < np.abs(error).mean() < 20


def test_a_section_from_walks_to_table(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eval_world.evaluate(here(lab, tmp_path / "strips"), ["steps"], SCALE, tmp_path, {"weights": "random"})
    text = (tmp_path / "results.md").read_text()
    assert "weights random" in text
    assert "| 8 steps |" in text
    assert [path.name for path in (tmp_path / "strips").iterdir()] == ["steps.png"]
    assert "steps: 1 of 4" in capsys.readouterr().out


ELSEWHERE = ("levers",)  # test_levers.py
SHORT_LOOPS = (lambda view: turn_round("turn right", view, (15.0,)), lambda view: out_and_backwards(view, 7))


@pytest.mark.slow
@pytest.mark.parametrize("section", [name for name in eval_world.SECTIONS if name not in ELSEWHERE])
def test_every_section(section: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "KINDS", SHORT_LOOPS)
    monkeypatch.setattr(minutes, "CHUNKS", 2)
    monkeypatch.setattr(standing, "CHUNKS", 5)
    monkeypatch.setattr("evaluation.lab.render", draw_poses)
    scale, drawn = replace(SCALE, loop_kinds=2), Lab(lab.world, tmp_path / "drawn")
    eval_world.evaluate(here(drawn, tmp_path / "strips"), [section], scale, tmp_path, {})
    assert (tmp_path / "results.json").stat().st_size > 500
    assert list((tmp_path / "strips").glob("*.png"))
