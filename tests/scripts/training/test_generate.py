"""Walks generated side by side for training are those that the server would generate."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from support.rollouts import rollout
from support.tiny import TINY, make_model
from training.chunks import CHUNK
from training.data import plan_walk
from training.export import TRAINED_ROLLOUT
from training.generate import choose_contexts, generate
from training.latent_walks import LatentWalks, WalkTable
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.context import NUM_POINTS, sample_points
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.embedded.conditioner import describe
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import PosedCamera, TrajectorySteering
from worldplay.world.walk import OpenGround, Walk

SEEDS, NUM_CHUNKS, GRID = (0, 4), 6, (2, 4)  # with six chunks, the last ones have retrieved context


def make_walks() -> LatentWalks:
    random = torch.Generator().manual_seed(0)
    plans = [plan_walk(seed, CHUNK * NUM_CHUNKS, from_view=True) for seed in SEEDS]
    table = WalkTable(
        c2w=np.stack([plan.c2w for plan in plans]),
        labels=np.stack([plan.labels() for plan in plans]),
        lights=np.array([[0], [2]]).repeat(CHUNK * NUM_CHUNKS, axis=1),
        views=np.array([plan.view for plan in plans]),
    )
    return LatentWalks(
        plans=table,
        latents=torch.zeros(len(SEEDS), CHUNK * NUM_CHUNKS, 4, *GRID),
        images=torch.randn(len(VIEWPOINTS), 4, *GRID, generator=random),
    )


class GivenNoise(Walk):
    """Takes its noise, [1, C, T, h, w], from outside."""

    noise: torch.Tensor

    def draw_noise(self, start: int, num_latents: int) -> torch.Tensor:
        return self.noise[:, :, start : start + num_latents]


@torch.inference_mode()
def serve(
    model: WorldPlayTransformer, walks: LatentWalks, row: int, prompt: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """The latents of a walk, [T, C, h, w], as the server makes them."""
    view, image = walks.plans.views[row], walks.images[walks.plans.views[row]][None, :, None]
    told = describe(prompt, model.config.byt5_dim, image)
    text = model.encode_text(
        told.text_states, told.text_mask, told.byt5_states, told.byt5_mask, told.vision_states
    )
    walk = GivenNoise([text], Image.new("RGB", (1, 1)), image, seed=0, ground=OpenGround())
    walk.noise = noise
    c2w = np.linalg.inv(VIEWPOINTS[view].c2w) @ walks.plans.c2w[row]
    steps = [PosedCamera(*camera) for camera in zip(c2w, walks.plans.labels[row].tolist(), strict=True)][1:]
    cache = model.new_cache(GRID, text.length, TRAINED_ROLLOUT.memory_latents)
    served = RolloutModel(model, [cache], sample_points(NUM_POINTS, 0), TRAINED_ROLLOUT)
    chunks = zip(range(NUM_CHUNKS), rollout(served, walk, TrajectorySteering(steps)), strict=False)
    return torch.cat([chunk.latents[0].transpose(0, 1) for _, chunk in chunks])


def test_the_server_would_make_the_same_latents_from_the_same_noise() -> None:
    model, walks = make_model(replace(TINY, vision_dim=4)), make_walks()
    prompts = torch.randn(4, 2, TINY.text_dim, generator=torch.Generator().manual_seed(1))
    contexts = [choose_contexts(NUM_CHUNKS, c2w) for c2w in walks.plans.c2w]
    made = generate(model, walks, [0, 1], contexts, torch.Generator().manual_seed(2), prompts)
    generator = torch.Generator().manual_seed(2)
    noise = torch.cat(
        [torch.randn(2, 4, CHUNK, *GRID, generator=generator) for _ in range(NUM_CHUNKS)], dim=2
    )
    for row, light in enumerate(walks.plans.lights[:, 0]):
        served = serve(model, walks, row, prompts[light], noise[row : row + 1])
        torch.testing.assert_close(made[row], served, atol=1e-4, rtol=1e-4)
