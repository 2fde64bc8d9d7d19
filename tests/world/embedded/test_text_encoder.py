"""The embedded world's prompt reader: a state a word, or a few words, whatever else is in the batch."""

import pytest
import torch

from worldplay.world.embedded.byte_t5 import ByteT5, TextConfig
from worldplay.world.embedded.text_encoder import MAX_STATES, TextReader


@pytest.fixture(scope="module")
def reader() -> TextReader:
    torch.manual_seed(0)
    config = TextConfig(d_model=16, d_kv=8, d_ff=32, num_heads=2, num_layers=1)
    return TextReader(ByteT5(config).requires_grad_(False).eval())


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("", 1),
        ("   ", 1),
        ("night", 1),
        ("the  court\tat night", 4),
        ("näkymä 夜 🌙", 3),
        ("a " * MAX_STATES, MAX_STATES),
        ("a " * (MAX_STATES + 1), MAX_STATES),
        ("a " * 3000, MAX_STATES),
    ],
)
def test_every_word_has_a_part_in_a_state(reader: TextReader, prompt: str, count: int) -> None:
    (states,) = reader.read([prompt])
    assert states.shape == (count, 16)
    assert states.isfinite().all()


def test_neighbours_in_a_batch_and_case_do_not_matter(reader: TextReader) -> None:
    long = "one two three four five six seven eight nine ten eleven"
    alone = [reader.read([prompt])[0] for prompt in ("snow", "the court at night", long)]
    together = reader.read(["SNOW", "The Court at Night", long.upper()])
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_very_long_word_is_cut(reader: TextReader) -> None:
    (states,) = reader.read(["x" * 600])
    assert states.shape == (3, 16)


@pytest.mark.parametrize("word", ["castle", "Straße", "城"])
def test_the_last_word_of_a_long_prompt_counts(reader: TextReader, word: str) -> None:
    day, night = reader.read([f"a {word} " * 600 + "by day", f"a {word} " * 600 + "by night"])
    assert torch.equal(day[0], night[0])
    assert not torch.allclose(day[-1], night[-1], atol=1e-4)


def test_other_words_give_other_states(reader: TextReader) -> None:
    day, night = reader.read(["by day", "by night"])
    assert not torch.allclose(day, night, atol=1e-2)
