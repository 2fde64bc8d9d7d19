"""The encoder's states of many prompts, by light and number of words."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.prompts import LONG_SHARE, draw_prompt
from training.text_stage import PLAIN
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.embedded.text_encoder import TextReader

NUM_PROMPTS = 4000

States = NDArray[np.float32]  # [words, D]


class PromptBook:
    """States of prompts."""

    def __init__(self, by_words: dict[int, list[list[States]]], plain: Tensor) -> None:
        self._by_words = {n: lights for n, lights in by_words.items() if all(lights)}
        sizes = [sum(map(len, lights)) for lights in self._by_words.values()]
        self._shares = np.array(sizes) / sum(sizes)
        self.plain = plain  # [lights, words, D], one prompt each

    def draw(self, rng: np.random.Generator, lights: Sequence[int]) -> list[States]:
        """Draw a prompt for each light, all with the same number of words."""
        words = rng.choice(list(self._by_words), p=self._shares)
        choices = [self._by_words[int(words)][light] for light in lights]
        return [prompts[rng.integers(len(prompts))] for prompts in choices]


@torch.inference_mode()
def read_prompts(reader: TextReader, seed: int, count: int = NUM_PROMPTS) -> PromptBook:
    """Draw prompts and encode them."""
    rng = np.random.default_rng(seed)
    by_words: dict[int, list[list[States]]] = defaultdict(lambda: [[] for _ in LIGHTS])
    drawn = [draw_prompt(rng, is_long=rng.random() < LONG_SHARE) for _ in range(count)]
    for start in range(0, count, 100):
        part = drawn[start : start + 100]
        for states, (_, light) in zip(reader.read([text for text, _ in part]), part, strict=True):
            by_words[len(states)][light].append(states.numpy().copy())
    return PromptBook(dict(by_words), torch.stack(reader.read(PLAIN)))
