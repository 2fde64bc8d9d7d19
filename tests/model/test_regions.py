import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounterWithBackend

from support.tiny import TINY, make_latents, make_model, make_text
from worldplay.model.kv_cache import KVCache
from worldplay.model.regions import MLP, compile_regions, modulated_norm


def test_modulated_norm_is_per_latent() -> None:
    x = torch.randn(1, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    shift, factor = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    normed = F.layer_norm(x, (8,), eps=1e-6)
    expected = torch.stack([normed[0, 0] + 1, 2 * normed[0, 1] + 2])[None]
    torch.testing.assert_close(
        modulated_norm(x, shift.expand(1, 2, 1, 8), factor.expand(1, 2, 1, 8)), expected
    )


def test_mlp_uses_the_tanh_approximation() -> None:
    mlp = MLP(1, 1)
    for parameter in mlp.parameters():
        torch.nn.init.ones_(parameter)
    torch.testing.assert_close(mlp(torch.tensor([1.0])), torch.tensor([2.9545977]))


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize("tokens_first", [False, True])
@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
def test_blocks_share_graphs_that_compute_the_same(compiler: str, tokens_first: bool) -> None:
    torch.compiler.reset()
    counter = CompileCounterWithBackend(compiler)
    velocities = []
    for regions in (None, compile_regions(counter)):
        model = make_model()
        cache = KVCache(2, 2, 16, 24, 8, 8, model.device, model.dtype, tokens_first=tokens_first)
        cache.set_text(make_text(model))
        model.pack()
        if regions is not None:
            model.use_regions(regions)
        model.encode_context(*make_latents(model, 4).arguments(), cache)
        velocities.append(model.denoise(*make_latents(model, 4, seed=3).arguments(), 625.0, cache))
    torch.testing.assert_close(*velocities)
    assert counter.frame_count <= 4, "two blocks, in two passes over four latents"
    assert TINY.blocks == 2


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_mlp_is_the_same_without_gradients(dtype: torch.dtype, tolerance: float) -> None:
    mlp, x = MLP(1, 1).to(dtype), torch.linspace(-9, 9, 64, dtype=dtype)[:, None]
    for parameter, value in ((mlp.fc1.weight, 1), (mlp.fc1.bias, 0), (mlp.fc2.weight, 1), (mlp.fc2.bias, 0)):
        torch.nn.init.constant_(parameter, value)
    torch.testing.assert_close(mlp(x), F.gelu(x, approximate="tanh"), atol=tolerance, rtol=tolerance)
