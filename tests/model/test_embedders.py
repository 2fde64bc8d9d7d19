import torch
from torch import nn

from worldplay.model.embedders import PatchEmbed, TokenRefiner, sinusoid


def test_sinusoid_is_cosines_then_sines() -> None:
    features = sinusoid(torch.tensor([0.0, 2.0]))
    assert features[0].tolist() == [1.0] * 128 + [0.0] * 128
    torch.testing.assert_close(
        features[1, [0, 128]],
        torch.tensor([2.0, 2.0]).cos() * torch.tensor([1.0, 0]) + torch.tensor([0, 0.9092974]),
    )


def test_patch_embed_is_the_convolution_it_stores() -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(3, 8, patch=(2, 1))
    x = torch.randn(2, 3, 5, 4, 6)
    convolved = nn.functional.conv3d(x, embed.proj.weight, embed.proj.bias, stride=(1, 2, 1))
    expected = convolved.flatten(3).permute(0, 2, 3, 1)
    torch.testing.assert_close(embed(x), expected)


def test_refiner_ignores_padding() -> None:
    torch.manual_seed(0)
    refiner = TokenRefiner(6, 16, heads=2, mlp_ratio=2.0, num_blocks=2)
    states, timestep = torch.randn(1, 5, 6), torch.zeros(1)
    mask = torch.tensor([[True, True, True, False, False]])
    padded = refiner(states, mask, timestep)[:, :3]
    torch.testing.assert_close(padded, refiner(states[:, :3], mask[:, :3], timestep))
