"""Runs the cases of whole rollouts, autoregressive and bidirectional, with the stored noise."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from goldens.cases import Case
from goldens.networks import ObservedTransformer, build, text_inputs
from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning
from worldplay.model.kv_cache import TextKV
from worldplay.model.scheduler import sigmas, timesteps
from worldplay.world.camera import invert_pose
from worldplay.world.clip_rollout import begin_clip_chunk
from worldplay.world.rollout import ChunkRollout
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.walk import OpenGround, Walk

_MEMORY_LATENTS, _RECENT_LATENTS = 20, 12


def run_bidirectional(case: Case) -> dict[str, Tensor]:
    model = build(BidirectionalTransformer, case)
    inputs = case.placed
    velocity = model(
        inputs["latents"].to(model.dtype),
        inputs["cond"],
        model.prepare_cameras(inputs["viewmats"], inputs["Ks"]),
        inputs["action"],
        inputs["timestep"],
        Conditioning(*text_inputs(inputs, case.meta.get("task"))),
        inputs["timestep_txt"],
    )
    return {"noise_pred": velocity}


def run_bidirectional_rollout(case: Case) -> dict[str, Tensor]:
    prompts = [
        Conditioning(*text_inputs(case.placed, case.meta.get("task"), prefix)) for prefix in _branches(case)
    ]
    config, cameras = _rollout_config(case), _placed(case)
    transformer = build(BidirectionalTransformer, case)
    model = RolloutModel(transformer, [], case.inputs["points_local"].numpy(), config)
    walk = _ReplayedWalk(case, cameras[0], prompts=prompts)
    got = _schedule(config)
    for index in range(case.inputs["noise"].shape[2] // config.chunk_latents):
        chunk = begin_clip_chunk(model, walk, _rest(cameras, walk)).finish()
        got[f"latents.after{index}"] = chunk.latents
        got[f"selected.{index}"] = torch.tensor(chunk.context, dtype=torch.int64)
    got["latents"] = walk.latents.gather(range(walk.num_latents))
    return got


def run_rollout(case: Case) -> dict[str, Tensor]:
    transformer = build(ObservedTransformer, case)
    texts = [
        transformer.encode_text(*text_inputs(case.placed, case.meta.get("task"), prefix))
        for prefix in _branches(case)
    ]
    config = _rollout_config(case)
    height, width = case.inputs["noise"].shape[3:]
    caches = [transformer.new_cache((height, width), text.length, config.memory_latents) for text in texts]
    model = RolloutModel(transformer, caches, case.inputs["points_local"].numpy(), config)
    cameras = _placed(case)
    walk = _ReplayedWalk(case, cameras[0], text=texts)
    got = _schedule(config)
    for index in range(case.inputs["noise"].shape[2] // config.chunk_latents):
        chunk = ChunkRollout(model, walk).begin(_rest(cameras, walk)).finish()
        got[f"selected.{index}"] = torch.tensor(chunk.context, dtype=torch.int64)
        # A step's input is the previous step's output; every branch gets it once.
        traces = [*transformer.take_observed()[len(texts) :: len(texts)], chunk.latents]
        got |= {f"trace.chunk{index}.step{step}": trace for step, trace in enumerate(traces)}
    got["latents"] = walk.latents.gather(range(walk.num_latents))
    return got


class _ReplayedWalk(Walk):
    """A walk with the case's noise."""

    def __init__(
        self,
        case: Case,
        origin: PosedCamera,
        *,
        text: Sequence[TextKV] = (),
        prompts: Sequence[Conditioning] = (),
    ) -> None:
        super().__init__(
            text=list(text),
            prompts=list(prompts),
            picture=Image.new("RGB", (1, 1)),
            image_latent=case.placed["image_latent"],
            seed=0,
            ground=OpenGround(),
            origin=origin,
        )
        self._noise = case.inputs["noise"]

    def draw_noise(self, start: int, num_latents: int) -> Tensor:
        return self._noise[:, :, start : start + num_latents]


class _Trajectory:
    """Steering along the case's cameras."""

    def __init__(self, steps: Sequence[Move]) -> None:
        self._steps = steps

    def predict(self, num_latents: int) -> list[Move]:
        return list(self._steps[:num_latents])

    latch = predict


def _rest(cameras: list[PosedCamera], walk: Walk) -> _Trajectory:
    """Return the steering along the cameras after the walk's latest one."""
    return _Trajectory(cameras[max(1, walk.num_latents) :])


def _placed(case: Case) -> list[PosedCamera]:
    c2w = invert_pose(case.inputs["viewmats"][0].numpy())
    labels, intrinsics = case.inputs["action"][0].tolist(), case.inputs["Ks"][0].numpy()
    return [PosedCamera(*camera) for camera in zip(c2w, labels, intrinsics, strict=True)]


def _branches(case: Case) -> list[str]:
    """Prefixes of the inputs of each guidance branch, the prompt's own last."""
    return ["negative.", "text."] if "negative.text_states" in case.inputs else ["text."]


def _rollout_config(case: Case) -> RolloutConfig:
    meta = case.meta
    return RolloutConfig(
        chunk_latents=meta["chunk_latents"],
        memory_latents=_MEMORY_LATENTS,
        recent_latents=_RECENT_LATENTS,
        context_timestep=float(meta["stabilization_timestep"]),
        steps=meta["steps"],
        shift=float(meta["shift"]),
        guidance=float(meta.get("guidance", 1.0)),
    )


def _schedule(config: RolloutConfig) -> dict[str, Tensor]:
    levels = sigmas(config.steps, config.shift)
    return {"sigmas": levels, "timesteps": timesteps(levels)}
