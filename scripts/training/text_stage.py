"""Trains the embedded world's text encoder: each word's state shall tell the light that is asked for."""

from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from training.progress import Progress
from training.prompts import draw_prompt
from worldplay.world.court import LIGHTS
from worldplay.world.court_text import TextConfig, TextReader, make_text_model

EMBEDDED_TEXT = TextConfig(d_model=64, d_kv=16, d_ff=128, num_heads=4, num_layers=2)

STEPS, BATCH, RATE, WARMUP = 2000, 64, 3e-3, 50


def train_text(folder: Path) -> None:
    """Leave text.safetensors in the folder; the first rank does it all, in a minute or two."""
    if dist.get_rank():
        return
    torch.manual_seed(0)
    rng, progress = np.random.default_rng(0), Progress(folder, "text")
    reader, judge = TextReader(make_text_model(EMBEDDED_TEXT)), nn.Linear(EMBEDDED_TEXT.d_model, len(LIGHTS))
    parameters = [*reader.model.parameters(), *judge.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP) * (1 - step / STEPS)
    )
    for step in range(1, STEPS + 1):
        loss, share_right = judge_prompts(reader, judge, *draw_prompts(rng, BATCH))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            progress.report(step, step / STEPS, 0.0, {"loss": loss.item(), "right": share_right})
    progress.draw()
    weights = {name: weight.contiguous() for name, weight in reader.model.named_parameters()}
    save_file(weights, folder / "text.safetensors")  # the tied table once


def draw_prompts(rng: np.random.Generator, count: int) -> tuple[list[str], Tensor]:
    prompts, lights = zip(*(draw_prompt(rng) for _ in range(count)), strict=True)
    return list(prompts), torch.tensor(lights)


def judge_prompts(
    reader: TextReader, judge: nn.Linear, prompts: list[str], lights: Tensor
) -> tuple[Tensor, float]:
    """Cross-entropy of every word's guess, and the share of prompts whose mean guess is right."""
    states = reader.read(prompts)
    counts = torch.tensor([len(one) for one in states])
    guesses = judge(torch.cat(states))
    loss = nn.functional.cross_entropy(guesses, lights.repeat_interleave(counts))
    means = torch.stack([guess.mean(0) for guess in torch.split(guesses, counts.tolist())])
    return loss, float((means.argmax(1) == lights).float().mean())
