import torch

from support.tiny import TINY
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.released.random_weights import fill_randomly


def filled() -> WorldPlayTransformer:
    with torch.device("meta"):
        module = WorldPlayTransformer(TINY)
    return fill_randomly(module, torch.device("cpu"), torch.bfloat16)


def test_weights_are_made_on_the_device_in_the_dtype_of_inference() -> None:
    module = filled()
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("cpu", torch.bfloat16)}
    assert not any(p.requires_grad for p in module.parameters())


def test_weights_keep_signals_in_range() -> None:
    block = filled().blocks[0]
    assert block.img_attn_q.weight.float().std().item() * 32**0.5 > 0.9
    assert block.img_attn_q.bias.abs().max() == 0
    assert (block.img_attn_q_norm.weight == 1).all()


def test_no_two_rows_are_alike() -> None:
    weight = filled().txt_in.input_embedder.weight
    assert len(weight.unique(dim=0)) == len(weight)
