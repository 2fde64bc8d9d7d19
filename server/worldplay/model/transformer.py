"""The WorldPlay transformer: turns text and context latents into keys and values, noise into velocity."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.attention import EIGHT_BITS, SDPA
from worldplay.model.blocks import DoubleStreamBlock, FinalLayer
from worldplay.model.chunk_constants import ChunkConstants, prepare_chunk
from worldplay.model.config import CHUNK_LATENTS, CONTEXT_TIMESTEP, MAX_CONTEXT, TransformerConfig
from worldplay.model.embedders import ByT5Mapper, PatchEmbed, ScalarEmbedder, TokenRefiner, VisionProjection
from worldplay.model.graphs import Graphs, Tensors
from worldplay.model.kv_cache import BlockCache, Cache, KVCache, PassCache, TextKV
from worldplay.model.modulators import Modulations, PackedModulators, are_kept
from worldplay.model.packing import lay_inputs_first
from worldplay.model.prope import Cameras, prepare_cameras
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.regions import Regions
from worldplay.model.rope import rotation_table
from worldplay.model.token_positions import TokenPositions, camera_side, prepare_positions
from worldplay.model.unrotated_kv_cache import UnrotatedKVCache


class WorldPlayTransformer(nn.Module):
    """The autoregressive model; its parameters carry the names of the published checkpoints."""

    def __init__(self, config: TransformerConfig, backend: str = SDPA) -> None:
        super().__init__()
        self.config = config
        hidden, heads, ratio = config.hidden, config.heads, config.mlp_ratio
        self.img_in = PatchEmbed(2 * config.latent_channels + 1, hidden, config.patch_size)
        self.time_in = ScalarEmbedder(hidden)
        self.action_in = ScalarEmbedder(hidden)
        self.txt_in = TokenRefiner(config.text_dim, hidden, heads, ratio, config.refiner_blocks)
        self.byt5_in = ByT5Mapper(config.byt5_dim, config.byt5_hidden, hidden)
        self.vision_in = VisionProjection(config.vision_dim, hidden)
        self.cond_type_embedding = nn.Embedding(3, hidden)
        self.double_blocks = nn.ModuleList(
            DoubleStreamBlock(hidden, heads, ratio, backend) for _ in range(config.blocks)
        )
        self.final_layer = FinalLayer(hidden, config.patch_area * config.latent_channels)
        self.ranks: Ranks = ALONE
        self._modulators: PackedModulators | None = None
        self._chunk: ChunkConstants | None = None
        self._graphs: Graphs | None = None

    @property
    def blocks(self) -> list[DoubleStreamBlock]:
        return cast(list[DoubleStreamBlock], list(self.double_blocks))

    @property
    def dtype(self) -> torch.dtype:
        return self.img_in.proj.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.img_in.proj.weight.device

    def new_cache(
        self, grid: tuple[int, int], max_text: int, max_context: int = MAX_CONTEXT, *, unrotated: bool = False
    ) -> KVCache:
        """Allocate a cache for latents of a grid, (h, w), in this model's dtype and on its device.

        Args:
            unrotated: half the memory, but more time at every denoising step.
        """
        kind = UnrotatedKVCache if unrotated else KVCache
        cache = kind(
            blocks=self.config.blocks,
            heads=self.ranks.count_heads(self.config.heads),
            head_dim=self.config.head_dim,
            tokens_per_latent=grid[0] * grid[1] // self.config.patch_area,
            max_text=max_text,
            max_latents=max_context + CHUNK_LATENTS,
            device=self.device,
            dtype=self.dtype,
            tokens_first=self.device.type != "cpu",
        )
        return self.ranks.share_cache(cache, (grid, max_text, max_context, unrotated))

    def prepare_cameras(self, viewmats: Tensor, intrinsics: Tensor) -> Cameras:
        """Prepare the cameras of [B, T] latents, once per chunk. Args: as prope.prepare_cameras."""
        viewmats, intrinsics = viewmats.to(self.device), intrinsics.to(self.device)
        return prepare_cameras(viewmats, intrinsics, camera_side(self.config.head_dim, viewmats), self.dtype)

    def encode_text(
        self,
        text_states: Tensor,
        text_mask: Tensor,
        byt5_states: Tensor,
        byt5_mask: Tensor,
        vision_states: Tensor | None,
    ) -> TextKV:
        """Run the text stream, which attends only to itself; once per prompt.

        Args:
            text_states, text_mask: [B, L, text_dim], and [B, L] of 0 and 1.
            byt5_states, byt5_mask: [B, L', byt5_dim], and [B, L'] of 0 and 1; all 0 without quoted words.
            vision_states: [B, L'', vision_dim], or None for text-to-video.
        Raises: RuntimeError if the samples of a batch have different numbers of valid tokens.
        """
        timestep = torch.zeros(text_states.shape[0], device=text_states.device)
        x = self.text_tokens(text_states, text_mask, byt5_states, byt5_mask, vision_states, timestep)
        vec = self.time_in(timestep)
        text = TextKV([], [])
        for block in self.blocks[:-1]:
            x, keys, values = block.text_pass(x, vec)
            text.keys.append(keys)
            text.values.append(values)
        keys, values = self.blocks[-1].text_keys_values(x, vec)
        text.keys.append(keys)
        text.values.append(values)
        return self.ranks.share_text(text)

    def text_tokens(
        self,
        text_states: Tensor,
        text_mask: Tensor,
        byt5_states: Tensor,
        byt5_mask: Tensor,
        vision_states: Tensor | None,
        timestep: Tensor,
    ) -> Tensor:
        """Embed the text without invalid tokens: [B, vision + ByT5 + text, H]; timestep is [B]."""
        types = self.cond_type_embedding.weight
        refined = self.txt_in(text_states.to(self.dtype), text_mask.bool(), timestep)
        glyphs = self.byt5_in(byt5_states.to(self.dtype))
        parts = [_valid(glyphs + types[1], byt5_mask), _valid(refined + types[0], text_mask)]
        if vision_states is not None:
            parts.insert(0, self.vision_in(vision_states.to(self.dtype)) + types[2])
        return torch.cat(parts, dim=1)

    def encode_context(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        cache: Cache,
        timestep: float | Tensor = CONTEXT_TIMESTEP,
    ) -> None:
        """Replace the cache's context by these latents, which attend to the text and each other.

        Args: as denoise.
        """
        cache.clear_context()
        self.extend_context(latents, cond, cameras, actions, cache, timestep)

    def extend_context(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        cache: PassCache,
        timestep: float | Tensor = CONTEXT_TIMESTEP,
    ) -> None:
        """Append these latents to the cache's context; they attend to it, to the text and to each other.

        Args: as denoise.
        """
        with self.ranks.together("extend_context", latents, cond, cameras, actions, cache, timestep):
            start, encode = cache.num_context, partial(self._encode, cache)
            inputs = latents, cond, *cameras.parts(), actions, self._timesteps(timestep, actions)
            graphs, key = self._recordable(cache)
            if graphs is None:
                encode(*inputs, start)
            else:
                graphs.run(("context", key), encode, (*inputs, torch.full((), start, device=self.device)))
            cache.commit_context(start + latents.shape[2])

    def encode_at(
        self,
        start: Tensor,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        cache: PassCache,
        timestep: float,
    ) -> None:
        """Do what extend_context does on this rank, with time positions by `start`, as in rotation_table."""
        times = self._timesteps(timestep, actions)
        self._encode(cache, latents, cond, *cameras.parts(), actions, times, start)
        cache.commit_context(cache.num_context + latents.shape[2])

    def denoise(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        timestep: float | Tensor,
        cache: Cache,
        latest: int | None = None,
    ) -> Tensor:
        """Predict the velocity of a chunk that follows the cache's context.

        Args:
            latents: [B, C, T, h, w]; noisy latents.
            cond: [B, C + 1, T, h, w]; the image's latent and mask 1 at the walk's first latent, else zeros.
            cameras: of the T latents, from prepare_cameras.
            actions: [T] or [B, T] int64 labels, 0..80.
            timestep: 0..1000, one for all latents, or [T] or [B, T].
            latest: of the context latents only so many are attended to; None: all.
        Returns: [B, C, T, h, w], in the model's dtype.
        """
        with self.ranks.together("denoise", latents, cond, cameras, actions, timestep, cache, latest):
            graphs, key = self._recordable(cache)
            constants = self._chunk_constants(cameras, latents, cache.num_context, graphs)
            shown: BlockCache = cache
            if latest is not None:
                assert isinstance(cache, KVCache), type(cache)
                shown = cache.show_latest(latest)
            step = partial(self._step, shown, constants)
            inputs = latents, cond, actions, self._timesteps(timestep, actions)
            if graphs is None:
                (velocity,) = step(*inputs)
            else:
                address = constants.positions.key_query.data_ptr()
                (velocity,) = graphs.run(("step", key, latest, address), step, inputs)
            return velocity

    def _encode(
        self,
        cache: PassCache,
        latents: Tensor,
        cond: Tensor,
        query: Tensor,
        key_value: Tensor,
        output: Tensor,
        actions: Tensor,
        timestep: Tensor,
        start: int | Tensor,
    ) -> Tensors:
        """Do the work of extend_context, from the latents' first position `start` on. Returns: nothing."""
        x, mods = self._enter(latents, cond), self._modulate(actions, timestep)
        positions = self.positions_of(Cameras(query, key_value, output), latents.shape[2:], start)
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            normed = positions.with_norms(block.norms())
            if index < last:
                x = block(x, mods.blocks[index], positions, normed, cache, index)
            else:
                block.store(x, mods.blocks[index], positions, normed, cache, index)
        return ()

    def _step(
        self,
        cache: BlockCache,
        constants: ChunkConstants,
        latents: Tensor,
        cond: Tensor,
        actions: Tensor,
        timestep: Tensor,
    ) -> Tensors:
        """Do the work of denoise. Returns: the velocity."""
        x, mods = self._enter(latents, cond), self._modulate(actions, timestep)
        for index, block in enumerate(self.blocks):
            normed = None if constants.normed is None else constants.normed.of_block(index)
            x = block(x, mods.blocks[index], constants.positions, normed, cache, index)
        return (self._leave(x, mods.last, latents),)

    def pack(self) -> None:
        """Join weights for serving: fewer, larger products. Parameters that were joined are released."""
        last = cast(nn.Linear, self.final_layer.adaLN_modulation[1])
        modulators = [block.img_mod.linear for block in self.blocks]
        self._modulators = PackedModulators(modulators, last, self._embed)
        del self.final_layer.adaLN_modulation
        for block in self.blocks:
            block.pack()
        lay_inputs_first(self)

    def round_weights(self) -> None:
        """Compute the linear layers of all blocks but the first and the last in 8 bits; after `pack`."""
        with self.ranks.together("round_weights"):
            self._forget_recordings()
            for block in self.blocks[1:-1]:
                block.round_weights()

    def use_regions(self, regions: Regions) -> None:
        """Compute the parts of all blocks by these functions, for example compiled ones."""
        self._forget_recordings()
        for block in self.blocks:
            block.regions = regions

    @property
    def attention(self) -> str:
        """Return the backend of attention that is used."""
        block = self.blocks[0]
        assert isinstance(block, DoubleStreamBlock), type(block)
        return block.backend

    def use_attention(self, backend: str) -> None:
        """Compute attention in all blocks by a backend of attention.attend."""
        with self.ranks.together("use_attention", backend):
            self._forget_recordings()
            for block in self.blocks:
                block.backend = backend

    def use_ranks(self, ranks: Ranks) -> None:
        """Compute passes over image tokens by several ranks. Caches and texts must be made after this."""
        self.ranks = ranks
        for block in self.blocks:
            block.ranks = ranks

    def use_graphs(self, graphs: Graphs | None) -> None:
        """Record passes and replay them; None: launch every operation anew."""
        self._graphs, self._chunk = graphs, None

    def _forget_recordings(self) -> None:
        self._chunk = None
        if self._graphs is not None:
            self._graphs.clear()

    def _recordable(self, cache: PassCache) -> tuple[Graphs | None, Hashable]:
        """Return what records passes, and what they depend on in a cache; None if nothing records."""
        if self._graphs is None or torch.is_grad_enabled() or not isinstance(cache, KVCache):
            return None, None
        if self.attention == EIGHT_BITS:  # what the cache keeps in 8 bits has no place of its own
            return None, None
        key = cache.recording_key
        return (None, None) if key is None else (self._graphs, key)

    def _timesteps(self, timestep: float | Tensor, actions: Tensor) -> Tensor:
        if isinstance(timestep, Tensor):
            return timestep
        return torch.full(actions.shape[-1:], timestep, device=self.device)

    def _enter(self, latents: Tensor, cond: Tensor) -> Tensor:
        """Embed latents: this rank's tokens, [B, T, S, H]."""
        return self.ranks.own_tokens(self.img_in(torch.cat([latents, cond.to(latents.dtype)], dim=1)))

    def _modulate(self, actions: Tensor, timestep: Tensor) -> Modulations:
        """Compute what modulates latents with these actions and timesteps, [T] or [B, T] each."""
        timestep, actions = torch.broadcast_tensors(*torch.atleast_2d(timestep, actions))
        if self._modulators is None:
            vec = self._embed(actions, timestep)
            last = self.final_layer.adaLN_modulation(vec)
            return Modulations([block.img_mod(vec) for block in self.blocks], last)
        keep = are_kept(actions) and self._graphs is None
        return cast(Modulations, self._modulators(actions, timestep, keep=keep))

    def _embed(self, actions: Tensor, timestep: Tensor) -> Tensor:
        """Embed actions and timesteps: a vector for each latent, [..., H]."""
        return self.time_in(timestep) + self.action_in(actions)

    def positions_of(self, cameras: Cameras, shape: Sequence[int], start: int | Tensor) -> TokenPositions:
        """Prepare the positions of latents, of (T, h, w). Args: start: as in rotation_table, or [T]."""
        num_latents, height, width = shape
        rows, columns = self.config.patch_size
        grid = (num_latents, height // rows, width // columns)
        table = rotation_table(self.config.rope_dims, grid, self.config.rope_theta, start, self.device)
        return prepare_positions(table, cameras)

    def _chunk_constants(
        self, cameras: Cameras, latents: Tensor, start: int, graphs: Graphs | None
    ) -> ChunkConstants:
        """Return what does not change between a chunk's denoising steps; computed in its first step."""
        kept, shape = self._chunk, latents.shape[2:]
        if kept is None or kept.cameras is not cameras or kept.key != (start, shape):
            self._chunk = None  # release its memory first
            kept = prepare_chunk(self.positions_of, self._norms, cameras, shape, start, graphs)
            if not torch.is_grad_enabled():
                self._chunk = kept
        return kept

    def _norms(self) -> Tensor:
        return torch.stack([block.norms() for block in self.blocks])

    def _leave(self, x: Tensor, modulation: Tensor, latents: Tensor) -> Tensor:
        rows, columns = self.config.patch_size
        num_tokens = latents.shape[3] // rows * (latents.shape[4] // columns)
        velocity = self.ranks.all_tokens(self.final_layer(x, modulation), num_tokens)
        pattern = "b t (h w) (c i j) -> b c t (h i) (w j)"
        return rearrange(velocity, pattern, h=latents.shape[3] // rows, i=rows, j=columns)


def _valid(tokens: Tensor, mask: Tensor) -> Tensor:
    """Keep the tokens, [B, L, H], whose mask is not 0."""
    batch, _, hidden = tokens.shape
    return tokens[mask.bool()].view(batch, -1, hidden)
