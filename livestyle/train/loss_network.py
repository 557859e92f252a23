"""Distil the compact loss network from VGG-19: narrower, with features that are as far apart as the whole one's.

The start is in closed form: of each layer the channels that explain the others best are kept, and the next
convolution reads all of them from those by least squares (channel pruning, He et al. 2017). Then a linear map behind
each layer that losses are taken at, a tap, is trained with the network to give the whole one's features (Collaborative
Distillation, Wang et al. 2020), Gram matrices and differences of those. The pictures are photos, paintings, and
photos on their way to a painting by the narrow network's own gradient: where it leads astray, it learns.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from livestyle.files import save_tensors, sha256
from livestyle.image.io import list_pictures, load_image
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.card import KINDS, Card, save_card
from livestyle.nets.tensors import as_batch
from livestyle.train.checkpoint import Figures, TrainingStatus, load_checkpoint, train_by_the_clock
from livestyle.train.curves import Terms
from livestyle.train.photos import random_crop

WIDTHS = (32, 64, 128, 256, 256)
LAYERS = (*losses.STYLE_LAYERS, losses.CONTENT_LAYER)  # that losses are taken at
SIDE = 128
BATCH = 2  # photos; as many paintings, and as many pictures between them
WAYS = (0, 1, 2, 4, 8, 16)  # steps from a photo towards the painting
STRIDE = 0.04  # of the first of them: the mean change of a pixel
EXAMPLES = 40  # photos and as many paintings, of which the start is computed
JUDGED = 3, 256, 30  # photos that it is judged on when it is done, their side, and iterations of the optimisation
HELD = 40  # each such photo is held out for the validation, and each tenth painting
PLACES, ROUNDS = 40_000, 5  # of the least squares of a convolution
RIDGE, RIDGE_NEAR = 1e-2, 1e-3


@dataclass(frozen=True)
class LossNetworkTraining:
    """What to distil and how; every field is a flag of `livestyle train loss-network`."""

    photos: Path
    paintings: Path
    teacher: LossNetwork
    checkpoint: Path
    minutes: float = 25.0
    learning_rate: float = 6e-5
    widths: tuple[int, ...] = WIDTHS
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True)
class Pictures:
    """Where photos and paintings are taken from."""

    photos: list[Path]
    paintings: list[Path]

    def sample(self, device: str, count: int = BATCH) -> tuple[Tensor, Tensor]:
        """Random squares of photos and of paintings, each float (N, 3, SIDE, SIDE) in [0, 1]."""
        photos, paintings = (
            as_batch([random_crop(load_image(random.choice(paths)), SIDE) for _ in range(count)], device)
            for paths in (self.photos, self.paintings)
        )
        return photos, paintings


def train_loss_network(job: LossNetworkTraining) -> Iterator[TrainingStatus]:
    """Train, or go on from the checkpoint; yields after each step."""
    seen, held = divide(job)
    random.seed(job.seed)
    torch.manual_seed(job.seed)
    teacher = job.teacher.to(job.device).to(memory_format=torch.channels_last)
    if job.checkpoint.is_file():
        net = fresh(job.widths, teacher)
    else:
        net = narrowed(teacher, job.widths, torch.cat(seen.sample(job.device, EXAMPLES)))
    net = net.to(job.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), job.learning_rate)

    def one(progress: float, _: int) -> tuple[int, Terms]:
        photos, paintings = seen.sample(job.device)
        batch = with_ways(net, photos, paintings, random.choice(WAYS))
        terms = compare(net, teacher, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return len(batch), {name: float(term.detach()) for name, term in terms.items()}

    def validate() -> Terms:
        random.seed(job.seed)
        rows = []
        for way in WAYS:
            batch = with_ways(net, *held.sample(job.device), way)
            with torch.no_grad():
                rows.append(compare(net, teacher, batch))
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    yield from train_by_the_clock({"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, one, validate)


def divide(job: LossNetworkTraining) -> tuple[Pictures, Pictures]:
    """What to train on, and what to validate on.

    Raises:
        UserError: a folder without pictures.
    """
    photos, paintings = list_pictures(job.photos), list_pictures(job.paintings)
    held = Pictures(photos[::HELD], paintings[:: HELD // 4])
    rest = Pictures([p for p in photos if p not in held.photos], [p for p in paintings if p not in held.paintings])
    return Pictures(rest.photos or held.photos, rest.paintings or held.paintings), held


def fresh(widths: tuple[int, ...], teacher: LossNetwork) -> LossNetwork:
    """A narrow network whose taps have the teacher's channels; its colours, which are the teacher's, are frozen."""
    net = LossNetwork(widths, {layer: teacher.widths[int(layer[4]) - 1] for layer in LAYERS})
    net.colours.load_state_dict(teacher.colours.state_dict())
    net.colours.requires_grad_(False)
    for conv in trained(net):
        parametrize.register_parametrization(conv, "weight", Whitened(conv), unsafe=True)
    return net


def trained(net: LossNetwork) -> list[nn.Conv2d]:
    """What the training changes."""
    return [*map(net.conv, net.convs), *map(net.tap, net.taps)]


class Whitened(nn.Module):
    """A convolution's weights as those of whitened input channels, in units of the output.

    VGG's activations are large, positive and alike: steps of equal size for each weight, as Adam takes them, add up in
    the mean of the channels and undo the start.
    """

    white: Tensor
    colour: Tensor
    unit: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer("white", torch.eye(conv.in_channels))
        self.register_buffer("colour", torch.eye(conv.in_channels))
        self.register_buffer("unit", torch.ones(()))

    def set(self, moment: Tensor, unit: Tensor) -> None:
        """Take the input's second moments (C, C) and the output's root mean square."""
        values, vectors = torch.linalg.eigh(moment.double())
        roots = (values.clamp(min=0) + RIDGE * values.mean()).sqrt()
        self.white.copy_((vectors / roots) @ vectors.T)
        self.colour.copy_((vectors * roots) @ vectors.T)
        self.unit.copy_(unit)

    def forward(self, weight: Tensor) -> Tensor:
        return self.unit * torch.einsum("oiyx,ij->ojyx", weight, self.white)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return torch.einsum("oiyx,ij->ojyx", weight, self.colour) / self.unit


@torch.no_grad()
def narrowed(teacher: LossNetwork, widths: tuple[int, ...], pictures: Tensor) -> LossNetwork:
    """The start of a training, from what the teacher makes of pictures (N, 3, H, W)."""
    net = fresh(widths, teacher).to(pictures.device)
    theirs = ours = teacher.colours(pictures)
    lift = torch.eye(3, device=pictures.device)  # from the narrow features to all
    for name in teacher.convs:
        conv, narrow = teacher.conv(name), net.conv(name)
        if name.endswith("_1") and name != "1_1":
            theirs, ours = F.max_pool2d(theirs, 2), F.max_pool2d(ours, 2)
        wanted = conv(theirs)
        theirs = F.relu(wanted)
        chosen = telling_channels(theirs, narrow.out_channels)
        weight = torch.einsum("otyx,ts->osyx", conv.weight[chosen], lift)
        weight, bias = refit(weight, conv.get_parameter("bias")[chosen], ours, wanted[:, chosen])
        narrow.bias = nn.Parameter(bias)
        put(narrow, weight, ours, wanted[:, chosen])
        ours = F.relu(narrow(ours))
        lift = least_squares(ours, theirs)
        if f"relu{name}" in net.taps:
            put(net.tap(f"relu{name}"), lift[..., None, None], ours, theirs)
    return net


def put(conv: nn.Conv2d, weight: Tensor, features: Tensor, output: Tensor) -> None:
    """Set a convolution's weights, and what they are trained in."""
    x = rows(features)
    conv.parametrizations.weight[0].set(x.T @ x / len(x), output.square().mean().sqrt())  # type: ignore
    conv.weight = weight  # which goes through Whitened


def refit(weight: Tensor, bias: Tensor, features: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and bias near the given ones whose output is nearer to the wanted one, once ReLU has cut both.

    Least squares over a sample of all places, again and again with what is below 0 in both left as it is.
    """
    at = torch.randperm(features.shape[0] * features.shape[2] * features.shape[3])[:PLACES]
    x = torch.cat([patches(features, at), torch.ones(len(at), 1, device=features.device)], 1)
    z = rows(wanted)[at]
    solution = torch.cat([weight.permute(1, 2, 3, 0).flatten(0, 2), bias[None]])
    moment = x.T @ x
    ridge = RIDGE_NEAR * moment.diagonal()[:-1].mean() * torch.ones(len(moment), device=x.device)
    ridge[-1] = 0
    factor = torch.linalg.cholesky((moment + ridge.diag()).double())
    for _ in range(ROUNDS):
        got = x @ solution
        error = torch.where((z < 0) & (got < 0), 0.0, z.clamp(min=0) - got.where(z > 0, got.clamp(min=0)))
        solution += torch.cholesky_solve((x.T @ error).double(), factor).float()
    out, into, height, width = weight.shape
    return solution[:-1].view(into, height, width, out).permute(3, 0, 1, 2), solution[-1]


def patches(features: Tensor, at: Tensor) -> Tensor:
    """What a 3x3 convolution sees at flat places of (N, C, H, W): (places, 9 C)."""
    c, h, w = features.shape[1:]
    padded = F.pad(features, (1, 1, 1, 1))
    number, y, x = at // (h * w), at // w % h, at % w
    grid = torch.arange(3, device=features.device)
    seen = padded[number[:, None, None], :, y[:, None, None] + grid[:, None], x[:, None, None] + grid]
    return seen.permute(0, 3, 1, 2).reshape(len(at), c * 9)


def telling_channels(features: Tensor, count: int) -> Tensor:
    """The channels of (N, C, H, W) from which the others follow best linearly, chosen one by one; (count,)."""
    flat = rows(features)
    left = (flat.T @ flat).double()  # what the chosen ones leave unexplained
    chosen: list[int] = []
    for _ in range(count):
        explained = left.square().sum(0) / left.diagonal().clamp(min=1e-9 * float(left.trace()) + 1e-30)
        explained[chosen] = -1
        best = int(explained.argmax())
        chosen.append(best)
        left = left - torch.outer(left[:, best], left[best]) / left[best, best].clamp(min=1e-30)
    return torch.tensor(chosen, device=features.device)


def least_squares(ours: Tensor, theirs: Tensor) -> Tensor:
    """The matrix (C theirs, C ours) that maps feature maps to others best."""
    x, y = rows(ours), rows(theirs)
    moment = (x.T @ x).double()
    moment += RIDGE * moment.diagonal().mean() * torch.eye(len(moment), device=x.device)
    solution: Tensor = torch.linalg.solve(moment, (x.T @ y).double())
    return solution.T.float()


def rows(features: Tensor) -> Tensor:
    """(N, C, H, W) to (N H W, C)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def with_ways(net: LossNetwork, photos: Tensor, paintings: Tensor, steps: int) -> Tensor:
    """Photos, paintings, and pictures that so many steps of the narrow network's gradient lead between them.

    These start from the photo, blurred into noise at random. (N, 3, H, W) each to (3 N, 3, H, W).
    """
    noise = torch.rand(len(photos), 1, 1, 1, device=photos.device) * (torch.rand(()) < 0.5)
    state = torch.lerp(photos, torch.rand_like(photos), noise)
    kind = photos.device.type
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16):
        content = net(photos, losses.CONTENT_LAYER)
        maps = net(paintings)
        targets = {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}
    for step in range(steps):
        state = state.detach().requires_grad_()
        with torch.autocast(kind, torch.bfloat16):
            maps = net(state)
        style = torch.stack([gram_error(losses.gram(maps[layer]), targets[layer]) for layer in losses.STYLE_LAYERS])
        total = losses.content_loss(maps, content) + 10 * style.mean()
        (gradient,) = torch.autograd.grad(total, state)
        stride = STRIDE * (1 - step / (steps + 1))
        state = state - stride * gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-12)
        state = state.clamp(-0.2, 1.2)
    return torch.cat([photos, paintings, state.detach()]).contiguous(memory_format=torch.channels_last)


def compare(net: LossNetwork, teacher: LossNetwork, batch: Tensor) -> dict[str, Tensor]:
    """How far a narrow network is from the whole one on photos, paintings and pictures between, (3 N, 3, H, W).

    features: squared error over their own square, of the layers that losses are taken at; grams: the same of the Gram
    matrices; apart: of their differences between a picture and its painting, over the painting's.
    """
    with torch.autocast(batch.device.type, torch.bfloat16):
        with torch.no_grad():
            theirs = teacher(batch)
        ours = net(batch)
    features = [
        (ours[layer].float() - theirs[layer].float()).square().mean() / theirs[layer].float().square().mean()
        for layer in LAYERS
    ]
    grams, apart = [], []
    for layer in losses.STYLE_LAYERS:
        one, other = losses.gram(ours[layer]), losses.gram(theirs[layer])
        grams.append(gram_error(one, other))
        (photo, painting, between), scale = (one - other).chunk(3), other.chunk(3)[1].square().sum((1, 2))
        apart += [((x - painting).square().sum((1, 2)) / scale).mean() for x in (photo, between)]
    return {name: torch.stack(terms).mean() for name, terms in
            (("features", features), ("grams", grams), ("apart", apart))}  # fmt: skip


def gram_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared difference of Gram matrices (N, C, C) over their own square, averaged."""
    return ((ours - theirs).square().sum((1, 2)) / theirs.square().sum((1, 2))).mean()


@torch.no_grad()
def compact(net: LossNetwork) -> LossNetwork:
    """The network with square taps: all distances between its features, and between their Gram matrices, stay.

    A tap W = Q R gives the features Q R x; Q has orthonormal columns, so R x is as far apart.
    """
    small = {layer: torch.linalg.qr(net.tap(layer).weight[..., 0, 0].double()).R.float() for layer in net.taps}
    out = LossNetwork(net.widths, {layer: len(matrix) for layer, matrix in small.items()})
    out.colours.load_state_dict(net.colours.state_dict())
    for name in net.convs:
        out.conv(name).load_state_dict({"weight": net.conv(name).weight, "bias": net.conv(name).bias})
    for layer, matrix in small.items():
        out.tap(layer).load_state_dict({"weight": matrix[..., None, None]})
    return out.eval().requires_grad_(False)


def load_distilled(job: LossNetworkTraining) -> tuple[LossNetwork, Figures]:
    """The compact network of a training's checkpoint, and the figures for its card: minutes, pictures, losses."""
    net = fresh(job.widths, job.teacher)
    facts = load_checkpoint(job.checkpoint, {"net": net})
    return compact(net), {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def publish_loss_network(card: Card, net: LossNetwork, models: Path) -> Path:
    """Write a network in half precision into MODELS/loss-networks/NAME with its card; returns its file."""
    folder = models / KINDS[card.kind] / card.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{card.name}.safetensors"
    save_tensors(file, {key: value.half().contiguous() for key, value in net.state_dict().items()})
    save_card(replace(card, files={file.name: sha256(file)}, folder=folder), folder)
    return file
