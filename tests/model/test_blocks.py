import pytest
import torch
import torch.nn.functional as F

from support.tiny import make_cache, make_latents, make_model
from worldplay.model.blocks import MLP, modulated_norm


def test_modulated_norm_is_per_latent() -> None:
    x = torch.randn(1, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    shift, scale = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    normed = F.layer_norm(x, (8,), eps=1e-6)
    expected = torch.stack([normed[0, 0] + 1, 2 * normed[0, 1] + 2])[None]
    torch.testing.assert_close(
        modulated_norm(x, shift.expand(1, 2, 1, 8), scale.expand(1, 2, 1, 8)), expected
    )


def test_mlp_uses_the_tanh_approximation() -> None:
    mlp = MLP(1, 1)
    for parameter in mlp.parameters():
        torch.nn.init.ones_(parameter)
    torch.testing.assert_close(mlp(torch.tensor([1.0])), torch.tensor([2.9545977]))


@torch.inference_mode()
@pytest.mark.slow
def test_block_compiles_without_a_graph_break() -> None:
    model = make_model()
    cache = make_cache(model)
    x, vec, place = model._enter(*make_latents(model, 4).arguments(), 500.0, 0)
    block = model.blocks[0]
    compiled = torch.compile(block, fullgraph=True, backend="eager", dynamic=False)
    torch.testing.assert_close(compiled(x, vec, place, cache), block(x, vec, place, cache))
