"""A loaded world: opens walks, encodes prompts, and decodes latents to frames."""

import gc
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning
from worldplay.model.kv_cache import TextKV
from worldplay.model.vae import StreamingVAE
from worldplay.world.chunk import Chunk, PendingChunk
from worldplay.world.clip_rollout import begin_clip_chunk
from worldplay.world.frames import count_frames
from worldplay.world.own_image import blend, find_nearest
from worldplay.world.pictures.fit import StartPicture, cut_picture
from worldplay.world.pixels import image_to_pixels, pixels_to_frames, pixels_to_planes
from worldplay.world.rollout import ChunkRollout, RolloutModel
from worldplay.world.steering import Move, Steering, WalkRequest
from worldplay.world.walk import Ground, Walk

# How a visitor's own image is used: as the place to walk in, or blended into the most similar view.
OwnPictures: TypeAlias = Literal["as_is", "nearest_view"]

FPS = 24
REMEMBERED_IMAGES = 16
NEGATIVE_PROMPT = ""  # what guidance leads away from


@dataclass(frozen=True, slots=True)
class StartView:
    """A place where a walk may start."""

    name: str
    title: str
    image: Image.Image
    preview: bytes  # the image as a JPEG
    make_ground: Callable[[], Ground]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prompt under a short name."""

    title: str
    prompt: str


class Conditioner(Protocol):
    """A model's encoders of prompts and start images."""

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning: ...

    def taken_as(self, prompt: str) -> str | None:
        """Find the title of the suggestion that a prompt is taken as; None if the model follows any text."""
        ...


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


def pick_view(views: Sequence[Named], name: str | None) -> Named:
    """Find a view by name; None is the first view. Raises: ValueError naming the known views."""
    if name is None:
        return views[0]
    for view in views:
        if view.name == name:
            return view
    known = ", ".join(view.name for view in views)
    raise ValueError(f"unknown view {name!r}; expected one of {known}")


@dataclass(frozen=True, slots=True)
class World:
    """One model with its start views.

    Only the thread that owns the model may open walks and call their methods. Methods that only use pictures
    and names may be called from any thread.
    """

    name: str
    title: str
    width: int
    height: int
    views: tuple[StartView, ...]  # the first is the default
    rollout: RolloutModel
    vae: StreamingVAE
    conditioner: Conditioner
    text_in_use: Callable[[], AbstractContextManager[object]] = nullcontext  # around every text pass
    suggestions: tuple[Suggestion, ...] = ()  # the first is what the world looks like without a prompt
    sights: tuple[str, ...] = ()  # things worth finding
    own_pictures: OwnPictures = "as_is"
    codec: str = "libx264"  # encodes live video; FFmpeg's name
    max_sessions: int | None = None  # there is memory for this many; None: not limited by memory
    _image_latents: LRUCache[bytes, Tensor] = field(default_factory=lambda: LRUCache(REMEMBERED_IMAGES))

    @property
    def fps(self) -> int:
        return FPS

    @property
    def device(self) -> torch.device:
        return self.rollout.transformer.device

    @property
    def can_walk(self) -> bool:
        """Return whether walks can be steered live; if not, the model only makes clips."""
        return not isinstance(self.rollout.transformer, BidirectionalTransformer)

    @property
    def chunk_latents(self) -> int:
        return self.rollout.config.chunk_latents

    @torch.inference_mode()
    def open_walk(self, request: WalkRequest) -> "LiveWalk":
        """Open a walk at a view. `own_pictures` says what becomes of a picture.

        Raises: ValueError naming the known views.
        """
        view = self.start_view(request.view, request.picture)
        picture, own_image = request.picture or self.cut(view.image), None
        if request.picture is not None and self.own_pictures == "nearest_view":
            picture, own_image = self.cut(view.image), np.asarray(request.picture.fitted)
        walk = Walk(
            text=[],
            picture=picture.siglip,
            image_latent=self.encode_image(picture.fitted),
            seed=secrets.randbits(32) if request.seed is None else request.seed,
            ground=view.make_ground(),
        )
        if request.origin is not None:
            walk.origin = request.origin
        opened = LiveWalk(self, walk, self._rollout_with(request.steps), own_image)
        opened.set_prompt(request.prompt or "")
        return opened

    def cut(self, image: Image.Image) -> StartPicture:
        """Cut an RGB image to start a walk with. Any thread."""
        return cut_picture(image, self.width, self.height)

    def encode_image(self, picture: Image.Image) -> Tensor:
        """Encode a start image in the world's size: [1, C, 1, h, w] float32. The latest are cached."""
        digest = sha256(picture.tobytes()).digest()
        if digest not in self._image_latents:
            pixels = image_to_pixels(picture).to(self.device)
            self._image_latents[digest] = self.vae.encode_image(pixels).float()
        return self._image_latents[digest]

    def _rollout_with(self, steps: int | None) -> RolloutModel:
        """Return the rollout with this many denoising steps; None: the model's own number."""
        if steps is None:
            return self.rollout
        return replace(self.rollout, config=replace(self.rollout.config, steps=steps))

    def start_view(self, name: str | None, picture: StartPicture | None) -> StartView:
        """Choose the start view: by name, or the most similar to a picture that the model cannot show.

        Raises: ValueError naming the known views.
        """
        if name is None and picture is not None and self.own_pictures == "nearest_view":
            return self.views[find_nearest(picture.fitted, [view.image for view in self.views])]
        return self.find_view(name)

    def find_view(self, name: str | None) -> StartView:
        """Find a view by name; None is the first. Raises: ValueError naming the known views."""
        return pick_view(self.views, name)

    def encode_text(self, prompt: str, picture: Image.Image, image_latent: Tensor) -> list[TextKV]:
        """Run the text pass for a prompt and a start image; one result per guidance branch."""
        inputs = self.condition(prompt, picture, image_latent)
        with self.text_in_use():
            return [
                self.rollout.transformer.encode_text(
                    branch.text_states,
                    branch.text_mask,
                    branch.byt5_states,
                    branch.byt5_mask,
                    branch.vision_states,
                )
                for branch in inputs
            ]

    def condition(self, prompt: str, picture: Image.Image, image_latent: Tensor) -> list[Conditioning]:
        """Encode a prompt and a start image; one result per guidance branch, the prompt's own last."""
        prompts = [prompt] if self.rollout.config.guidance == 1.0 else [NEGATIVE_PROMPT, prompt]
        return [self.conditioner.encode(text, picture, image_latent) for text in prompts]

    def free_memory(self) -> None:
        """Release what the allocator caches, after running out of memory."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class LiveWalk:
    """A walk with its decoder, whose state holds the previous frames."""

    def __init__(
        self, world: World, walk: Walk, rollout: RolloutModel, own_image: NDArray[np.uint8] | None = None
    ) -> None:
        """`own_image`, [H, W, 3], is blended into the first frames; None: nothing is."""
        self.walk = walk
        self.taken_as: str | None = None
        self._own_image = own_image
        self._world = world
        self._rollout = rollout
        self._begun: ChunkRollout | None = None  # the newest chunk, perhaps not finished, or dropped
        self._newest: ChunkRollout | None = None  # the newest finished chunk, which can be cut
        self._decoder_state = world.vae.new_decoder_state()

    @property
    def num_chunks(self) -> int:
        return self.walk.num_latents // self._rollout.config.chunk_latents

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
            return map(pixels_to_frames, self._decode(chunk.latents))
        return self._blend(self._own_image, chunk)

    def decode_for_encoder(self, chunk: Chunk) -> Iterator[NDArray[np.uint8]]:
        """Decode in the form that an encoder takes with the least copying.

        Yields: as `decode`; on a GPU the planes [F, 3 * H / 2, W] of pixels_to_planes.
        """
        if self._world.device.type == "cpu" or self._own_image is not None:
            return self.decode(chunk)
        return map(pixels_to_planes, self._decode(chunk.latents))

    def _blend(self, own_image: NDArray[np.uint8], chunk: Chunk) -> Iterator[NDArray[np.uint8]]:
        """Blend after decoding, so that the model never sees the image: it does not know that place."""
        latent = chunk.index * self._rollout.config.chunk_latents + chunk.first_latent
        first_frame = count_frames(latent)
        for frames in map(pixels_to_frames, self._decode(chunk.latents)):
            yield blend(own_image, frames, first_frame)
            first_frame += len(frames)

    @torch.inference_mode()
    def _decode(self, latents: Tensor) -> Iterator[Tensor]:
        """Decode latents one by one. Yields: [3, F, H, W] in [-1, 1]."""
        for latent in torch.split(latents, 1, dim=2):
            yield self._world.vae.decode_latent(latent, self._decoder_state)[0]

    def truncate(self, num_chunks: int) -> None:
        """Continue as if only the first `num_chunks` chunks had been made."""
        self._begun = self._newest = None
        self.walk.truncate(num_chunks * self._rollout.config.chunk_latents)
        self._decoder_state = self._world.vae.new_decoder_state()
        if self.walk.latents:
            total = self.walk.num_latents
            first = max(0, total - self._world.vae.latents_for_past)
            for _ in self._decode(self.walk.latents.gather(range(first, total))):
                pass

    @torch.inference_mode()
    def set_prompt(self, text: str) -> None:
        """Use another prompt from the next chunk on; the start image stays."""
        walk, world = self.walk, self._world
        self.taken_as = world.conditioner.taken_as(text)
        if isinstance(self._rollout.transformer, BidirectionalTransformer):  # it reads the text at every step
            walk.prompts = world.condition(text, walk.picture, walk.image_latent)
        else:
            walk.text = world.encode_text(text, walk.picture, walk.image_latent)
