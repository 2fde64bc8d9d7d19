"""What the denoising steps of one chunk share: computed in its first step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.graphs import Graphs, Tensors
from worldplay.model.prope import Cameras
from worldplay.model.rope import Rotation
from worldplay.model.token_positions import NormedPositions, TokenPositions


@dataclass(frozen=True, slots=True)
class ChunkConstants:
    cameras: Cameras  # the chunk's, which identify it
    key: tuple[int, torch.Size]  # where it starts, and the shape of its latents: T, h, w
    positions: TokenPositions
    normed: NormedPositions | None  # of all blocks


def prepare_chunk(
    find_positions: Callable[[Cameras, torch.Size, int | Tensor], TokenPositions],
    norms: Callable[[], Tensor],
    cameras: Cameras,
    shape: torch.Size,
    start: int,
    graphs: Graphs | None,
) -> ChunkConstants:
    """Compute the constants of a chunk; where steps are recorded, always in the same place.

    Args:
        find_positions, norms: WorldPlayTransformer.positions_of, and what stacks all blocks' norms. They are
            called where they are recorded.
        shape: T, h, w of the chunk's latents.
        start: the position of its first latent.
        graphs: records steps; None: nothing does.
    """

    def prepare(query: Tensor, key_value: Tensor, output: Tensor, first: int | Tensor) -> Tensors:
        positions = find_positions(Cameras(query, key_value, output), shape, first)
        normed = positions.with_norms(norms())
        parts = *positions.rotation, positions.key_query, positions.value, positions.output
        return parts if normed is None else (*parts, normed.products, normed.direct)

    if graphs is None:
        made = prepare(*cameras.parts(), start)
    else:
        query, key_value, output = cameras.parts()
        inputs = query, key_value, output, torch.full((), start, device=query.device)
        made = graphs.run_in_place(("chunk", shape), prepare, inputs)
    cos, sin, key_query, value, output, *normed = made
    positions = TokenPositions(Rotation(cos, sin), key_query, value, output)
    return ChunkConstants(cameras, (start, shape), positions, NormedPositions(*normed) if normed else None)
