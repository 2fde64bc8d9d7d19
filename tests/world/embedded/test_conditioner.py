import pytest
import torch
from PIL import Image

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
