"""Masters learn by a recipe; the model follows them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.masters import Masters, Recipe
from training.muon import Muon

RECIPE = Recipe(
    by_muon=lambda name, weight: weight.dim() == 2,
    muon_rate=0.1,
    adam_rate=0.1,
    betas=(0.9, 0.95),
    weight_decay=0.0,
    clip=math.inf,
    average_decay=0.5,
)


def train(masters: Masters, model: nn.Linear, num_steps: int) -> None:
    for step in range(num_steps):
        torch.autograd.backward(model(torch.ones(4, 3).to(model.weight)).square().sum())
        masters.collect(0.0)
        masters.update(step, 1.0)


@pytest.mark.usefixtures("only_rank")
def test_the_model_is_a_rounded_copy_of_weights_that_learn() -> None:
    model = nn.Linear(3, 2).bfloat16()
    masters, before = Masters(model, RECIPE), model.weight.clone()
    train(masters, model, 2)
    assert not torch.equal(model.weight, before)
    weights = masters.state()["weights"]
    assert weights["weight"].dtype == torch.float32
    assert torch.equal(model.weight, weights["weight"].bfloat16())


@pytest.mark.usefixtures("only_rank")
def test_settled_weights_are_their_average() -> None:
    model = nn.Linear(3, 2)
    masters = Masters(model, RECIPE)
    train(masters, model, 3)
    average = masters.averaged_weights()["weight"].clone()
    assert not torch.equal(model.weight, average)
    masters.settle()
    assert torch.equal(model.weight, average)
    assert torch.equal(masters.state()["weights"]["weight"], average)


@pytest.mark.usefixtures("only_rank")
@pytest.mark.parametrize(("clip", "norm"), [(1.0, 1.0), (math.inf, 5.0)])
def test_gradients_are_clipped_together(clip: float, norm: float) -> None:
    model = nn.Linear(1, 1)
    masters = Masters(model, replace(RECIPE, clip=clip))
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    assert masters.collect(7.0) == [7.0]
    grads = [weight.grad.flatten() for weight in masters.state()["weights"].values()]
    assert torch.cat(grads).norm() == pytest.approx(norm, abs=1e-5)


def test_muon_without_matrices_does_nothing_on_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    Muon([], weight_decay=0.0).step(1.0)


@pytest.mark.parametrize("other", [nn.Linear(3, 5), nn.Bilinear(3, 3, 2), nn.Conv1d(3, 2, 1)])
def test_a_state_of_another_model_is_not_loaded(other: nn.Module) -> None:
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    with pytest.raises(ValueError, match="expected a state of this recipe's model"):
        Masters(model, RECIPE).load(Masters(other, RECIPE).state())
    assert torch.equal(model.weight, before)
