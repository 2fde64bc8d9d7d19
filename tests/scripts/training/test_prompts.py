"""Prompts to train on, and the chunks that a light offers."""

import numpy as np
import torch

from training.chunks import find_chunks
from training.prompt_book import read_prompts
from training.prompts import draw_prompt
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.embedded.byte_t5 import ByteT5, TextConfig
from worldplay.world.embedded.text_encoder import TextReader


def test_prompts_are_fixed_by_the_generator_and_ask_for_every_light() -> None:
    drawn = [draw_prompt(np.random.default_rng(3), is_long=False) for _ in range(2)]
    assert drawn[0] == drawn[1]
    rng = np.random.default_rng(0)
    many = [draw_prompt(rng, is_long=index % 5 == 0) for index in range(400)]
    assert {light for _, light in many} == set(range(len(LIGHTS)))
    assert len({text for text, _ in many}) > 300
    assert any(not text.strip(".!") for text, light in many if LIGHTS[light] == "day")


def test_a_book_gives_prompts_of_one_length_for_all_lights() -> None:
    torch.manual_seed(0)
    config = TextConfig(d_model=16, d_kv=8, d_ff=32, num_heads=2, num_layers=1)
    book = read_prompts(TextReader(ByteT5(config)), seed=0, count=200)
    assert book.plain.shape == (len(LIGHTS), 4, 16)
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(20):
        prompts = book.draw(rng, [3, 0, 1, 2])
        assert len({prompt.shape for prompt in prompts}) == 1
        lengths.add(len(prompts[0]))
    assert len(lengths) > 1


def test_chunks_have_one_light_and_know_when_it_is_new() -> None:
    lights = np.array([[0, 0, 0, 0, 0], [1, 1, 2, 2, 2], [0, 3, 3, 3, 3]])
    found = find_chunks(lights)
    columns = found.walk, found.start, found.light, found.switched
    rows = set(zip(*(column.tolist() for column in columns), strict=True))
    assert rows == {(0, 0, 0, False), (0, 1, 0, False), (2, 1, 3, True)}
    one = found.where(found.light == 3).draw(np.random.default_rng(0))
    assert one == (2, 1)
