"""Distil the compact loss network from VGG-19: narrower, with features that preserve distances.

Each compared layer gets a linear map, a tap. `train.narrow_network` gives the start. Then taps and network learn the
features of VGG-19 (Collaborative Distillation, Wang et al. 2020), its Gram matrices and their differences. The pictures
are photos, paintings, and photos on their way to a painting by the narrow network's own gradient. So it learns where
its gradient misleads.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from livestyle.files import save_tensors, sha256
from livestyle.image.io import list_pictures, load_image
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.card import KIND_FOLDERS, Card, save_card
from livestyle.nets.tensors import as_batch
from livestyle.train.checkpoint import Figures, load_checkpoint
from livestyle.train.curves import Terms
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.narrow_network import LAYERS, build_narrow, init_narrow
from livestyle.train.photos import random_crop

WIDTHS = (32, 64, 128, 256, 256)
CROP_PX = 128
BATCH = 2  # photos, as many paintings, and as many pictures between them
INTERMEDIATE_STEPS = (0, 1, 2, 4, 8, 16)  # of gradient descent from a photo towards the painting
FIRST_STRIDE = 0.04  # mean change of a pixel in the first of them, in brightness of 0..1
START_PICTURES = 40  # photos, and as many paintings, that give the start
JUDGED_PHOTOS, JUDGED_SIDE_PX, JUDGED_ITERATIONS = 3, 256, 30  # of the optimization that measures the result
HOLD_OUT_INTERVAL = 40  # one photo of 40 is held out for validation, and one painting of 10


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

    validate = partial(validation_losses, net, teacher, held_out, job)
    training = Training({"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, take_step, validate)
    yield from run_training(training)


def validation_losses(
    net: LossNetwork, teacher: LossNetwork, pictures: Pictures, job: LossNetworkTraining
) -> Terms:  # fmt: skip
    """Return the mean losses on the same random squares of pictures each time."""
    random.seed(job.seed)
    rows = []
    for steps in INTERMEDIATE_STEPS:
        batch = add_intermediate(net, *pictures.sample(job.device), steps)
        with torch.no_grad():
            rows.append(compare(net, teacher, batch))
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}


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
