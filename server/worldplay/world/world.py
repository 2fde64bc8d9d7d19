"""A loaded world: opens walks, encodes prompts, and decodes latents to frames."""

import gc
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from cachetools import LRUCache
from PIL import Image
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning
from worldplay.model.kv_cache import TextKV
from worldplay.model.vae import StreamingVAE
from worldplay.world.frames import FPS
from worldplay.world.live_walk import LiveWalk
from worldplay.world.own_image import find_nearest
from worldplay.world.pictures.fit import StartPicture, crop_picture
from worldplay.world.pixels import image_to_pixels
from worldplay.world.reopening import check_fits, keep_picture, restore_picture
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.snapshot import Beginning, Snapshot, WorldIdentity, new_identity
from worldplay.world.steering import PosedCamera, WalkRequest
from worldplay.world.tier import TierName
from worldplay.world.walk import Ground, Walk
from worldplay.world.walk_log import WalkLog

# How a visitor's own image is used: as the place to walk in, or blended into the most similar view.
OwnPictures: TypeAlias = Literal["as_is", "nearest_view"]

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
    weights: str = ""  # identifies the weights: a walk goes on only with the same ones
    tier: TierName = "exact"
    levers: tuple[str, ...] = ()  # what the tier does here, and what it cannot do, in words
    max_sessions: int | None = None  # there is memory for this many; None: not limited by memory
    spare_bytes: int | None = None  # of each rank's device, beside what was planned; None: nothing was
    _image_latents: LRUCache[bytes, Tensor] = field(default_factory=lambda: LRUCache(REMEMBERED_IMAGES))

    @property
    def fps(self) -> int:
        return FPS

    @property
    def device(self) -> torch.device:
        return self.rollout.transformer.device

    @property
    def grid(self) -> tuple[int, int]:
        """Return the height and width of a latent."""
        return self.vae.config.grid((self.height, self.width))

    @property
    def can_walk(self) -> bool:
        """Return whether walks can be steered live; if not, the model only makes clips."""
        return not isinstance(self.rollout.transformer, BidirectionalTransformer)

    @property
    def chunk_latents(self) -> int:
        return self.rollout.config.chunk_latents

    @property
    def identity(self) -> WorldIdentity:
        return WorldIdentity(self.name, self.weights, (self.width, self.height))

    @torch.inference_mode()
    def open_walk(self, request: WalkRequest) -> LiveWalk:
        """Open a walk at a view, or go on with a snapshot. `own_pictures` says what becomes of a picture.

        Raises: ValueError naming the known views, or saying why the snapshot does not fit.
        """
        if request.snapshot is not None:
            return self._reopen(request.snapshot, is_saved=request.is_saved)
        given = request.picture
        beginning = Beginning(
            world=self.identity,
            view=self.start_view(request.view, given).name,
            seed=secrets.randbits(32) if request.seed is None else request.seed,
            steps=request.steps,
            origin=request.origin or PosedCamera(np.eye(4), label=0),
            attention=self.rollout.transformer.attention,
            picture=None if given is None else keep_picture(given, self.own_pictures),
            tier=self.tier,
            walk=new_identity(),
        )
        return self._open(beginning, request.prompt or "")

    def check_snapshot(self, snapshot: Snapshot) -> Beginning:
        """Return how a walk of this world began. Raises: ValueError if it cannot go on here. Any thread."""
        latent_shape = (self.vae.config.latent_channels, *self.grid)
        beginning, most = check_fits(snapshot, self.identity, latent_shape), self.rollout.config.steps
        if beginning.steps is not None and beginning.steps > most:  # others would pay for them
            raise ValueError(f"expected at most {most} denoising steps, got {beginning.steps}")
        self.find_view(beginning.view)
        return beginning

    def _reopen(self, snapshot: Snapshot, *, is_saved: bool) -> LiveWalk:
        beginning = self.check_snapshot(snapshot)
        opened = self._open(beginning, snapshot.prompts[-1].text if snapshot.prompts else "")
        opened.restore(snapshot)
        opened.walk.num_saved = snapshot.end if is_saved else 0
        return opened

    def _open(self, beginning: Beginning, prompt: str) -> LiveWalk:
        view, given = self.find_view(beginning.view), beginning.picture
        is_own = given is not None and self.own_pictures == "as_is"
        picture = restore_picture(given) if given is not None and is_own else self.crop(view.image)
        walk = Walk(
            text=[],
            picture=picture.siglip,
            image_latent=self.encode_image(picture.fitted),
            seed=beginning.seed,
            ground=view.make_ground(),
            origin=beginning.origin,
            log=WalkLog(self._look_of),
        )
        own_image = given.fitted if given is not None and not is_own else None
        opened = LiveWalk(self, walk, self._rollout_with(beginning.steps), beginning, own_image)
        opened.set_prompt(prompt)
        return opened

    def _look_of(self, prompt: str) -> str:
        """Name what a prompt looks like: prompts that are taken as the same suggestion look the same."""
        return self.conditioner.taken_as(prompt) or prompt

    def crop(self, image: Image.Image) -> StartPicture:
        """Crop an RGB image to start a walk with. Any thread."""
        return crop_picture(image, self.width, self.height)

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
