"""Modulation of a latent's tokens by its timestep and action, for all blocks and the final layer at once."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from cachetools import LRUCache
from torch import Tensor, nn

from worldplay.model.packing import inputs_first
from worldplay.model.regions import Modulation, split_modulation

_MOST_KEPT = 128  # 33 KB each in the embedded world


class Modulations(NamedTuple):
    """What modulates the tokens of latents."""

    blocks: list[Modulation]  # of each block's image stream
    last: Tensor  # [B, T, 2 H], the final layer's shifts and scales


def are_kept(actions: Tensor) -> bool:
    """Return whether latents' modulations are kept: on a CPU, where it costs nothing to look at numbers."""
    return actions.device.type == "cpu" and not torch.is_grad_enabled()


class PackedModulators(nn.Module):
    """The modulators of all blocks and of the final layer in one product.

    It takes long to read its weights, and chunks have few different actions and timesteps. So modulations
    can be kept, each computed by itself: they are the same whatever else was computed before. Weights that
    change later are not noticed.
    """

    def __init__(
        self, blocks: list[nn.Linear], last: nn.Linear, embed: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """Args: embed: turns actions and timesteps, [...] each, into vectors, [..., H]."""
        super().__init__()
        self._num_blocks, self._hidden, self._embed = len(blocks), last.in_features, embed
        self._kept: LRUCache[Hashable, Tensor] = LRUCache(_MOST_KEPT)
        linears = *blocks, last
        weight = torch.cat([linear.weight.detach() for linear in linears])
        bias = torch.cat([linear.bias.detach() for linear in linears])
        self.register_buffer("weight", inputs_first(weight), persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, actions: Tensor, timestep: Tensor, *, keep: bool) -> Modulations:
        """Compute the modulations of latents, [B, T] each, or take them from those that are kept."""
        if keep:
            places = zip(actions.flatten().tolist(), timestep.flatten().tolist(), strict=True)
            parts = torch.stack([self._recall(*place) for place in places]).unflatten(0, actions.shape)
        else:
            parts = self._compute(actions, timestep)
        blocks, last = parts.split([6 * self._hidden * self._num_blocks, 2 * self._hidden], dim=-1)
        mods = zip(*(part.unbind(2) for part in split_modulation(self._by_block(blocks))), strict=True)
        return Modulations([Modulation(*block) for block in mods], last)

    def _by_block(self, parts: Tensor) -> Tensor:
        return parts.unflatten(-1, (self._num_blocks, -1))

    def _compute(self, actions: Tensor, timestep: Tensor) -> Tensor:
        vec = F.silu(self._embed(actions, timestep))
        return F.linear(vec, self.get_buffer("weight"), self.get_buffer("bias"))

    def _recall(self, action: int, timestep: float) -> Tensor:
        """Return one latent's."""
        key = self.get_buffer("bias").dtype, action, timestep
        parts = self._kept.get(key)
        if parts is None:
            parts = self._kept[key] = self._compute(torch.tensor(action), torch.tensor(timestep))
        return parts
