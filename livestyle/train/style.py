"""Train a transform net to paint like a picture (Johnson et al. 2016)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image, size_of
from livestyle.matting.datasets import Warn, fault_line
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.export.shipped import build, load_shipped
from livestyle.nets.library import find_cards
from livestyle.nets.tensors import as_batch, as_image
from livestyle.render.stylizer import style_card
from livestyle.stills.reference import painting_grams
from livestyle.train.checkpoint import TrainingStatus, load_facts, load_weights, train_by_the_clock
from livestyle.train.curves import Terms
from livestyle.train.muon import Muon
from livestyle.train.photos import LONGEST, MOST, Feed, Photos, Sample, demo_frame, middle
from livestyle.train.ranks import Ranks, mixed

ARCHS = {"slim": 4, "johnson": 4}  # what can be trained; multiple of its input's sides
CROP = 256  # side of the training pictures: smaller ones, that each show the whole painting's strokes, make stamps
SKETCHED = 0.5  # of the time that goes to a quicker loss network, a third of the cost
TAUGHT = 0.4  # of the time that goes to what a teacher painted, an eighth of the cost
LESSONS = 800  # samples that a teacher paints, once each, for its net may be dear
LIKENESS = 100  # times the mean squared difference from what it painted
BORDER = 8  # so many are as wide as a sample
GRID = 1000  # times `losses.grid_loss`: a grid that is just to be seen costs a tenth of the rest
STILL_EVERY = 3  # steps: the temporal term costs as much as half of the rest
NOISE, LIGHT = 0.04, 0.03  # of a second picture beside each: the most noise, and the change of the light
SHIFT, TURN = 3.0, 0.01  # its movement: in pixels, and in radians and shares of the size
BATCH = 2  # small: in a short training more steps are worth more than smoother ones
LEAST = 128  # pixels to a side of a painting: of less, no stroke is to be seen
TRIED = range(-4, 0)  # numbers of the samples that a start is chosen by; the training's own are from 0
PREVIEW = 640, 360
NEAREST, NOTHING = "nearest", "none"  # what to start from, besides a file


@dataclass(frozen=True)
class StyleTraining:
    """What to train and how; every field is a flag of `livestyle train style`."""

    picture: Path
    photos: Photos
    network: LossNetwork  # on the device
    checkpoint: Path
    sketch: LossNetwork | None = None  # a quicker one, to begin with
    arch: str = "slim"
    minutes: float = 20.0
    teacher: str = ""  # a style of the same painting, by name or file, whose pictures are learnt from first
    init: str = NEAREST  # that, NOTHING, or a checkpoint or model of another style to start from
    style_weight: float = 10.0
    people_weight: float = 3.0  # of people's content, beside that of all else
    tv_weight: float = 5.0
    still_weight: float = 50.0  # of what keeps successive frames alike
    learning_rate: float = 2e-3
    batch: int = BATCH  # in each process
    models: Path | None = None  # a folder of models to start from that goes before all others
    ranks: Ranks = field(default_factory=Ranks)
    seed: int = 0


def train_style(job: StyleTraining, warn: Warn = lambda line: None) -> Iterator[TrainingStatus]:
    """Train, or go on from the checkpoint; yields after each step. `warn` gets a line about what is not as asked.

    With each checkpoint a preview is drawn beside it, NAME.preview.png: the painting, and a picture in its style.

    Raises:
        UserError: a picture that is missing, broken or too small, photos of which none can be read, weights that do not
            fit, a checkpoint that cannot be written or is of another training, or a training that diverges.
    """
    painting, device, stride = load_painting(job.picture), job.ranks.device, job.batch * job.ranks.count
    facts = {"painting_sha256": sha256(job.picture)}
    check_painting(job, facts["painting_sha256"])
    torch.manual_seed(job.seed)
    grams = painting_grams(job.network, painting)
    roughly = painting_grams(job.sketch, painting) if job.sketch else grams
    feed = Feed(job.photos, job.seed, stride)
    # The first process will soon write a checkpoint: whether one was there before, it tells the others.
    resumes = bool(job.ranks.lead(job.checkpoint.is_file()))
    if resumes:
        net, start = build(job.arch).train(), str(load_facts(job.checkpoint).get("start", job.init))
    else:
        net, start = start_net(job, grams, feed, warn)
    net = net.to(device).to(memory_format=torch.channels_last)
    optimizer = Muon(net, job.learning_rate)
    teacher = load_teacher(job)
    told = set[str]()

    def one(progress: float, images: int) -> tuple[int, Terms]:
        taught = teacher is not None and progress < TAUGHT
        first = (images % LESSONS if taught else images) + job.ranks.rank * job.batch
        samples = feed.take(range(first, first + job.batch), CROP)
        if fresh := [name for name in list(job.photos.dropped.values()) if name not in told]:
            told.update(fresh)
            warn(fault_line("unreadable or too small", fresh))
        if teacher and taught:
            return stride, imitate(net, teacher, samples, optimizer, job)
        network, goal = (job.sketch, roughly) if job.sketch and progress < SKETCHED else (job.network, grams)
        return stride, step(net, network, goal, samples, optimizer, job, images // stride % STILL_EVERY == 0)

    preview = partial(save_preview, job.checkpoint.with_suffix(".preview.png"), net, painting, device)
    yield from train_by_the_clock(
        {"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, one,
        warn=warn, notes={"start": start, **facts}, saved=preview, ranks=job.ranks,
    )  # fmt: skip


def load_painting(path: Path) -> Image:
    """A painting to learn from; of a long scroll the middle.

    Raises:
        UserError: it cannot be read, or is too small.
    """
    painting = load_image(path, 2 * MOST)
    w, h = size_of(painting)
    if min(w, h) < LEAST:
        raise UserError(f"{path} is {w}x{h} pixels: too small to show a stroke.", f"Give at least {LEAST}x{LEAST}.")
    return middle(painting, LONGEST)


def check_painting(job: StyleTraining, digest: str) -> None:
    """Refuse to go on with a training of another painting."""
    before = load_facts(job.checkpoint).get("painting_sha256", digest)
    if before != digest:
        raise UserError(
            f"{job.checkpoint} is the training of another painting than {job.picture}.",
            "Give another NAME, or remove that file to begin anew.",
        )


def start_net(job: StyleTraining, grams: dict[str, Tensor], feed: Feed, warn: Warn) -> tuple[nn.Module, str]:
    """The net that the training starts from, and the name of what its weights are of."""
    if job.init == NEAREST:
        return nearest(job, grams, feed, warn)
    net = build(job.arch)
    if job.init == NOTHING:
        return net.train(), NOTHING
    load_weights(Path(job.init), net, "net")
    return net.train(), Path(job.init).stem


def nearest(job: StyleTraining, grams: dict[str, Tensor], feed: Feed, warn: Warn) -> tuple[nn.Module, str]:
    """Of all styles of the same architecture the one whose pictures have the least loss; a fresh net without any."""
    tried: dict[str, nn.Module] = {}
    for card in find_cards("style", job.models).values():
        if card.net != job.arch:
            continue
        try:
            tried[card.name] = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width).net
        except (UserError, RuntimeError, KeyError, SafetensorError):
            continue  # damaged: no start
    if not job.ranks.lead(len(tried)):
        warn(f"There is no style of the architecture {job.arch} to start from: this one starts from nothing.")
        return build(job.arch).train(), NOTHING
    name = least(job, grams, feed, tried)
    warn(f"Starts from {name}, the nearest of {len(tried)} styles.")
    return tried[name].train(), name


class Teacher:
    """A trained net whose pictures are learnt from; it paints each sample once."""

    def __init__(self, net: nn.Module, device: str) -> None:
        self._net, self._device = net.to(device).to(memory_format=torch.channels_last), device
        self._painted: dict[int, Tensor] = {}  # by the samples' seeds, as bytes

    @torch.no_grad()
    def __call__(self, samples: list[Sample]) -> Tensor:
        """Its pictures of samples, (N, 3, H, W) in 0..1."""
        if fresh := [sample for sample in samples if sample.seed not in self._painted]:
            with mixed(self._device):
                painted = self._net(as_batch([sample.image for sample in fresh], self._device))
            for sample, picture in zip(fresh, (painted.float().clamp(0, 1) * 255).round().byte(), strict=True):
                self._painted[sample.seed] = picture
        return torch.stack([self._painted[sample.seed] for sample in samples]).float() / 255


def load_teacher(job: StyleTraining) -> Teacher | None:
    """The style that is learnt from, if there is to be one.

    Raises:
        UserError: there is no such style, or it comes without weights for PyTorch.
    """
    if not job.teacher:
        return None
    card = style_card(job.teacher, job.models)
    try:
        net = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width).net
    except (KeyError, RuntimeError, SafetensorError):
        raise UserError(f"The style '{job.teacher}' cannot teach.", "Name one that has its .safetensors.") from None
    return Teacher(net, job.ranks.device)


def imitate(
    net: nn.Module, teacher: Teacher, samples: list[Sample], optimizer: torch.optim.Optimizer, job: StyleTraining
) -> Terms:
    """One optimiser step towards what the teacher painted, but for its border, where nets draw the painting's own.

    The net alone sees noise, so that it learns to ignore it.
    """
    device = job.ranks.device
    batch = as_batch([sample.image for sample in samples], device)
    noise = torch.stack([disturbance(sample.seed, batch.shape[2:])[2] for sample in samples]).to(device)
    with mixed(device):
        painted = net((batch + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
    border = painted.shape[-1] // BORDER
    apart = (painted - teacher(samples))[..., border:-border, border:-border]
    return descend(net, {"likeness": LIKENESS * apart.square().mean()}, optimizer, job)


def descend(net: nn.Module, terms: dict[str, Tensor], optimizer: torch.optim.Optimizer, job: StyleTraining) -> Terms:
    """One step down the sum of named losses, in all processes; returns them."""
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    job.ranks.average_gradients(net)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()
    return {name: float(term.detach()) for name, term in terms.items()}


@torch.no_grad()
def least(job: StyleTraining, grams: dict[str, Tensor], feed: Feed, tried: dict[str, nn.Module]) -> str:
    """The name of the net whose pictures have the least loss."""
    batch = as_batch([sample.image for sample in feed.make(TRIED, CROP)], job.ranks.device)
    found = []
    with mixed(job.ranks.device):
        content = job.network(batch, losses.CONTENT_LAYER)
        for net in tried.values():
            maps = job.network(net.to(job.ranks.device)(batch).clamp(0, 1))
            total = losses.content_loss(maps, content) + job.style_weight * losses.style_loss(maps, grams)
            found.append(float(total))
    # Processes might differ in the last digit, and must not in the choice.
    return list(tried)[int(job.ranks.lead(found.index(min(found))))]


def step(
    net: nn.Module, network: LossNetwork, targets: dict[str, Tensor], samples: list[Sample],
    optimizer: torch.optim.Optimizer, job: StyleTraining, still: bool,
) -> Terms:  # fmt: skip
    """One optimiser step on samples of one size, with the temporal term or not; returns the named losses.

    What people look like counts more than what all else does: a face with a star on its nose is no face.
    """
    device = job.ranks.device
    batch = as_batch([sample.image for sample in samples], device)
    people = as_batch([sample.people[..., None] for sample in samples], device)
    with mixed(device):
        with torch.no_grad():
            content = network(batch, losses.CONTENT_LAYER)
        painted = net(batch)
        maps = network(painted.clamp(-0.1, 1.1))
    terms = {
        "content": losses.content_loss(maps, content, 1 + (job.people_weight - 1) * people),
        "style": job.style_weight * losses.style_loss(maps, targets),
        "tv": job.tv_weight * losses.tv_loss(painted.float()),
        "grid": GRID * losses.grid_loss(painted.float()),
        # the picture is cut at 0 and 1: what lies beyond is pulled back
        "range": (painted.float() - painted.float().clamp(0, 1)).square().mean() * 100,
    }
    if job.still_weight and still:
        terms["still"] = job.still_weight * still_loss(net, batch, painted.float(), [sample.seed for sample in samples])
    return descend(net, terms, optimizer, job)


def still_loss(net: nn.Module, batch: Tensor, painted: Tensor, seeds: list[int]) -> Tensor:
    """How differently a moved, noisy picture is painted, beside the painting moved alike.

    A change of the light may show: what the luma gained is allowed for (Gao et al. 2018, ReCoNet). Each picture's
    movement, light and noise come from its seed.
    """
    device = str(batch.device)
    parts = [disturbance(seed, batch.shape[2:]) for seed in seeds]
    affine, light, noise = (torch.stack(part).to(device) for part in zip(*parts, strict=True))
    grid = F.affine_grid(affine, [len(batch), 1, *batch.shape[2:]], align_corners=False)
    seen = (grid.abs() <= 1).all(3)[:, None]
    moved, wanted = (F.grid_sample(x, grid, padding_mode="reflection", align_corners=False) for x in (batch, painted))
    lit = moved * light
    with mixed(device):
        again = net((lit + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
    gained = (lit - moved).mean(1, keepdim=True)
    error: Tensor = (again - wanted - gained).square() * seen
    return error.mean()


def disturbance(seed: int, size: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """A small movement, (2, 3): where each pixel comes from; a light, (1, 1, 1), to multiply by; noise, (3, H, W)."""
    chance = torch.Generator().manual_seed(seed)
    shift = SHIFT * torch.randn(2, generator=chance) * 2 / torch.tensor([size[1], size[0]])
    turn, stretch, light = torch.randn(3, generator=chance)
    angle, scale = TURN * turn, 1 + TURN * stretch
    cos, sin = scale * angle.cos(), scale * angle.sin()
    affine = torch.stack([torch.stack([cos, -sin, shift[0]]), torch.stack([sin, cos, shift[1]])])
    noise = NOISE * torch.rand(1, generator=chance) * torch.randn(3, *size, generator=chance)
    return affine, (1 + LIGHT * light).view(1, 1, 1), noise


@torch.no_grad()
def save_preview(path: Path, net: nn.Module, painting: Image, device: str) -> None:
    """The painting beside a picture in its style so far, as a PNG."""
    (width, height), photo = PREVIEW, as_batch([cover(demo_frame(), PREVIEW)], device)
    w, h = size_of(painting)
    side = min(width, round(w * height / h))
    save_image(path, np.hstack([cover(painting, (side, height)), as_image(net(photo))]))
