"""Masks inside the loss, and the optimisation. On a made-up network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import test_card

from livestyle.gatys import (
    OPTIMIZERS,
    Goal,
    MaskedGoal,
    Painter,
    Weights,
    as_batch,
    as_image,
    grams_as_is,
    masked_gram,
    paint,
    set_goal,
    set_masked_goal,
)
from livestyle.image import Image, Matte
from livestyle.nets import losses
from livestyle.nets.vgg import LossNetwork

TINY, SIDE = (8, 8, 12, 12, 12), 64
IMAGE = test_card(SIDE, SIDE)
STRIPES = np.ascontiguousarray(np.tile((np.arange(SIDE) // 4 % 2 * 200).astype(np.uint8)[:, None, None], (1, SIDE, 3)))
WHOLE = np.ones((SIDE, SIDE), np.float32)


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    """One whose activations neither vanish nor grow."""
    torch.manual_seed(0)
    net = LossNetwork(TINY)
    torch.nn.init.dirac_(net.colours.weight)
    torch.nn.init.zeros_(net.colours.bias)
    for conv in map(net.conv, net.convs):
        torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        torch.nn.init.uniform_(conv.bias, -0.1, 0.1)
    return net.eval().requires_grad_(False)


def left(width: int) -> Matte:
    """A mask of the left columns."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:, :width] = 1
    return mask


def masked(network: LossNetwork, *styles: tuple[Image, Matte], weights: Weights | None = None) -> MaskedGoal:
    pairs = [(grams_as_is(network, painting), mask) for painting, mask in styles]
    goal = set_masked_goal(network, pairs, IMAGE, weights or Weights())
    assert goal
    return goal


def test_a_masked_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])  # two channels at two places
    mask = torch.tensor([[[[1.0, 0.5]]]])
    # (1 * [1, 3] [1, 3]' + 0.5 * [2, 5] [2, 5]') / 1.5
    assert torch.allclose(masked_gram(features, mask), torch.tensor([[[3.0, 8.0], [8.0, 21.5]]]) / 1.5)


def test_a_masked_gram_is_that_of_the_part_alone() -> None:
    features = torch.randn(1, 5, 8, 8)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24] = 1  # of columns 2 to 5 of the features
    assert torch.allclose(masked_gram(features, mask), losses.gram(features[..., 2:6]), atol=1e-6)


def test_a_whole_mask_is_the_plain_loss(network: LossNetwork) -> None:
    other = as_batch([np.ascontiguousarray(IMAGE[::-1])], "cpu")
    plain: Goal = set_goal(network, grams_as_is(network, STRIPES), IMAGE)
    ours, theirs = masked(network, (STRIPES, WHOLE)).losses(other), plain.losses(other)
    assert {name: float(ours[name]) for name in theirs} == pytest.approx({n: float(v) for n, v in theirs.items()})
    halves = masked(network, (STRIPES, WHOLE / 2), (STRIPES, WHOLE / 2)).losses(other)
    assert float(halves["total"]) == pytest.approx(float(ours["total"]))


def test_weights_weigh_their_terms(network: LossNetwork) -> None:
    other = as_batch([np.ascontiguousarray(IMAGE[::-1])], "cpu")
    terms = masked(network, (STRIPES, WHOLE), weights=Weights(2, 3, 5)).losses(other)
    assert float(terms["total"]) == pytest.approx(
        2 * float(terms["content"]) + 3 * float(terms["style"]) + 5 * float(terms["tv"])
    )


def test_what_no_part_covers_has_no_gradient_and_no_say(network: LossNetwork) -> None:
    goal = masked(network, (STRIPES, left(40)))
    picture = as_batch([IMAGE], "cpu").contiguous().requires_grad_()
    (gradient,) = torch.autograd.grad(goal.losses(picture)["total"], picture)
    assert gradient[..., 40:].abs().max() == 0 < gradient[..., :40].abs().max()
    other = picture.detach().clone()
    other[..., 40:] = 0
    assert torch.equal(goal.losses(other)["total"], goal.losses(picture)["total"])


def test_a_part_that_is_not_there_is_left_out(network: LossNetwork) -> None:
    grams = grams_as_is(network, STRIPES)
    assert set_masked_goal(network, [(grams, 0 * WHOLE)], IMAGE, Weights()) is None
    goal = set_masked_goal(network, [(grams, 0 * WHOLE), (grams, WHOLE)], IMAGE, Weights())
    assert goal
    assert len(goal.parts) == 1


def test_the_gradient_is_that_of_finite_differences(network: LossNetwork) -> None:
    goal = masked(network, (STRIPES, left(24)), (IMAGE, WHOLE - left(24)), weights=Weights(1, 10, 0.1))
    torch.manual_seed(1)
    picture = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    (gradient,) = torch.autograd.grad(goal.losses(picture)["total"], picture)
    for direction in (gradient / gradient.norm(), (gradient.sign() * torch.rand_like(gradient)) / SIDE):
        with torch.no_grad():
            up, down = (float(goal.losses(picture + step * direction)["total"]) for step in (0.01, -0.01))
        assert (up - down) / 0.02 == pytest.approx(float((gradient * direction).sum()), rel=0.02)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_falls(network: LossNetwork, optimizer: str) -> None:
    goal = masked(network, (STRIPES, left(24)), (np.ascontiguousarray(IMAGE[::-1]), WHOLE - left(24)))
    painter = Painter(goal, IMAGE, optimizer)
    totals = [painter.now().losses["total"]] + [painter.step().losses["total"] for _ in range(20)]
    assert painter.iteration == 20
    assert totals[-1] < 0.9 * totals[0]
    if optimizer == "lbfgs":  # whose line search takes no step up; Adam has none
        assert all(after < before for before, after in pairwise(totals)), totals


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_painter_goes_on_from_its_state(network: LossNetwork, optimizer: str) -> None:
    goal = masked(network, (STRIPES, left(24)))
    whole, first = Painter(goal, IMAGE, optimizer), Painter(goal, IMAGE, optimizer)
    for _ in range(8):
        there = whole.step()
    for _ in range(4):
        first.step()
    second = Painter(goal, np.zeros_like(IMAGE), optimizer)
    second.load_state(first.state())
    for _ in range(4):
        here = second.step()
    assert here.iteration == there.iteration == 8
    assert here.losses == pytest.approx(there.losses, rel=1e-5)
    assert np.abs(here.image.astype(int) - there.image).max() <= 1


def test_paint_is_the_painter(network: LossNetwork) -> None:
    goal = set_goal(network, grams_as_is(network, STRIPES), IMAGE)
    painter = Painter(goal, IMAGE)
    expected = [painter.now(), painter.step(), painter.step()]
    assert [p.losses for p in paint(goal, IMAGE, 2)] == [p.losses for p in expected]
    assert np.array_equal(as_image(as_batch([IMAGE], "cpu")), IMAGE)
