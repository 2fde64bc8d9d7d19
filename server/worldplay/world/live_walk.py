"""A walk in a world, with its decoder: makes chunks, decodes them, goes back, and is copied for the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.vae import DecoderState
from worldplay.world.chunk import Chunk, PendingChunk
from worldplay.world.clip_rollout import begin_clip_chunk
from worldplay.world.frames import count_frames
from worldplay.world.own_image import blend
from worldplay.world.pixels import pixels_to_frames, pixels_to_planes, planes_to_bytes
from worldplay.world.rollout import ChunkRollout, count_stood, finished_chunk
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.snapshot import Beginning, Snapshot, WalkedPath, since
from worldplay.world.steering import Move, Steering
from worldplay.world.walk import Path, Walk

if TYPE_CHECKING:
    from worldplay.world.world import World

STAGES = ("select", "context", "denoise")  # of making a chunk, as in its timings

Decoded = TypeVar("Decoded", covariant=True)


class Decode(Protocol[Decoded]):
    """A function of the autoencoder that decodes a stream's next latent."""

    def __call__(self, latent: Tensor, state: DecoderState, *, still: bool) -> Decoded: ...


class LiveWalk:
    """A walk with its decoder, whose state holds the previous frames."""

    def __init__(
        self,
        world: World,
        walk: Walk,
        rollout: RolloutModel,
        beginning: Beginning,
        own_image: NDArray[np.uint8] | None = None,
    ) -> None:
        """`own_image`, [H, W, 3], is blended into the first frames; None: nothing is."""
        self.walk = walk
        self.beginning = beginning
        self.taken_as: str | None = None
        self._own_image = own_image
        self._world = world
        self._rollout = rollout
        self._begun: ChunkRollout | None = None  # the newest chunk, perhaps not finished, or dropped
        self._newest: ChunkRollout | None = None  # the newest finished chunk, which can be cut
        self._behind: Tensor | None = None  # the last latent, if the decoder has decoded all but that one
        self._decoder_state: DecoderState | None = world.vae.new_decoder_state()  # None: was released
        self._num_decoded = 0  # latents

    @property
    def num_chunks(self) -> int:
        return self.walk.num_latents // self._rollout.config.chunk_latents

    @property
    def holds_context(self) -> bool:
        """Return whether the caches still hold the context of the newest finished chunk."""
        return self._newest_chunk().holds_context

    def begin_chunk(self, steering: Steering) -> PendingChunk:
        """Begin the next chunk: see rollout.ChunkRollout and clip_rollout.begin_clip_chunk."""
        if isinstance(self._rollout.transformer, BidirectionalTransformer):
            return begin_clip_chunk(self._rollout, self.walk, steering)
        self._note_finished()
        self._begun = ChunkRollout(self._rollout, self.walk)
        return self._begun.begin(steering)

    def begin_cut(self, kept: int, steering: Steering) -> PendingChunk:
        """Begin the newest finished chunk's latents from `kept` on again: see rollout.ChunkRollout.cut."""
        return self._newest_chunk().cut(kept, steering)

    def differs(self, kept: int, moves: Sequence[Move]) -> bool:
        """Return whether these moves, from the newest finished chunk's latent `kept` on, lead elsewhere."""
        return self._newest_chunk().differs(kept, moves)

    def _newest_chunk(self) -> ChunkRollout:
        self._note_finished()
        assert self._newest is not None, "expected a chunk to cut, got none"
        return self._newest

    def _note_finished(self) -> None:
        if self._begun is not None and self._begun.is_finished:
            self._newest = self._begun

    def decode(self, chunk: Chunk) -> Iterator[NDArray[np.uint8]]:
        """Decode the latents that a chunk brings, one by one. Chunks are decoded in order.

        Yields: [F, H, W, 3] uint8 RGB; F is 1 for a walk's first latent, 4 for every other.
        """
        if self._own_image is None:
            return map(pixels_to_frames, self._decode_pixels(chunk))
        return self._blend(self._own_image, chunk)

    def decode_for_encoder(self, chunk: Chunk) -> Iterator[NDArray[np.uint8]]:
        """Decode in the form that an encoder takes with the least work.

        Yields: as `decode`, or the planes [F, 3 * H / 2, W] of pixels_to_planes.
        """
        if self._own_image is not None:
            return self.decode(chunk)
        if self._world.vae.makes_planes:
            return map(planes_to_bytes, self._decode(chunk, self._world.vae.decode_planes))
        if self._world.device.type == "cpu":
            return self.decode(chunk)
        return map(pixels_to_planes, self._decode_pixels(chunk))

    def _blend(self, own_image: NDArray[np.uint8], chunk: Chunk) -> Iterator[NDArray[np.uint8]]:
        """Blend after decoding, so that the model never sees the image: it does not know that place."""
        first_frame = count_frames(self._first_latent(chunk))
        for frames in map(pixels_to_frames, self._decode_pixels(chunk)):
            yield blend(own_image, frames, first_frame)
            first_frame += len(frames)

    def _first_latent(self, chunk: Chunk) -> int:
        return chunk.index * self._rollout.config.chunk_latents + chunk.first_latent

    def _decode_pixels(self, chunk: Chunk) -> Iterator[Tensor]:
        """Decode latents one by one. Yields: [3, F, H, W] in [-1, 1]."""
        return map(itemgetter(0), self._decode(chunk, self._world.vae.decode_latent))

    @torch.inference_mode()
    def _decode(self, chunk: Chunk, decode: Decode[Decoded]) -> Iterator[Decoded]:
        """Decode latents one by one by a function."""
        if self._behind is not None:
            decode(self._behind, self._state_after(self._num_decoded), still=False)
            self._behind = None
        latents, stood = torch.split(chunk.latents, 1, dim=2), chunk.stood[chunk.first_latent :]
        for index, (latent, count) in enumerate(zip(latents, stood, strict=True), self._first_latent(chunk)):
            yield self._decode_latent(decode, latent, index, count)  # kept nowhere while the next is decoded

    def _decode_latent(self, decode: Decode[Decoded], latent: Tensor, index: int, stood: int) -> Decoded:
        """Decode the walk's latent number `index`. Args: stood: as in Chunk.stood, of this latent."""
        state = self._state_after(index)
        if self._begins_light(index):
            decode(latent, state, still=False)
        decoded = decode(latent, state, still=stood > 0)
        self._num_decoded = index + 1
        return decoded

    def _begins_light(self, index: int) -> bool:
        """Return whether another light begins at a latent.

        Such a latent is decoded twice: first, to take the place of the old light in the decoder's past, which
        would shine through for four latents.
        """
        return self._rollout.config.relights and index in self.walk.log.light_changes

    def _state_after(self, num_latents: int) -> DecoderState:
        """Return the decoder's state behind the walk's first latents."""
        if self._decoder_state is None:
            self._decoder_state = self._rebuild_decoder(num_latents)
        return self._decoder_state

    def release(self) -> None:
        """Release what can be computed again: the decoder's state, and keys and values."""
        self._decoder_state = None
        self.walk.text = []
        for kept in self.walk.kept:
            kept.forget()
        if self._num_decoded == self.walk.num_latents:  # so the newest chunk will not be cut
            self._begun = self._newest = None

    @torch.inference_mode()
    def prepare(self) -> None:
        """Compute again what was released."""
        self._state_after(self._num_decoded)
        if not self.walk.text:
            self._encode_text(self.walk.log.prompts[-1].text)

    def truncate(self, num_chunks: int) -> None:
        """Continue as if only the first `num_chunks` chunks had been made."""
        self._begun = self._newest = self._behind = None
        num_latents = num_chunks * self._rollout.config.chunk_latents
        self.walk.truncate(num_latents)
        self.walk.log.rewind(num_latents)
        self._decoder_state = self._rebuild_decoder(num_latents)
        self._num_decoded = num_latents

    def snapshot(self, first: int = 0) -> Snapshot:
        """Copy the walk from its latent `first` on to the CPU."""
        walk = self.walk
        empty = walk.image_latent.new_empty(0, *walk.image_latent[0, :, 0].shape)
        return Snapshot(
            beginning=None if first else self.beginning,
            first=first,
            latents=walk.latents.copy_from(first) if first < walk.num_latents else empty.cpu(),
            c2w=walk.c2w[first:],
            labels=walk.labels[first:],
            intrinsics=walk.intrinsics[first:],
            latches=since(walk.log.latches, first),
            prompts=since(walk.log.prompts, first),
        )

    def path(self) -> WalkedPath:
        """Return where the walk went. Nothing is copied: what the walk has is replaced, never changed."""
        walk, log = self.walk, self.walk.log
        return WalkedPath(self.beginning, walk.c2w, walk.labels, walk.intrinsics, log.latches, log.prompts)

    def take_unsaved(self) -> Snapshot:
        """Return what is not saved yet, and mark it as saved."""
        part = self.snapshot(self.walk.num_saved)
        self.walk.num_saved = part.end
        return part

    def count_unsaved(self, first: int) -> None:
        """Note that the latents from `first` on are not saved after all."""
        self.walk.num_saved = min(self.walk.num_saved, first)

    def restore(self, snapshot: Snapshot) -> None:
        """Take over all that is in a snapshot. The walk must be new."""
        walk = self.walk
        latents = snapshot.latents.to(self._world.device, self._rollout.transformer.dtype)
        path = Path(snapshot.c2w, snapshot.labels, snapshot.intrinsics, False, walk.origin.c2w)
        walk.append(latents.transpose(0, 1)[None], path)
        walk.log.restore(snapshot.latches, snapshot.prompts)
        if walk.num_latents:
            self._behind = walk.latents.gather([walk.num_latents - 1])
            self._num_decoded = walk.num_latents - 1
            self._decoder_state = self._rebuild_decoder(self._num_decoded)

    def show_last(self) -> Chunk | None:
        """Return the last latent of a restored walk as the rest of its chunk, to be decoded now.

        So its picture is seen before the next chunk is made. None: there is none, or it was seen.
        """
        latent, self._behind = self._behind, None
        if latent is None:
            return None
        walk, count = self.walk, self._rollout.config.chunk_latents
        start = walk.num_latents - count
        path = Path(
            walk.c2w[start:],
            walk.labels[start:],
            walk.intrinsics[start:],
            bumped=False,
            start=walk.c2w[max(0, start - 1)],
        )
        stood = count_stood(self._rollout, walk, path, start)
        return finished_chunk(start, count - 1, latent, path, stood, [], dict.fromkeys(STAGES, 0.0))

    @torch.inference_mode()
    def _rebuild_decoder(self, total: int) -> DecoderState:
        """Make the state behind the walk's first latents, exactly as if the decoder had decoded them all."""
        vae = self._world.vae
        if not total:
            return vae.new_decoder_state()
        reach = vae.decoder_reach
        order = [i for i in range(max(0, total - reach), total) for _ in range(1 + self._begins_light(i))]
        return vae.decoder_state_after(self.walk.latents.gather(order[-reach:]))

    @torch.inference_mode()
    def set_prompt(self, text: str) -> None:
        """Use another prompt from the next chunk on; the start image stays."""
        walk, world = self.walk, self._world
        is_known = bool(walk.text) and text == walk.log.prompt
        walk.log.change_prompt(walk.num_latents, text)
        self.taken_as = world.conditioner.taken_as(text)
        if isinstance(self._rollout.transformer, BidirectionalTransformer):  # it reads the text at every step
            walk.prompts = world.condition(text, walk.picture, walk.image_latent)
        elif not is_known:
            self._encode_text(text)

    def _encode_text(self, text: str) -> None:
        walk = self.walk
        walk.text = self._world.encode_text(text, walk.picture, walk.image_latent)
