"""The embedded world's T5 computes what transformers' T5 does."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

from support.paths import PACKAGE
from worldplay.world.embedded.byte_t5 import MAX_DISTANCE, NUM_BUCKETS, NUM_TOKENS, ByteT5, tokenize
from worldplay.world.embedded.manifest import read_description

FOLDER = PACKAGE / "weights" / "embedded"
TEXTS = ["", "night", "näkymä 夜 🌙 ß", "a long sentence " * 60, "x"]


@pytest.fixture(scope="module")
def models() -> tuple[ByteT5, T5EncoderModel]:
    """Both models, with the weights of the embedded world."""
    sizes = read_description(FOLDER).text
    theirs = T5EncoderModel(
        T5Config(
            vocab_size=NUM_TOKENS,
            relative_attention_num_buckets=NUM_BUCKETS,
            relative_attention_max_distance=MAX_DISTANCE,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            **{name: getattr(sizes, name) for name in sizes.__dataclass_fields__},
        )
    )
    ours, weights = ByteT5(sizes), load_file(FOLDER / "text.safetensors")
    ours.load_state_dict(weights)
    theirs.load_state_dict(weights | {"encoder.embed_tokens.weight": weights["shared.weight"]})
    return ours, theirs.eval()


def test_tokens() -> None:
    tokens, mask = tokenize(TEXTS)
    theirs = ByT5Tokenizer()(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(tokens, theirs.input_ids)
    assert torch.equal(mask, theirs.attention_mask.bool())


@torch.inference_mode()
def test_states(models: tuple[ByteT5, T5EncoderModel]) -> None:
    ours, theirs = models
    tokens, mask = tokenize(TEXTS)
    expected = theirs(input_ids=tokens, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours(tokens, mask)[mask], expected[mask], atol=1e-4, rtol=1e-4)


def test_initial_weights(models: tuple[ByteT5, T5EncoderModel]) -> None:
    """Training begins with them: they are as large as transformers'."""
    _, theirs = models
    torch.manual_seed(0)
    fresh, expected = ByteT5(read_description(FOLDER).text), T5EncoderModel(theirs.config)
    for name, weight in fresh.named_parameters():
        torch.testing.assert_close(
            weight.square().mean(), expected.get_parameter(name).square().mean(), rtol=0.3, atol=0
        )
