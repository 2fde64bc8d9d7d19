import pytest
import torch
from PIL import Image

from worldplay.world.embedded.conditioner import MOST_BYTES, shorten
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
