import torch

from support.tiny import TINY, make_latents
from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning


@torch.inference_mode()
def test_samples_with_different_text_lengths_do_not_mix() -> None:
    torch.manual_seed(0)
    model = BidirectionalTransformer(TINY).eval()
    text_mask, byt5_mask = torch.tensor([[1, 1, 0], [1, 1, 1]]), torch.tensor([[0, 0], [1, 0]])
    prompt = Conditioning(
        torch.randn(2, 3, 6), text_mask, torch.randn(2, 2, 7), byt5_mask, torch.randn(2, 2, 5)
    )
    latents = make_latents(model, 3, batch=2)
    times, text_times = torch.tensor([[14.0, 500, 500]] * 2), torch.tensor([500.0, 500.0])
    together = model(*latents.arguments(), times, prompt, text_times)
    for index in range(2):
        one = slice(index, index + 1)
        arguments = (
            latents.latents[one],
            latents.cond[one],
            latents.cameras.sample(index),
            latents.actions[one],
        )
        alone = model(*arguments, times[one], prompt.sample(index), text_times[one])
        torch.testing.assert_close(alone, together[one])


@torch.inference_mode()
def test_text_sees_the_image() -> None:
    torch.manual_seed(0)
    model = BidirectionalTransformer(TINY).eval()
    ones = torch.ones(1, 3, dtype=torch.long)
    prompt = Conditioning(torch.randn(1, 3, 6), ones, torch.randn(1, 2, 7), ones[:, :2], None)
    seen = []
    model.blocks[1].txt_attn_q.register_forward_hook(lambda _, inputs, output: seen.append(output))
    for seed in (2, 3):
        latents = make_latents(model, 2, seed=seed)
        model(*latents.arguments(), torch.full((1, 2), 500.0), prompt, torch.full((1,), 500.0))
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
