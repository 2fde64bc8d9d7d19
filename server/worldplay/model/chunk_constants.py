"""What the denoising steps of one chunk share: computed in its first step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.graphs import Graphs, Tensors
from worldplay.model.prope import Cameras
from worldplay.model.rope import Rotation
from worldplay.model.tokens import Placement, Turns


@dataclass(frozen=True, slots=True)
class ChunkConstants:
    cameras: Cameras  # the chunk's, which identify it
    key: tuple[int, torch.Size]  # where it starts, and the shape of its latents: T, h, w
    place: Placement
    turns: Turns | None  # of all blocks


def prepare_chunk(
    place_latents: Callable[[Cameras, torch.Size, int | Tensor], Placement],
    norms: Callable[[], Tensor],
    cameras: Cameras,
    shape: torch.Size,
    start: int,
    graphs: Graphs | None,
) -> ChunkConstants:
    """Compute the constants of a chunk; where steps are recorded, always in the same place.

    Args:
        place_latents, norms: WorldPlayTransformer.place, and what stacks all blocks' norms. They are called
            where they are recorded.
        shape: T, h, w of the chunk's latents.
        start: the position of its first latent.
        graphs: records steps; None: nothing does.
    """

    def prepare(query: Tensor, key_value: Tensor, output: Tensor, first: int | Tensor) -> Tensors:
        place = place_latents(Cameras(query, key_value, output), shape, first)
        turns = place.turns(norms())
        parts = *place.rotation, place.turn, place.value, place.output
        return parts if turns is None else (*parts, turns.products, turns.direct)

    if graphs is None:
        made = prepare(*cameras.parts(), start)
    else:
        query, key_value, output = cameras.parts()
        inputs = query, key_value, output, torch.full((), start, device=query.device)
        made = graphs.run_in_place(("chunk", shape), prepare, inputs)
    cos, sin, turn, value, back, *turns = made
    place = Placement(Rotation(cos, sin), turn, value, back)
    return ChunkConstants(cameras, (start, shape), place, Turns(*turns) if turns else None)
