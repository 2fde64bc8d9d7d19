"""Fills the caches of a chunk with its text and its context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from weakref import ref

import torch
from torch import Tensor

from worldplay.model.conditioning import condition_channels
from worldplay.model.kept_context import KeptLatent, encode_between, restore_context
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras
from worldplay.world.cache_sets import Holds, choose_caches
from worldplay.world.camera import Pose, invert_pose
from worldplay.world.kept_rollout import ChunkContext, make_chunk_contexts
from worldplay.world.relighting import Relighting
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.walk import Walk


@dataclass(frozen=True, slots=True)
class _Part:
    """What one cache gets for a chunk."""

    cache: KVCache
    text: TextKV
    read_back: ChunkContext | None


class ChunkCaches:
    """The caches, as used by one chunk. A prompt that comes later does not change its text."""

    def __init__(self, model: RolloutModel, walk: Walk) -> None:
        self._model = model
        self._walk = walk
        self._text = walk.text
        self.relighting = Relighting(model.config, walk)
        self._contexts: Sequence[ChunkContext | None] = [None] * len(self._text)
        if model.keeping is not None:
            self._contexts = make_chunk_contexts(model.keeping, walk.kept, self._text)
        self.chosen: list[KVCache] = []  # those that were filled last

    def keep(self) -> None:
        """Keep what later chunks may read back, when the chunk is finished."""
        has_its_text = self._walk.text is self._text
        for context in self._contexts:
            if context is not None:
                context.keep(is_of_use=has_its_text)

    def hold(self, context: list[int]) -> bool:
        """Return whether the caches that would be chosen hold this context."""
        wanted = self._walk.latents.identify(context)
        return all(
            _find(part.cache, part.text, wanted, part.read_back) is not None
            for part in self._divide(choose_caches(self._model.cache_sets, self._walk))
        )

    def ensure(self, context: list[int]) -> bool:
        """Fill the chosen caches with the text and this context, unless they hold it already.

        Returns: whether anything was done.
        """
        self.chosen = choose_caches(self._model.cache_sets, self._walk)
        return any([self._fill(part, context) for part in self._divide(self.chosen)])

    def _divide(self, caches: list[KVCache]) -> list[_Part]:
        """Tell what each of the chosen caches gets."""
        branches = zip(caches, self._text, self._contexts, strict=True)
        return [_Part(*branch) for branch in branches]

    def _fill(self, part: _Part, context: list[int]) -> bool:
        """Fill one cache with a context. Returns: whether anything was done."""
        cache, text, read_back = part.cache, part.text, part.read_back
        wanted = self._walk.latents.identify(context)
        holds, cache.holds = _find(cache, text, wanted, read_back), None  # None in case a pass fails
        is_missing = holds is None
        if holds is None:
            cache.set_text(text)
            self._bring(context, read_back, cache)
            source = None if read_back is None else ref(read_back)
            holds = Holds(ref(self._walk), wanted, source, 0.0)
        cache.holds = replace(holds, used_at=perf_counter())
        return is_missing

    def _bring(self, context: list[int], read_back: ChunkContext | None, cache: KVCache) -> None:
        """Bring a context into a cache that holds only the text."""
        if read_back is None:
            _encode_latents(self._latents(), context, cache)
        else:
            read_back.fill(self._latents(), context, cache)

    def _latents(self) -> "LatentsOf":
        return LatentsOf(self._model, self._walk, self.relighting.first_chunk)


def _find(
    cache: KVCache, text: TextKV, context: list[object], read_back: ChunkContext | None
) -> Holds | None:
    """Return what a cache holds, if it is this text and this context."""
    holds = cache.holds
    if not isinstance(holds, Holds) or cache.text is not text or not holds.is_for(context, read_back):
        return None
    return holds


@dataclass(frozen=True, slots=True)
class LatentsOf:
    """Brings a walk's latents into caches, each with a time position of its own."""

    model: RolloutModel
    walk: Walk
    first_chunk: Tensor | None = None  # [1, C, n, h, w], instead of the walk's; None: the walk's

    def inputs(self, chosen: list[int]) -> tuple[Tensor, Tensor, Cameras, Tensor]:
        """Gather latents with their condition, cameras and actions."""
        walk, latents = self.walk, self.walk.latents.gather(chosen)
        if self.first_chunk is not None:
            first = [index for index in chosen if index < self.first_chunk.shape[2]]
            latents = torch.cat([self.first_chunk[:, :, first], latents[:, :, len(first) :]], dim=2)
        cond = condition_channels(walk.image_latent, len(chosen), first=chosen[0] == 0)
        cameras = make_cameras(self.model, walk.c2w[chosen], walk.intrinsics[chosen])
        return latents, cond, cameras, torch.from_numpy(walk.labels[chosen]).to(latents.device)

    def encode(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None:
        inputs = self.inputs(indices)
        timestep = self.model.config.context_timestep
        encode_between(self.model.transformer, *inputs, cache, timestep, positions, kept)

    def restore(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None:
        walk, transformer = self.walk, self.model.transformer
        cameras = make_cameras(self.model, walk.c2w[indices], walk.intrinsics[indices])
        height, width = walk.image_latent.shape[-2:]
        restore_context(transformer, kept, (len(indices), height, width), cameras, cache, positions)


def _encode_latents(latents: LatentsOf, indices: list[int], cache: KVCache) -> None:
    """Encode a walk's latents as the context of a cache that has none."""
    if indices:
        config = latents.model.config
        latents.model.transformer.encode_context(*latents.inputs(indices), cache, config.context_timestep)


def make_cameras(model: RolloutModel, c2w: Pose, intrinsics: Pose) -> Cameras:
    """Prepare the cameras of latents: c2w [n, 4, 4] and intrinsics [n, 3, 3]."""
    viewmats = torch.from_numpy(invert_pose(c2w)).float()[None]
    return model.transformer.prepare_cameras(viewmats, torch.from_numpy(intrinsics).float()[None])
