"""The prompts that the courtyard suggests."""

from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.views import SUGGESTIONS


def test_every_light_is_suggested_in_its_order() -> None:
    assert tuple(each.title.lower() for each in SUGGESTIONS) == LIGHTS
