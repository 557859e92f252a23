"""Masks inside the loss, and the optimisers. On a made-up network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.image.types import Image, Matte
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.tensors import as_batch
from livestyle.stills.masked_loss import (
    Layers,
    Lens,
    MaskedGoal,
    Weights,
    masked_gram,
    normalise,
    parse_layers,
    set_masked_goal,
    stand_in,
    style_grams,
)
from livestyle.stills.optimizers import OPTIMIZERS, Lbfgs, PictureOptimizer
from livestyle.stills.reference import painting_grams, set_goal

pytestmark = pytest.mark.torch

TINY, SIDE = (8, 8, 12, 12, 12), 64
IMAGE = draw_card(SIDE, SIDE)
STRIPES = np.ascontiguousarray(np.tile((np.arange(SIDE) // 4 % 2 * 200).astype(np.uint8)[:, None, None], (1, SIDE, 3)))
WHOLE = np.ones((SIDE, SIDE), np.float32)
OTHER = as_batch([np.ascontiguousarray(IMAGE[::-1])], "cpu")


@pytest.fixture(scope="module")
def lens() -> Lens:
    """Through a network whose activations neither vanish nor grow."""
    torch.manual_seed(0)
    net = LossNetwork(TINY)
    torch.nn.init.dirac_(net.colours.weight)
    torch.nn.init.zeros_(net.colours.bias)
    for conv in map(net.conv, net.convs):
        torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        torch.nn.init.uniform_(conv.bias, -0.1, 0.1)
    return Lens(net.eval().requires_grad_(False), exact=True)


def left(width: int) -> Matte:
    """A mask of the left columns."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:, :width] = 1
    return mask


def masked(
    lens: Lens, mask: Matte = WHOLE, weights: Weights | None = None, content: Image = IMAGE, painting: Image = STRIPES
) -> MaskedGoal:
    goal = set_masked_goal(lens, style_grams(lens, [(painting, 1.0)]), content, mask, weights or Weights())
    assert goal
    return goal


def painter(goal: MaskedGoal, optimizer: str = "lbfgs", start: Image = IMAGE) -> PictureOptimizer:
    return OPTIMIZERS[optimizer](goal.losses, as_batch([start], "cpu").contiguous())


def total(painter: PictureOptimizer) -> float:
    return float(painter.terms["total"])


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


def test_a_whole_mask_is_the_plain_loss(lens: Lens) -> None:
    plain = set_goal(lens.network, painting_grams(lens.network, STRIPES), IMAGE)
    ours = masked(lens).losses(OTHER)
    assert float(ours["content"]) == pytest.approx(float(plain.losses(OTHER)["content"]))
    grams = style_grams(lens, [(STRIPES, 1.0)])
    assert float(ours["style"]) == pytest.approx(float(losses.style_loss(lens.network(OTHER), grams)))


def test_weights_weigh_their_terms(lens: Lens) -> None:
    terms = masked(lens, weights=Weights(2, 3, 5)).losses(OTHER)
    assert float(terms["total"]) == pytest.approx(
        2 * float(terms["content"]) + 3 * float(terms["style"]) + 5 * float(terms["tv"])
    )


def test_what_the_mask_does_not_cover_has_no_gradient_and_no_say(lens: Lens) -> None:
    goal = masked(lens, left(40))
    picture = as_batch([IMAGE], "cpu").contiguous().requires_grad_()
    (gradient,) = torch.autograd.grad(goal.losses(picture)["total"], picture)
    assert gradient[..., 40:].abs().max() == 0 < gradient[..., :40].abs().max()
    other = picture.detach().clone()
    other[..., 40:] = 0
    assert torch.equal(goal.losses(other)["total"], goal.losses(picture)["total"])


def test_a_plane_that_is_not_there_has_no_goal(lens: Lens) -> None:
    assert set_masked_goal(lens, style_grams(lens, [(STRIPES, 1.0)]), IMAGE, 0 * WHOLE, Weights()) is None


def test_the_gradient_is_that_of_finite_differences(lens: Lens) -> None:
    goal = masked(lens, left(24), Weights(1, 10, 0.1))
    torch.manual_seed(1)
    picture = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    (gradient,) = torch.autograd.grad(goal.losses(picture)["total"], picture)
    for direction in (gradient / gradient.norm(), (gradient.sign() * torch.rand_like(gradient)) / SIDE):
        with torch.no_grad():
            up, down = (float(goal.losses(picture + step * direction)["total"]) for step in (0.003, -0.003))
        assert (up - down) / 0.006 == pytest.approx(float((gradient * direction).sum()), rel=0.02)


@settings(deadline=None, max_examples=10)
@given(share=st.floats(0, 1, allow_subnormal=False))
def test_mixed_paintings_are_mixed_grams(lens: Lens, share: float) -> None:
    grams = style_grams(lens, [(STRIPES, share), (IMAGE, 1 - share)])
    alone = [style_grams(lens, [(painting, 1.0)]) for painting in (STRIPES, IMAGE)]
    for layer, gram in grams.items():
        torch.testing.assert_close(gram, share * alone[0][layer] + (1 - share) * alone[1][layer])


def test_normalised_filters_have_mean_one(lens: Lens) -> None:
    pictures = [IMAGE, STRIPES]
    normal = normalise(lens, pictures)
    assert normal.factors
    for layer in losses.STYLE_LAYERS:
        means = torch.stack([lens.maps(as_batch([p], "cpu"))[layer].mean((0, 2, 3)) for p in pictures]).mean(0)
        awake = means > 0.1 * means.mean()
        torch.testing.assert_close((means * normal.factors[layer])[awake], torch.ones(int(awake.sum())))
        assert normal.factors[layer].max() * means.mean() <= 10.01  # of those that hardly fire, too
    maps = lens.maps(OTHER)["relu3_1"]
    scaled = maps * normal.factors["relu3_1"][:, None, None]
    torch.testing.assert_close(normal.gram("relu3_1", maps, None), losses.gram(scaled))


def test_layers_are_chosen(lens: Lens) -> None:
    chosen = Lens(lens.network, Layers(("relu2_2", "relu3_1"), ("relu1_1",)), exact=True)
    goal = masked(chosen, weights=Weights(0, 1))
    style = (losses.gram(lens.network(OTHER)["relu1_1"]) - goal.grams["relu1_1"]).square().sum()
    assert float(goal.losses(OTHER)["total"]) == pytest.approx(float(style / goal.grams["relu1_1"].square().sum()))
    assert (chosen.layers.deepest, set(goal.content)) == ("relu3_1", {"relu2_2", "relu3_1"})


def test_layers_are_named_as_people_do() -> None:
    assert parse_layers("conv1_1, relu4_2,5_1,5_1") == ("relu1_1", "relu4_2", "relu5_1")
    for wrong in ("", "conv6_1", "fc7", "conv1-1"):
        with pytest.raises(UserError, match="not a layer"):
            parse_layers(wrong)


def test_a_layer_that_is_not_there_has_a_stand_in(lens: Lens) -> None:
    assert [stand_in(layer, lens.network) for layer in ("relu4_2", "relu5_2")] == ["relu4_2", "relu5_1"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_falls(lens: Lens, optimizer: str) -> None:
    at_work = painter(masked(lens, left(24)), optimizer)
    totals = [total(at_work)]
    for _ in range(20):
        at_work.step()
        totals.append(total(at_work))
    assert at_work.iteration == 20
    assert totals[-1] < 0.9 * totals[0]
    if optimizer == "lbfgs":  # which takes no step up; Adam may
        assert all(after < before for before, after in pairwise(totals)), totals
        assert at_work.evaluations < 30


def test_a_start_where_the_gradient_turns_at_once_is_left(lens: Lens) -> None:
    """On a plain wall the content's loss has a kink at the content itself, where a line search can end for good."""
    wall = np.full_like(IMAGE, 255)
    wall[20:40, 20:40] = IMAGE[20:40, 20:40]
    at_work = painter(masked(lens, content=wall, weights=Weights(100, 10)), start=wall)
    before = total(at_work)
    for _ in range(15):
        at_work.step()
    assert total(at_work) < 0.95 * before


def test_no_way_down_leaves_the_picture() -> None:
    at_the_bottom = Lbfgs(lambda picture: {"total": picture.square().sum()}, torch.zeros(1, 3, 4, 4))
    at_the_bottom.step()
    assert torch.equal(at_the_bottom.picture, torch.zeros(1, 3, 4, 4))


def test_a_valley_is_found_as_fast_as_newton_would() -> None:
    scales = torch.logspace(0, 3, 12).view(1, 3, 2, 2)
    valley = Lbfgs(lambda picture: {"total": (scales * (picture - 0.3).square()).sum()}, torch.zeros(1, 3, 2, 2))
    for _ in range(60):
        valley.step()
    assert (valley.picture - 0.3).abs().max() < 1e-3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_painter_goes_on_from_its_state(lens: Lens, optimizer: str) -> None:
    goal = masked(lens, left(24))
    whole, first = painter(goal, optimizer), painter(goal, optimizer)
    for _ in range(8):
        whole.step()
    for _ in range(4):
        first.step()
    second = painter(goal, optimizer, np.zeros_like(IMAGE))
    second.load_state(first.state())
    for _ in range(4):
        second.step()
    assert second.iteration == whole.iteration == 8
    assert total(second) == pytest.approx(total(whole), rel=1e-5)
    assert (second.picture - whole.picture).abs().max() < 1 / 255
