"""Train a transform network to paint like a picture (Johnson et al. 2016)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import cover, crop_middle
from livestyle.image.types import Image, size_of
from livestyle.matting.datasets import fault_line
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.export.shipped import build
from livestyle.nets.tensors import as_batch, as_image
from livestyle.stills.reference import painting_grams
from livestyle.train.checkpoint import load_facts, load_weights
from livestyle.train.curves import Terms
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.muon import Muon
from livestyle.train.nearest import style_nets, total_losses
from livestyle.train.painting import LossWeights, disturbance, paint_terms
from livestyle.train.photos import MAX_ASPECT, MAX_SHORT_SIDE_PX, Feed, Photos, Sample, demo_frame
from livestyle.train.ranks import Ranks, mixed
from livestyle.train.teacher import Teacher, load_teacher
from livestyle.types import Say

ARCHS = {"slim": 4, "johnson": 4}  # what can be trained, and the multiple of its input's sides
CROP_PX = 256  # side of the training squares; smaller ones show too many strokes each, which then repeat like stamps
QUICK_SHARE = 0.5  # of the time: the compact loss network, for a third of the cost
TEACHER_SHARE = 0.4  # of the time: the teacher's pictures, for an eighth of the cost
TEACHER_SAMPLES = 800  # painted once each, because a teacher may be expensive
LIKENESS_WEIGHT = 100
BORDER_SHARE = 8  # an 8th of a sample's width is border
STABILITY_INTERVAL = 3  # steps; the temporal loss costs half as much as the others together
BATCH = 2  # in a short training, more steps are better than smoother ones
MIN_PAINTING_SIDE_PX = 128  # smaller paintings show no strokes
TRIAL_SAMPLES = range(-4, 0)  # numbers of the samples that a start is chosen by; training takes those from 0
PREVIEW_SIZE = 640, 360
NEAREST, NOTHING = "nearest", "none"  # what to start from, besides a file


@dataclass(frozen=True)
class StyleTraining:
    """What to train, and how. Every field is a flag of `livestyle train style`.

    Args:
        picture: the painting.
        photos: to paint.
        network: the loss network, on the device.
        checkpoint: the file to resume from, and to write.
        quick_network: a cheaper loss network for the first part; None takes `network` throughout.
        arch: of ARCHS.
        minutes: to train, over all runs together.
        teacher: a style of the same painting, by name or file, to imitate first; "" for none.
        init: NEAREST, NOTHING, or a checkpoint or model to start from.
        style_weight, tv_weight: of these losses, beside a content weight of 1.
        people_weight: of people's content.
        stability_weight: of the temporal loss.
        learning_rate: the highest, of Adam.
        batch: samples in a step, in each process.
        models: a folder of models that takes precedence; None for the usual ones.
        ranks: the processes that train together.
        seed: of all chance.
    """

    picture: Path
    photos: Photos
    network: LossNetwork
    checkpoint: Path
    quick_network: LossNetwork | None = None
    arch: str = "slim"
    minutes: float = 20.0
    teacher: str = ""
    init: str = NEAREST
    style_weight: float = 10.0
    people_weight: float = 3.0
    tv_weight: float = 5.0
    stability_weight: float = 50.0
    learning_rate: float = 2e-3
    batch: int = BATCH
    models: Path | None = None
    ranks: Ranks = field(default_factory=Ranks)
    seed: int = 0

    @property
    def weights(self) -> LossWeights:
        """Return the weights of its losses."""
        return LossWeights(self.style_weight, self.people_weight, self.tv_weight, self.stability_weight)


def train_style(job: StyleTraining, warn: Say = lambda line: None) -> Iterator[TrainingStatus]:
    """Train, or resume from the checkpoint.

    Each checkpoint comes with a preview, NAME.preview.png: the painting beside a picture in its style.

    Args:
        job: what to train; warn: takes messages about what is not as asked.

    Yields:
        The status after each step.

    Raises:
        UserError: a picture is missing, damaged or too small, no photo can be read, or the weights do not fit.
            Or the checkpoint cannot be written or is of another training, or the training diverges.
    """
    painting, device, digest = load_painting(job.picture), job.ranks.device, sha256(job.picture)
    check_painting(job, digest)
    torch.manual_seed(job.seed)
    grams = painting_grams(job.network, painting)
    quick_grams = painting_grams(job.quick_network, painting) if job.quick_network else grams
    feed = Feed(job.photos, job.seed, job.batch * job.ranks.count)
    net, start = open_net(job, grams, feed, warn)
    net = net.to(device).to(memory_format=torch.channels_last)
    optimizer = Muon(net, job.learning_rate)
    step = StyleStep(job, net, optimizer, feed, (grams, quick_grams), warn)
    preview = partial(save_preview, job.checkpoint.with_suffix(".preview.png"), net, painting, device)
    yield from run_training(Training(
        {"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, step, warn=warn,
        notes={"start": start, "painting_sha256": digest}, saved=preview, ranks=job.ranks,
    ))  # fmt: skip


class StyleStep:
    """Take one optimizer step of a training: imitate the teacher first, then paint by the losses.

    Args:
        job: the training; net, optimizer: its own; feed: gives samples.
        grams: the painting's Gram matrices in `job.network`, and in `job.quick_network`.
        warn: takes a message about photos that cannot be read.

    Raises:
        UserError: there is no such teacher.
    """

    def __init__(
        self, job: StyleTraining, net: nn.Module, optimizer: torch.optim.Optimizer, feed: Feed,
        grams: tuple[dict[str, Tensor], dict[str, Tensor]], warn: Say,
    ) -> None:  # fmt: skip
        self._job, self._net, self._optimizer, self._feed, self._warn = job, net, optimizer, feed, warn
        self._grams, self._quick_grams = grams
        self._teacher = load_teacher(job.teacher, job.models, job.ranks.device) if job.teacher else None
        self._named = set[str]()  # photos that were warned of

    def __call__(self, progress: float, images: int) -> tuple[int, Terms]:
        """Take a step at a progress of 0..1; return the samples that all processes saw, and the named losses."""
        job, count = self._job, self._job.batch * self._job.ranks.count
        teacher = self._teacher if progress < TEACHER_SHARE else None
        first = (images % TEACHER_SAMPLES if teacher else images) + job.ranks.rank * job.batch
        samples = self._feed.take(range(first, first + job.batch), CROP_PX)
        self._warn_of_dropped()
        if teacher:
            return count, imitate(self._net, teacher, samples, self._optimizer, job)
        is_quick = job.quick_network is not None and progress < QUICK_SHARE
        network, grams = (job.quick_network, self._quick_grams) if is_quick else (job.network, self._grams)
        assert network is not None
        is_stable = images // count % STABILITY_INTERVAL == 0
        return count, paint_step(self._net, network, grams, samples, self._optimizer, job, is_stable)

    def _warn_of_dropped(self) -> None:
        dropped = list(self._job.photos.dropped.values())
        if new := [name for name in dropped if name not in self._named]:
            self._named.update(new)
            self._warn(fault_line("unreadable or too small", new))


def load_painting(path: Path) -> Image:
    """Load a painting to learn from; of a long scroll, the middle.

    Returns:
        uint8 (H, W, 3) RGB, both sides at least MIN_PAINTING_SIDE_PX.

    Raises:
        UserError: it cannot be read, or is too small.
    """
    painting = load_image(path, 2 * MAX_SHORT_SIDE_PX)
    w, h = size_of(painting)
    if min(w, h) < MIN_PAINTING_SIDE_PX:
        raise UserError(
            f"{path} is {w}x{h} pixels: too small to show a stroke.",
            f"Give at least {MIN_PAINTING_SIDE_PX}x{MIN_PAINTING_SIDE_PX}.",
        )
    return crop_middle(painting, MAX_ASPECT)


def check_painting(job: StyleTraining, digest: str) -> None:
    """Check that a checkpoint belongs to this painting.

    Raises:
        UserError: it is of another painting.
    """
    before = load_facts(job.checkpoint).get("painting_sha256", digest)
    if before != digest:
        raise UserError(
            f"{job.checkpoint} is the training of another painting than {job.picture}.",
            "Give another NAME, or remove that file to begin anew.",
        )


def open_net(job: StyleTraining, grams: dict[str, Tensor], feed: Feed, warn: Say) -> tuple[nn.Module, str]:
    """Return the network to train, and the name of the model that it starts from.

    Where there is a checkpoint, the network is fresh: the loop loads its weights.
    """
    # The first process will soon write a checkpoint. It tells the others whether there was one before.
    if job.ranks.lead(job.checkpoint.is_file()):
        return build(job.arch).train(), str(load_facts(job.checkpoint).get("start", job.init))
    if job.init == NEAREST:
        return nearest(job, grams, feed, warn)
    net = build(job.arch)
    if job.init == NOTHING:
        return net.train(), NOTHING
    load_weights(Path(job.init), net, "net")
    return net.train(), Path(job.init).stem


def nearest(job: StyleTraining, grams: dict[str, Tensor], feed: Feed, warn: Say) -> tuple[nn.Module, str]:
    """Return the style of the same architecture with the least loss, and its name; a fresh network without any."""
    found = style_nets(job.arch, job.models)
    if not job.ranks.lead(len(found)):
        warn(f"There is no style of the architecture {job.arch} to start from: this one starts from nothing.")
        return build(job.arch).train(), NOTHING
    batch = as_batch([sample.image for sample in feed.make(TRIAL_SAMPLES, CROP_PX)], job.ranks.device)
    totals = list(total_losses(found, batch, job.network, grams, job.style_weight).values())
    # Processes may differ in the last digit, but must make the same choice.
    name = list(found)[int(job.ranks.lead(totals.index(min(totals))))]
    warn(f"Starts from {name}, the nearest of {len(found)} styles.")
    return found[name].train(), name


def imitate(
    net: nn.Module, teacher: Teacher, samples: list[Sample], optimizer: torch.optim.Optimizer, job: StyleTraining
) -> Terms:
    """Take one step towards the teacher's pictures, and return the named loss.

    The border does not count: networks draw the painting's own border there. Only the trained network gets noise, so
    that it learns to ignore it.
    """
    device = job.ranks.device
    batch = as_batch([sample.image for sample in samples], device)
    noise = torch.stack([disturbance(sample.seed, batch.shape[2:])[2] for sample in samples]).to(device)
    with mixed(device):
        painted = net((batch + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
    border = painted.shape[-1] // BORDER_SHARE
    error = (painted - teacher(samples))[..., border:-border, border:-border]
    return descend(net, {"likeness": LIKENESS_WEIGHT * error.square().mean()}, optimizer, job.ranks)


def descend(net: nn.Module, terms: dict[str, Tensor], optimizer: torch.optim.Optimizer, ranks: Ranks) -> Terms:
    """Take one step down the sum of named losses, in all processes; return them as numbers."""
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    ranks.average_gradients(net)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()
    return {name: float(term.detach()) for name, term in terms.items()}


def paint_step(
    net: nn.Module, network: LossNetwork, grams: dict[str, Tensor], samples: list[Sample],
    optimizer: torch.optim.Optimizer, job: StyleTraining, is_stable: bool,
) -> Terms:  # fmt: skip
    """Take one step on samples of one size, and return the named losses; see `paint_terms`."""
    terms = paint_terms(net, network, grams, samples, job.weights, job.ranks.device, is_stable)
    return descend(net, terms, optimizer, job.ranks)


@torch.no_grad()
def save_preview(path: Path, net: nn.Module, painting: Image, device: str) -> None:
    """Write the painting beside a picture in its style so far, as a PNG."""
    (width, height), photo = PREVIEW_SIZE, as_batch([cover(demo_frame(), PREVIEW_SIZE)], device)
    w, h = size_of(painting)
    side = min(width, round(w * height / h))
    save_image(path, np.hstack([cover(painting, (side, height)), as_image(net(photo))]))
