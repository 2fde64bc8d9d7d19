"""Trains the embedded world's text encoder, so that each word's state tells the requested light."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.progress import Progress
from training.prompts import LONG_SHARE, draw_prompt
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.embedded.byte_t5 import ByteT5, TextConfig
from worldplay.world.embedded.text_encoder import TextReader

EMBEDDED_TEXT = TextConfig(d_model=64, d_kv=16, d_ff=128, num_heads=4, num_layers=2)

PLAIN = ("the courtyard by day", "the courtyard at dusk", "the courtyard at night", "the courtyard in snow")

STEPS, BATCH, RATE, WARMUP = 3000, 64, 3e-3, 50
_ANCHOR = 0.3  # weight of staying near the states that an earlier version gave to PLAIN


def train_text(folder: Path, start: Path | None) -> None:
    """Train and write text.safetensors, if it is not there. Only the first rank works, for minutes.

    Args:
        start: an earlier version's weights to begin with; states stay near theirs, for its transformer.
    """
    if dist.get_rank():
        return
    path = folder / "text.safetensors"
    if path.exists():
        print(f"text is there already: delete {path} to train it anew", flush=True)
        return
    torch.manual_seed(0)
    rng, progress, began = np.random.default_rng(0), Progress(folder, "text"), time.monotonic()
    progress.forget()
    reader, judge = TextReader(ByteT5(EMBEDDED_TEXT)), nn.Linear(EMBEDDED_TEXT.d_model, len(LIGHTS))
    anchors = None
    if start is not None:
        load_text(reader, start)
        with torch.no_grad():
            anchors = torch.stack([states.mean(0) for states in reader.read(PLAIN)])
    parameters = [*reader.model.parameters(), *judge.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP) * (1 - step / STEPS)
    )
    for step in range(1, STEPS + 1):
        loss, share_right = judge_prompts(reader, judge, anchors, *draw_prompts(rng, BATCH))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % (STEPS // 20) == 0:
            numbers = {"loss": loss.item(), "right": share_right}
            progress.report(step, step / STEPS, time.monotonic() - began, numbers)
    weights = {name: weight.contiguous() for name, weight in reader.model.named_parameters()}
    partial = folder / "text.partial"
    save_file(weights, partial)
    partial.rename(path)
    progress.draw()


def draw_prompts(rng: np.random.Generator, count: int) -> tuple[list[str], Tensor]:
    """Draw `count` short prompts, or a quarter as many long ones; not mixed, as all are padded alike."""
    is_long = rng.random() < LONG_SHARE
    count = max(1, count // 4) if is_long else count
    prompts, lights = zip(*(draw_prompt(rng, is_long) for _ in range(count)), strict=True)
    return list(prompts), torch.tensor(lights)


def load_text(reader: TextReader, path: Path) -> None:
    """Load a text encoder's weights."""
    reader.model.load_state_dict(load_file(path))


def judge_prompts(
    reader: TextReader, judge: nn.Linear, anchors: Tensor | None, prompts: list[str], lights: Tensor
) -> tuple[Tensor, float]:
    """Return the cross-entropy of all words' guesses, and the share of prompts whose mean guess is right."""
    states = reader.read(prompts)
    counts = torch.tensor([len(one) for one in states])
    words, meant = torch.cat(states), lights.repeat_interleave(counts)
    guesses = judge(words)
    loss = nn.functional.cross_entropy(guesses, meant)
    if anchors is not None:
        loss = loss + _ANCHOR * nn.functional.mse_loss(words, anchors[meant])
    means = torch.stack([guess.mean(0) for guess in torch.split(guesses, counts.tolist())])
    return loss, float((means.argmax(1) == lights).float().mean())
