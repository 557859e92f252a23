"""Fine-tune a network that paints in a picture's style, from the weights that a predictor gave it, in a minute or two.

Steps are small and many: one crop for each core, whose content maps are kept. Nobody knows when a person will stop
looking. So the rate stays, and an average of the weights over the last quarter of the steps takes the place of its
decay.
"""

import copy
import os
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from livestyle.config.picture import PREFIX, read_mix
from livestyle.errors import UserError
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets import losses
from livestyle.nets.architectures.style_rows import load_predictor, set_row
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.library import find_painting
from livestyle.nets.style_reader import load_style_picture
from livestyle.nets.tensors import as_batch
from livestyle.stills.reference import painting_grams
from livestyle.train.augment import relight, to_bytes
from livestyle.train.curves import Terms
from livestyle.train.muon import Muon
from livestyle.train.painting import LossWeights, content_of, paint_terms
from livestyle.train.photos import Feed, Photos, Sample
from livestyle.train.ranks import mixed

CROP_PX = 256  # side of the training squares; smaller ones learn less in the same time
RATE = 2e-3  # of Adam; Muon's is ten times that
WARMUP_STEPS = 20  # at the full rate, the first steps would spoil more than they mend
MAX_GRADIENT = 5.0
MAX_WORKERS = 4  # more crops in a step do not pay
STABILITY_INTERVAL = 6  # steps
KEPT_CROPS, CROP_USES = 64, 4  # crops whose content maps are kept, and how often each is painted
AVERAGED = 3  # the average's weights grow with the number of the step to this power
HELD_OUT_SIDE_PX, HELD_OUT_INTERVAL, MOST_HELD_OUT = 256, 8, 4
MAX_FRAMES = 96  # of the user's that are kept
FRAME = "frame"  # the name of a source that is one
WEIGHTS = LossWeights(people=1.0)


@dataclass(frozen=True)
class FineTuning:
    """What to fine-tune, and how.

    Args:
        net: with the weights to start from, which are changed.
        grams: of the picture, in `network`.
        network: the loss network.
        photos: to paint; more may be added to them meanwhile.
        held_out: pictures that are not among them, uint8 (H, W, 3) RGB.
        weights: of the losses; rate: of Adam; seed: of all chance.
        workers: how many crops are painted at once.
    """

    net: SlimNet
    grams: dict[str, Tensor]
    network: LossNetwork
    photos: Photos
    held_out: Sequence[Image]
    weights: LossWeights = WEIGHTS
    rate: float = RATE
    seed: int = 0
    workers: int = 1


@contextmanager
def single_threaded() -> Iterator[None]:
    """Compute in one thread meanwhile, beside the workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class FineTuner:
    """Take the steps of a fine-tuning.

    Args:
        job: what to fine-tune.

    Attributes:
        images: that were painted so far; seconds: that the steps took.
    """

    def __init__(self, job: FineTuning) -> None:
        torch.manual_seed(job.seed)
        self._job, self._steps, self.images, self.seconds = job, 0, 0, 0.0
        self._net = job.net.train().to(memory_format=torch.channels_last)
        self._mean = AveragedModel(self._net, avg_fn=averaged)
        self._optimizer = Muon(self._net, job.rate)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._crops = Crops(job.photos, job.seed)
        # One thread for each crop: threads that share each product wait for one another where other work runs, too.
        self._threads = ThreadPoolExecutor(job.workers, initializer=partial(torch.set_num_threads, 1))
        self._copies: list[nn.Module] = [copy.deepcopy(self._net) for _ in range(job.workers)]
        sides = HELD_OUT_SIDE_PX, HELD_OUT_SIDE_PX
        self._held_out = [as_batch([cover(image, sides)], "cpu") for image in job.held_out]
        self._contents = [content_of(job.network, batch) for batch in self._held_out]

    @property
    def photos(self) -> Photos:
        """Return the photos to paint, to which more may be added."""
        return self._job.photos

    @property
    def held_out(self) -> Sequence[Image]:
        """Return the pictures that are held out."""
        return self._job.held_out

    @property
    def net(self) -> nn.Module:
        """Return the network so far, whose weights are averaged over the last steps."""
        return self._mean.module if self.images else self._net

    @single_threaded()
    def step(self) -> Terms:
        """Take one step down the losses of a crop for each worker, and return their means by name.

        Raises:
            UserError: no photo can be read.
        """
        begun, found = time.perf_counter(), list[Future[Terms]]()
        warmth = min(1.0, (self._steps + 1) / WARMUP_STEPS)
        for number, net in enumerate(self._copies, self.images):
            net.load_state_dict(self._net.state_dict())
            found.append(self._threads.submit(self._compute, net, number, self._crops.take(number)))
        terms = [future.result() for future in found]
        for parts in zip(*(net.parameters() for net in (self._net, *self._copies)), strict=True):
            parts[0].grad = torch.stack([part.grad for part in parts[1:] if part.grad is not None]).mean(0)
        torch.nn.utils.clip_grad_norm_(self._net.parameters(), MAX_GRADIENT)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * warmth
        self._optimizer.step()
        self._mean.update_parameters(self._net)
        self._steps += 1
        self.images += len(terms)
        self.seconds += time.perf_counter() - begun
        return {name: sum(term[name] for term in terms) / len(terms) for name in terms[0]}

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)
        self._crops.close()

    def _compute(self, net: nn.Module, number: int, crop: "Crop") -> Terms:
        job, is_stable = self._job, self._steps % STABILITY_INTERVAL == 0
        if crop.content is None:
            crop.content = content_of(job.network, as_batch([crop.sample.image], "cpu"))
        sample = crop.sample._replace(seed=number)
        net.zero_grad(set_to_none=True)
        terms = paint_terms(net, job.network, job.grams, [sample], job.weights, "cpu", is_stable, crop.content)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        return {name: float(term.detach()) for name, term in terms.items()}

    @single_threaded()
    @torch.no_grad()
    def loss(self) -> float:
        """Return the content and style loss of the held-out pictures."""
        job, found, net = self._job, [], self.net
        for batch, content in zip(self._held_out, self._contents, strict=True):
            with mixed("cpu"):
                maps = job.network(net(batch).clamp(0, 1))
            total = losses.content_loss(maps, {losses.CONTENT_LAYER: content})
            found.append(float(total + job.weights.style * losses.style_loss(maps, job.grams)))
        return sum(found) / len(found)


@dataclass
class Crop:
    """A sample, and its content map (1, C, h, w) once that was computed."""

    sample: Sample
    content: Tensor | None = None


class Crops:
    """Crops of the photos. Each is painted some CROP_USES times, for content maps are expensive.

    Args:
        photos: to crop; seed: of all chance.
    """

    def __init__(self, photos: Photos, seed: int) -> None:
        self._feed, self._seed, self._made = Feed(photos, seed), seed, 0
        self._kept = deque[Crop](maxlen=KEPT_CROPS)

    def take(self, number: int) -> Crop:
        """Return the crop of a step.

        Raises:
            UserError: no photo can be read.
        """
        chance = random.Random(f"{self._seed}/{number}")
        if self._made >= KEPT_CROPS and chance.random() * CROP_USES > 1:
            return chance.choice(self._kept)
        (sample,) = self._feed.take(range(self._made, self._made + 1), CROP_PX)
        self._made += 1
        self._kept.append(Crop(sample))
        return self._kept[-1]

    def close(self) -> None:
        """End the thread that makes samples."""
        self._feed.close()


def averaged(mean: Tensor, newest: Tensor, count: Tensor | int) -> Tensor:
    """Return an average that forgets the first steps (Shamir and Zhang 2013).

    Args:
        mean, newest: weights; count: how many are averaged already.
    """
    return mean.lerp(newest, (AVERAGED + 1) / (int(count) + 1 + AVERAGED))


def start_net(predictor: Path, row: NDArray[np.float32]) -> SlimNet:
    """Return the network of all pictures in the style of a row.

    Args:
        predictor: file of its weights; row: float32 (numbers,).

    Raises:
        UserError: the file holds something else.
    """
    net, _ = load_predictor(predictor)
    set_row(net, torch.from_numpy(row))
    return net


def grams_of(look: str, network: LossNetwork, models: Path | None = None) -> dict[str, Tensor]:
    """Return the Gram matrices of a look `picture:...`, mixed of its ingredients, (1, C, C) by style layer.

    Args:
        look: the text; network: the loss network; models: a folder of models that takes precedence.

    Raises:
        UserError: a picture cannot be read, or a style has no painting here.
    """
    mixed_grams: dict[str, Tensor] = {}
    for one in read_mix(look.removeprefix(PREFIX)):
        path = find_painting(one.style, models) if one.style else Path(one.path)
        for layer, gram in painting_grams(network, load_style_picture(path, one.region)).items():
            mixed_grams[layer] = mixed_grams.get(layer, torch.zeros_like(gram)) + one.share * gram
    return mixed_grams


def hold_out(photos: Photos, frames: Sequence[Image]) -> list[Image]:
    """Add frames to the photos to paint, and return pictures that are held out: some frames, or without any, photos.

    Args:
        photos: to add to; frames: uint8 (H, W, 3) RGB, in the order of time.

    Raises:
        UserError: none of the photos can be read.
    """
    if len(frames) >= HELD_OUT_INTERVAL:
        held_out = frames[HELD_OUT_INTERVAL // 2 :: HELD_OUT_INTERVAL]
        for number, frame in enumerate(frames):
            if number % HELD_OUT_INTERVAL != HELD_OUT_INTERVAL // 2:
                add_frame(photos, frame)
        return list(held_out[:: -(-len(held_out) // MOST_HELD_OUT)])
    for frame in frames:
        add_frame(photos, frame)
    interval = max(1, len(photos.sources) // MOST_HELD_OUT)
    chosen = photos.sources[::interval][:MOST_HELD_OUT]
    photos.sources[:] = [source for source in photos.sources if source not in chosen] or chosen
    found = []
    for _, load in chosen:
        with suppress(UserError):
            found.append(load())
    return found or [photos.pick(random.Random(0))[..., :3]]


def add_frame(photos: Photos, frame: Image) -> None:
    """Add a frame to the photos to paint, as it is and in another light, unless there are enough."""
    if sum(name == FRAME for name, _ in photos.sources) < 2 * MAX_FRAMES:
        photos.sources += [(FRAME, lambda: frame), (FRAME, lambda: relit(frame))]


def relit(frame: Image) -> Image:
    """Return a frame in another light."""
    return to_bytes(relight(frame.astype(np.float32) / np.float32(255)))


def worker_count() -> int:
    """Return how many crops to paint at once on this machine."""
    return min(MAX_WORKERS, os.cpu_count() or 1)


def tuned(
    net: SlimNet, picture: Path, seconds: Sequence[float], network: LossNetwork, photos: Photos
) -> Iterator[tuple[nn.Module, int]]:
    """Fine-tune a network to paint like a picture, with all of the machine's cores.

    Args:
        net: with the weights to start from, which are changed; picture: a file; seconds: rising numbers.
        network: the loss network; photos: to paint.

    Yields:
        After each number of seconds, the network and how many crops were painted.

    Raises:
        UserError: the picture or the photos cannot be read.
    """
    grams = painting_grams(network, load_style_picture(picture))
    tuner = FineTuner(FineTuning(net, grams, network, photos, (), workers=worker_count()))
    try:
        for mark in seconds:
            while tuner.seconds < mark or not tuner.images:
                tuner.step()
            yield tuner.net, tuner.images
    finally:
        tuner.close()
