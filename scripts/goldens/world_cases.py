"""Runs the cases around the model: cameras, memory selection, image conditioning."""

import re
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from goldens.cases import Case
from worldplay.model.conditioning import condition_channels
from worldplay.world.camera import (
    DEFAULT_INTRINSICS,
    Motion,
    apply_motion,
    invert_pose,
    label_actions,
    normalize_intrinsics,
    parse_pose_string,
)
from worldplay.world.context import FieldOfView, select_context, similarity
from worldplay.world.pictures.fit import bucket_size, fit_image
from worldplay.world.pixels import image_to_pixels

Array = NDArray[np.float64]


def run_camera(case: Case) -> dict[str, Tensor]:
    got: dict[str, Tensor] = {}
    for index, entry in enumerate(case.meta["motions"]):
        parts = (repeat(Motion(**motion), count) for count, motion in entry["spec"])
        motions = list(chain.from_iterable(parts))
        intrinsics = normalize_intrinsics(np.array(entry["K"])) if "K" in entry else DEFAULT_INTRINSICS
        got |= _trajectory(f"motion.{index}", motions, intrinsics, entry.get("tps", False))
    for index, text in enumerate(case.meta["pose_strings"]):
        got |= _trajectory(f"pose.{index}", parse_pose_string(text), DEFAULT_INTRINSICS, False)
    return got


def _trajectory(name: str, motions: list[Motion], intrinsics: Array, third_person: bool) -> dict[str, Tensor]:
    c2w = build_trajectory(motions)
    labels = label_third_person(c2w) if third_person else label_actions(c2w, None)
    return {
        f"{name}.w2c": torch.from_numpy(invert_pose(c2w)),
        f"{name}.K": torch.from_numpy(np.tile(intrinsics, (len(c2w), 1, 1))),
        f"{name}.action": torch.from_numpy(labels),
    }


def build_trajectory(motions: Sequence[Motion]) -> Array:
    """Walk from the origin. Returns: c2w [n + 1, 4, 4], the identity and one pose per motion."""
    poses = [np.eye(4)]
    for motion in motions:
        poses.append(apply_motion(poses[-1], motion))
    return np.stack(poses)


def label_third_person(c2w: Array) -> NDArray[np.int64]:
    """Label poses [T, 4, 4] of a camera that orbits its subject: where it turns, it does not move."""
    labels = label_actions(c2w, None)
    rotation = labels % 9
    return np.where(rotation > 0, rotation, labels)


def run_memory(case: Case) -> dict[str, Tensor]:
    w2c, points = case.inputs["w2c"].numpy(), case.inputs["points_local"].numpy()
    got = {}
    for name in case.outputs:
        if match := re.fullmatch(r"selected\.(\d+)", name):
            got[name] = torch.tensor(select(w2c, int(match[1]), points, case.meta), dtype=torch.int64)
        elif match := re.fullmatch(r"distance\.(\d+)", name):
            got[name] = torch.from_numpy(_distances(w2c, int(match[1]), points, case.meta))
        elif match := re.fullmatch(r"similarity_([\d.]+)x([\d.]+)", name):
            view = FieldOfView(float(match[1]), float(match[2]))
            pairs = case.inputs["pairs"].tolist()
            values = [similarity(w2c[query], w2c[[other]], points, view) for query, other in pairs]
            got[name] = torch.from_numpy(np.concatenate(values))
    return got


def select(w2c: Array, start: int, points: NDArray[np.float32], meta: dict[str, Any]) -> list[int]:
    return select_context(
        w2c,
        start,
        points,
        memory_latents=meta["memory_frames"],
        recent_latents=meta["temporal_context"],
        chunk_latents=meta["pred_latents"],
    )


def _distances(w2c: Array, start: int, points: NDArray[np.float32], meta: dict[str, Any]) -> Array:
    """Average the distances of each candidate chunk's first and third latent from the queries."""
    chunk = meta["pred_latents"]
    starts = np.arange(chunk, start - meta["temporal_context"], chunk)
    queries = w2c[start : start + chunk]
    seen = [
        similarity(query, w2c[starts + offset], points) for query in queries for offset in (0, chunk // 2)
    ]
    return np.asarray(1 - np.mean(seen, axis=0))


def run_cond(case: Case) -> dict[str, Tensor]:
    image_latent, count = case.inputs["image_latent"], case.meta["latent_frames"]
    got = {
        "bucket_hw": torch.tensor([bucket_size(*size) for size in case.inputs["sizes_wh"].tolist()]),
        "cond_i2v": condition_channels(image_latent, count, first=True),
        "cond_t2v": condition_channels(image_latent, count, first=False),
    }
    for task in ("i2v", "t2v"):
        got[f"task_mask_{task}"] = got[f"cond_{task}"][0, -1, :, 0, 0]
    for name, (height, width) in case.meta["target"].items():
        image = Image.fromarray(case.inputs[f"image_u8.{name}"].numpy())
        fitted = fit_image(image, width, height)
        got[f"pixels.{name}"] = image_to_pixels(fitted)
        got[f"siglip_crop.{name}"] = torch.from_numpy(np.array(fitted))
    return got
