import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from worldplay.world.embedded.conditioner import MOST_BYTES, shorten
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World


@pytest.mark.parametrize(
    ("prompt", "look"),
    [
        ("", "Day"),
        ("a burning volcano full of dragons", "Day"),
        ("the courtyard at dusk", "Dusk"),
        ("the yard by moonlight", "Night"),
        ("a blizzard on a winter morning", "Snow"),
    ],
)
def test_prompt_is_taken_as_one_of_the_looks(world: World, prompt: str, look: str) -> None:
    assert world.conditioner.taken_as(prompt) == look


def test_every_suggestion_is_taken_as_itself(world: World) -> None:
    taken = [world.conditioner.taken_as(each.prompt) for each in world.suggestions]
    assert taken == [each.title for each in world.suggestions]


BETWEEN = "Pan up to the sky, where fireworks burst in the darkness and throw flashes, as smoke drifts past."


def test_prompt_between_looks_shows_the_one_that_it_is_taken_as(world: World) -> None:
    shown: dict[str, NDArray[np.int64]] = {}
    for title, prompt in [("", BETWEEN), *((each.title, each.prompt) for each in world.suggestions)]:
        live = world.open_walk(WalkRequest(seed=0, prompt=prompt))
        shown[title] = np.concatenate(list(live.decode(live.begin_chunk(CircleSteering()).finish()))).astype(
            int
        )
    off = {title: np.abs(frames - shown[""]).mean() for title, frames in shown.items() if title}
    nearest, second, *_ = sorted(off, key=off.__getitem__)
    assert nearest == world.conditioner.taken_as(BETWEEN)
    assert off[nearest] < 0.05 * off[second]


def test_prompt_is_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    latent = torch.zeros(1, world.vae.config.latent_channels, 1, 6, 10)
    picture = Image.new("RGB", (160, 96))
    first = world.conditioner.encode("a place to remember", picture, latent)
    monkeypatch.setattr(
        "worldplay.world.embedded.text_encoder.TextReader.read", lambda *_: pytest.fail("read again")
    )
    assert world.conditioner.taken_as("a place to remember") is not None
    again = world.conditioner.encode("a place to remember", picture, latent)
    assert torch.equal(first.text_states, again.text_states)


@pytest.mark.parametrize("text", ["", "the courtyard at night", "x" * 1000, "é" * 500])
def test_ordinary_prompt_is_read_whole(text: str) -> None:
    assert shorten(text) == text


@pytest.mark.parametrize("text", ["x" * 2000, "🌙" * 2000, "ab🌙" * 600])
def test_very_long_prompt_costs_no_more_than_a_long_one(text: str) -> None:
    short = shorten(text)
    assert len(short.encode()) <= MOST_BYTES + 1
    assert (short[0], short[-1]) == (text[0], text[-1])


def test_last_words_of_a_very_long_prompt_count(world: World) -> None:
    assert world.conditioner.taken_as("x " * 900 + "the courtyard at night" * 20) == "Night"
