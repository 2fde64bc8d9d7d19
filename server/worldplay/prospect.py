"""What a model will be able to make, known before the minutes that loading it takes."""

from dataclasses import dataclass

from worldplay.settings import ModelSettings
from worldplay.world.courtyard.views import VIEWPOINTS, Viewpoint
from worldplay.world.embedded.load import find_embedded, read_shape
from worldplay.world.frames import parse_size
from worldplay.world.released.files import is_released
from worldplay.world.released.variants import find_variant
from worldplay.world.world import pick_view


@dataclass(frozen=True, slots=True)
class Prospect:
    """As much of a world as the planning of a clip asks for."""

    name: str
    width: int
    height: int
    chunk_latents: int

    def find_view(self, name: str | None) -> Viewpoint:
        """Raises: ValueError naming the views there are."""
        return pick_view(VIEWPOINTS, name)


def foresee(settings: ModelSettings) -> Prospect:
    """Raises: ValueError or OSError as `open_world` would for the same description."""
    if is_released(settings.model):
        height, width = parse_size(settings.size)
        variant = find_variant(settings.variant)
        return Prospect(variant.name, width, height, variant.chunk_latents)
    return Prospect(*read_shape(find_embedded(settings.model)))
