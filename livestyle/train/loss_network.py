"""Distil the compact loss network from VGG-19: narrower, with features that preserve distances.

The start is computed in closed form. Of each layer, the channels that explain the others best are kept. The next
convolution reads all channels from those by least squares (channel pruning, He et al. 2017).

Then each compared layer gets a linear map, a tap. Taps and network learn the features of VGG-19 (Collaborative
Distillation, Wang et al. 2020), its Gram matrices and their differences. The pictures are photos, paintings, and photos
on their way to a painting by the narrow network's own gradient. So it learns where its gradient misleads.
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
from livestyle.nets.card import KIND_FOLDERS, Card, save_card
from livestyle.nets.tensors import as_batch
from livestyle.train.checkpoint import Figures, load_checkpoint
from livestyle.train.curves import Terms
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.photos import random_crop

WIDTHS = (32, 64, 128, 256, 256)
LAYERS = (*losses.STYLE_LAYERS, losses.CONTENT_LAYER)  # where losses compare features
CROP_PX = 128
BATCH = 2  # photos, as many paintings, and as many pictures between them
INTERMEDIATE_STEPS = (0, 1, 2, 4, 8, 16)  # of gradient descent from a photo towards the painting
FIRST_STRIDE = 0.04  # mean change of a pixel in the first of them, in brightness of 0..1
START_PICTURES = 40  # photos, and as many paintings, that give the start
JUDGED_PHOTOS, JUDGED_SIDE_PX, JUDGED_ITERATIONS = 3, 256, 30  # of the optimization that measures the result
HOLD_OUT_INTERVAL = 40  # one photo of 40 is held out for validation, and one painting of 10
MAX_PLACES, REFIT_ROUNDS = 40_000, 5  # of the least squares of a convolution
RIDGE, REFIT_RIDGE = 1e-2, 1e-3  # regularization, as a share of the mean second moment


@dataclass(frozen=True)
class LossNetworkTraining:
    """What to distil, and how. Every field is a flag of `livestyle train loss-network`.

    Args:
        photos, paintings: folders of pictures.
        teacher: the whole network.
        checkpoint: the file to resume from, and to write.
        minutes: to train, over all runs together.
        learning_rate: the highest.
        widths: channels of the five stages.
        device: as PyTorch calls it.
        seed: of all chance.
    """

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
    """Files of photos and paintings."""

    photos: list[Path]
    paintings: list[Path]

    def sample(self, device: str, count: int = BATCH) -> tuple[Tensor, Tensor]:
        """Return random squares of photos and of paintings, each float (N, 3, CROP_PX, CROP_PX) in [0, 1]."""
        photos, paintings = (
            as_batch([random_crop(load_image(random.choice(paths)), CROP_PX) for _ in range(count)], device)
            for paths in (self.photos, self.paintings)
        )
        return photos, paintings


def train_loss_network(job: LossNetworkTraining) -> Iterator[TrainingStatus]:
    """Train, or resume from the checkpoint.

    Yields:
        The status after each step.

    Raises:
        UserError: as `split_pictures` and `run_training`.
    """
    train_set, held_out = split_pictures(job)
    random.seed(job.seed)
    torch.manual_seed(job.seed)
    teacher = job.teacher.to(job.device).to(memory_format=torch.channels_last)
    if job.checkpoint.is_file():
        net = build_narrow(job.widths, teacher)
    else:
        net = init_narrow(teacher, job.widths, torch.cat(train_set.sample(job.device, START_PICTURES)))
    net = net.to(job.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), job.learning_rate)

    def take_step(progress: float, _: int) -> tuple[int, Terms]:
        photos, paintings = train_set.sample(job.device)
        batch = add_intermediate(net, photos, paintings, random.choice(INTERMEDIATE_STEPS))
        terms = compare(net, teacher, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return len(batch), {name: float(term.detach()) for name, term in terms.items()}

    def validate() -> Terms:
        random.seed(job.seed)
        rows = []
        for steps in INTERMEDIATE_STEPS:
            batch = add_intermediate(net, *held_out.sample(job.device), steps)
            with torch.no_grad():
                rows.append(compare(net, teacher, batch))
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    training = Training({"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, take_step, validate)
    yield from run_training(training)


def split_pictures(job: LossNetworkTraining) -> tuple[Pictures, Pictures]:
    """Return the pictures to train on, and those to validate on.

    Raises:
        UserError: a folder holds no pictures.
    """
    photos, paintings = list_pictures(job.photos), list_pictures(job.paintings)
    held_out = Pictures(photos[::HOLD_OUT_INTERVAL], paintings[:: HOLD_OUT_INTERVAL // 4])
    other_photos = [photo for photo in photos if photo not in held_out.photos]
    other_paintings = [painting for painting in paintings if painting not in held_out.paintings]
    return Pictures(other_photos or held_out.photos, other_paintings or held_out.paintings), held_out


def build_narrow(widths: tuple[int, ...], teacher: LossNetwork) -> LossNetwork:
    """Build a narrow network whose taps have the teacher's channels. Its colour map is the teacher's, and frozen."""
    net = LossNetwork(widths, {layer: teacher.widths[int(layer[4]) - 1] for layer in LAYERS})
    net.colours.load_state_dict(teacher.colours.state_dict())
    net.colours.requires_grad_(False)
    for conv in trainable(net):
        parametrize.register_parametrization(conv, "weight", Whitened(conv), unsafe=True)
    return net


def trainable(net: LossNetwork) -> list[nn.Conv2d]:
    """Return the convolutions that the training changes."""
    return [*map(net.conv, net.convs), *map(net.tap, net.taps)]


class Whitened(nn.Module):
    """Parametrize a convolution's weights for whitened input channels, in units of the output.

    VGG's activations are large, positive and correlated. Adam's steps, equal for each weight, would add up in the mean
    of the channels and undo the start.

    Args:
        conv: the convolution, unchanged until `set`.
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
        """Set the statistics.

        Args:
            moment: second moments of the input channels, (C, C); unit: root mean square of the output, ().
        """
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
def init_narrow(teacher: LossNetwork, widths: tuple[int, ...], pictures: Tensor) -> LossNetwork:
    """Return the start of a training.

    Args:
        teacher: the whole network; widths: channels of the stages; pictures: float (N, 3, H, W) in [0, 1].
    """
    net = build_narrow(widths, teacher).to(pictures.device)
    teacher_map = narrow_map = teacher.colours(pictures)
    lift = torch.eye(3, device=pictures.device)  # from narrow features to the teacher's
    for name in teacher.convs:
        conv, narrow = teacher.conv(name), net.conv(name)
        if name.endswith("_1") and name != "1_1":
            teacher_map, narrow_map = F.max_pool2d(teacher_map, 2), F.max_pool2d(narrow_map, 2)
        wanted = conv(teacher_map)
        teacher_map = F.relu(wanted)
        chosen = select_channels(teacher_map, narrow.out_channels)
        weight = torch.einsum("otyx,ts->osyx", conv.weight[chosen], lift)
        weight, bias = refit(weight, conv.get_parameter("bias")[chosen], narrow_map, wanted[:, chosen])
        narrow.bias = nn.Parameter(bias)
        set_whitened(narrow, weight, narrow_map, wanted[:, chosen])
        narrow_map = F.relu(narrow(narrow_map))
        lift = least_squares(narrow_map, teacher_map)
        if f"relu{name}" in net.taps:
            set_whitened(net.tap(f"relu{name}"), lift[..., None, None], narrow_map, teacher_map)
    return net


def set_whitened(conv: nn.Conv2d, weight: Tensor, features: Tensor, output: Tensor) -> None:
    """Set a convolution's weights and their parametrization.

    Args:
        conv: changed in place; weight: (O, C, h, w); features: its input; output: its wanted output.
    """
    x = rows(features)
    conv.parametrizations.weight[0].set(x.T @ x / len(x), output.square().mean().sqrt())  # type: ignore
    conv.weight = weight  # through `Whitened.right_inverse`


def refit(weight: Tensor, bias: Tensor, features: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight and bias near the given ones whose output after ReLU is nearer to the wanted one.

    Solve least squares over a sample of places, repeatedly. Where both outputs are below 0, the error counts as 0.

    Args:
        weight: (O, C, 3, 3); bias: (O,); features: the input (N, C, H, W); wanted: the output (N, O, H, W).
    """
    at = torch.randperm(features.shape[0] * features.shape[2] * features.shape[3])[:MAX_PLACES]
    x = torch.cat([patches(features, at), torch.ones(len(at), 1, device=features.device)], 1)
    z = rows(wanted)[at]
    solution = torch.cat([weight.permute(1, 2, 3, 0).flatten(0, 2), bias[None]])
    moment = x.T @ x
    ridge = REFIT_RIDGE * moment.diagonal()[:-1].mean() * torch.ones(len(moment), device=x.device)
    ridge[-1] = 0
    factor = torch.linalg.cholesky((moment + ridge.diag()).double())
    for _ in range(REFIT_ROUNDS):
        got = x @ solution
        error = torch.where((z < 0) & (got < 0), 0.0, z.clamp(min=0) - got.where(z > 0, got.clamp(min=0)))
        solution += torch.cholesky_solve((x.T @ error).double(), factor).float()
    out, into, height, width = weight.shape
    return solution[:-1].view(into, height, width, out).permute(3, 0, 1, 2), solution[-1]


def patches(features: Tensor, at: Tensor) -> Tensor:
    """Return what a 3x3 convolution sees at flat places of (N, C, H, W): (places, 9 C)."""
    c, h, w = features.shape[1:]
    padded = F.pad(features, (1, 1, 1, 1))
    number, y, x = at // (h * w), at // w % h, at % w
    grid = torch.arange(3, device=features.device)
    windows = padded[number[:, None, None], :, y[:, None, None] + grid[:, None], x[:, None, None] + grid]
    return windows.permute(0, 3, 1, 2).reshape(len(at), c * 9)


def select_channels(features: Tensor, count: int) -> Tensor:
    """Choose, one by one, the channels from which the others follow best linearly.

    Args:
        features: (N, C, H, W); count: how many.

    Returns:
        int64 (count,).
    """
    flat = rows(features)
    left = (flat.T @ flat).double()  # second moments that the chosen channels do not explain
    chosen: list[int] = []
    for _ in range(count):
        explained = left.square().sum(0) / left.diagonal().clamp(min=1e-9 * float(left.trace()) + 1e-30)
        explained[chosen] = -1
        best = int(explained.argmax())
        chosen.append(best)
        left = left - torch.outer(left[:, best], left[best]) / left[best, best].clamp(min=1e-30)
    return torch.tensor(chosen, device=features.device)


def least_squares(source: Tensor, target: Tensor) -> Tensor:
    """Return the matrix (C target, C source) that maps feature maps to others with the least squared error."""
    x, y = rows(source), rows(target)
    moment = (x.T @ x).double()
    moment += RIDGE * moment.diagonal().mean() * torch.eye(len(moment), device=x.device)
    solution: Tensor = torch.linalg.solve(moment, (x.T @ y).double())
    return solution.T.float()


def rows(features: Tensor) -> Tensor:
    """Flatten (N, C, H, W) to (N H W, C)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def add_intermediate(net: LossNetwork, photos: Tensor, paintings: Tensor, steps: int) -> Tensor:
    """Append pictures between photos and paintings, by gradient steps of the narrow network.

    They start from the photos, half of the time mixed with noise.

    Args:
        net: the narrow network; photos, paintings: float (N, 3, H, W) in [0, 1]; steps: of gradient descent.

    Returns:
        Photos, paintings and intermediate pictures, (3 N, 3, H, W).
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
        stride = FIRST_STRIDE * (1 - step / (steps + 1))
        state = state - stride * gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-12)
        state = state.clamp(-0.2, 1.2)
    return torch.cat([photos, paintings, state.detach()]).contiguous(memory_format=torch.channels_last)


def compare(net: LossNetwork, teacher: LossNetwork, batch: Tensor) -> dict[str, Tensor]:
    """Return how far a narrow network is from the whole one.

    Args:
        net, teacher: the networks; batch: photos, paintings and intermediate pictures, (3 N, 3, H, W).

    Returns:
        "features": squared error over the teacher's square, at LAYERS. "grams": the same of the Gram matrices. "apart":
            the same of their differences between a picture and its painting, over the painting's square.
    """
    with torch.autocast(batch.device.type, torch.bfloat16):
        with torch.no_grad():
            wanted = teacher(batch)
        found = net(batch)
    features = [
        (found[layer].float() - wanted[layer].float()).square().mean() / wanted[layer].float().square().mean()
        for layer in LAYERS
    ]
    grams, differences = [], []
    for layer in losses.STYLE_LAYERS:
        one, other = losses.gram(found[layer]), losses.gram(wanted[layer])
        grams.append(gram_error(one, other))
        (photo, painting, between), scale = (one - other).chunk(3), other.chunk(3)[1].square().sum((1, 2))
        differences += [((x - painting).square().sum((1, 2)) / scale).mean() for x in (photo, between)]
    return {name: torch.stack(terms).mean() for name, terms in
            (("features", features), ("grams", grams), ("apart", differences))}  # fmt: skip


def gram_error(found: Tensor, target: Tensor) -> Tensor:
    """Return the squared difference of Gram matrices (N, C, C) over their own square, averaged."""
    return ((found - target).square().sum((1, 2)) / target.square().sum((1, 2))).mean()


@torch.no_grad()
def compact(net: LossNetwork) -> LossNetwork:
    """Return the network with square taps, which preserve all distances between features and between Gram matrices.

    A tap W = Q R gives the features Q R x. Q has orthonormal columns, so R x has the same distances.
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
    """Load the compact network of a finished training.

    Returns:
        The network, and the figures for its card: minutes, images, losses.

    Raises:
        UserError: the checkpoint is damaged, or holds another network.
    """
    net = build_narrow(job.widths, job.teacher)
    facts = load_checkpoint(job.checkpoint, {"net": net})
    return compact(net), {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def publish_loss_network(card: Card, net: LossNetwork, models: Path) -> Path:
    """Write a network in half precision into MODELS/loss-networks/NAME, with its card.

    Returns:
        The file of the weights.

    Raises:
        UserError: it cannot be written.
    """
    folder = models / KIND_FOLDERS[card.kind] / card.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{card.name}.safetensors"
    save_tensors(file, {key: value.half().contiguous() for key, value in net.state_dict().items()})
    save_card(replace(card, files={file.name: sha256(file)}, folder=folder), folder)
    return file
