"""The loop that every training runs in: by the clock, resumable, with a way back when it diverges."""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from livestyle.errors import UserError
from livestyle.train.checkpoint import Figures, exclusive, is_finite, load_checkpoint, save_checkpoint
from livestyle.train.curves import MEAN_IU, Curves, SparseValidation, Terms, summary
from livestyle.train.ranks import Ranks
from livestyle.types import Say

# One optimizer step. It takes the progress in 0..1 and the images seen so far.
# It returns the number of images that it saw, and its named losses and scores.
Step = Callable[[float, int], tuple[int, Terms]]

CHECKPOINT_INTERVAL_S = 60.0
LEAP_FACTOR, MAX_LEAPS = 50.0, 5  # a loss so many times the usual one, in so many steps in a row, is divergence
MAX_SETBACKS = 5  # without a checkpoint between them, until the training is given up
WARMUP = 0.03  # share of the time in which the learning rate rises
NEWEST_SHARE = 0.05  # of the last step in the losses that are reported


@dataclass(frozen=True)
class Training:
    """What is trained, for how long, and where its state is kept.

    Args:
        nets: the networks of the checkpoint, by name.
        optimizer: its learning rates are the highest ones; each follows `one_cycle`.
        checkpoint: the file to resume from, and to write.
        minutes: to train, over all runs together.
        seed: of all chance, with the number of images seen.
        step: one optimizer step.
        validate: measures losses and scores on other images; None measures nothing.
        warn: takes a message about each setback.
        notes: facts to keep in the checkpoint.
        saved: called after each checkpoint.
        ranks: the processes that train together. The first one's clock counts, and it alone writes.
    """

    nets: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    checkpoint: Path
    minutes: float
    seed: int
    step: Step
    validate: Callable[[], Terms] | None = None
    warn: Say = lambda line: None
    notes: Figures = field(default_factory=dict)
    saved: Callable[[], None] = lambda: None
    ranks: Ranks = field(default_factory=Ranks)


@dataclass(frozen=True)
class TrainingStatus:
    """How a training stands.

    Args:
        progress: in 0..1; images: seen so far; terms: losses and scores, averaged over the last steps.
    """

    progress: float
    images: int
    terms: Terms


class Clock:
    """Measures the time of a training over all its runs.

    Args:
        minutes: in all; spent: seconds of earlier runs.
    """

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.seconds = minutes * 60
        self._start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Return the seconds trained so far."""
        return time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """Return 0 at the start, 1 at the end."""
        return min(1.0, self.spent / self.seconds)


def one_cycle(progress: float, warmup: float = WARMUP) -> float:
    """Return the share of the highest learning rate: a linear rise, then half a cosine (Smith and Topin 2018)."""
    if progress < warmup:
        return 0.05 + 0.95 * progress / warmup
    return float(0.5 + 0.5 * torch.cos(torch.tensor((progress - warmup) / (1 - warmup) * torch.pi)))


def run_training(training: Training) -> Iterator[TrainingStatus]:
    """Train until the minutes are over, from the checkpoint on where there is one.

    A checkpoint and a point of the curves are written each minute and at the end. Chance is seeded before each step
    from the number of images seen. So a training that was stopped continues as if it had not been.

    A training diverges when a loss or weight is not finite, or the loss leaps. Then it returns to its checkpoint, with
    half of its learning rates. Only sound states are written.

    Yields:
        The status after each step.

    Raises:
        UserError: the checkpoint is damaged, of another network, in use by another process, or cannot be written.
            Or the training diverges again and again.
    """
    ranks = training.ranks
    with exclusive(training.checkpoint) if ranks.first else nullcontext():
        if ranks.first:
            _save_start(training)
        ranks.lead(0)  # the others wait for the file
        loop = _Loop(training)
        while not loop.is_over:
            loop.step()
            loop.go_back_or_on()
            if loop.is_due:
                loop.save()
            yield loop.status


def _save_start(training: Training) -> None:
    """Write the first checkpoint: a state to return to, and a full disk is noticed before any work."""
    if training.checkpoint.is_file():
        return
    if not is_finite(training.nets):
        raise UserError("The weights to start from are not all finite numbers.", "Start from other weights.", "start")
    facts: Figures = {"seconds": 0.0, "images": 0, **training.notes}
    save_checkpoint(training.checkpoint, training.nets, training.optimizer, facts)


class _Loop:
    """The state of a training between two steps."""

    def __init__(self, training: Training) -> None:
        self._training, self._ranks = training, training.ranks
        facts = load_checkpoint(training.checkpoint, training.nets, training.optimizer)
        self._images, self._halvings = int(facts["images"]), int(facts.get("rate_halved", 0))
        self._curves = Curves(training.checkpoint, self._images)
        self._validate = SparseValidation(training.validate)
        self._terms = self._curves.training
        self._check, self._setbacks = DivergenceCheck(), 0
        self._clock = Clock(training.minutes, float(facts["seconds"]))
        self._spent = self._saved_at = self._ranks.lead(self._clock.spent)
        self._rates = [group["lr"] for group in training.optimizer.param_groups]
        self._is_sound = True

    @property
    def is_over(self) -> bool:
        """Return whether the time is spent."""
        return self._spent >= self._clock.seconds

    @property
    def is_due(self) -> bool:
        """Return whether a checkpoint is due."""
        return self.is_over or (self._is_sound and self._spent - self._saved_at > CHECKPOINT_INTERVAL_S)

    @property
    def status(self) -> TrainingStatus:
        """Return how the training stands."""
        return TrainingStatus(min(1.0, self._spent / self._clock.seconds), self._images, self._terms)

    def step(self) -> None:
        """Take one step, at the learning rate of this time."""
        progress, groups = self._spent / self._clock.seconds, self._training.optimizer.param_groups
        random.seed(self._training.seed + self._images)
        torch.manual_seed(self._training.seed + self._images)
        for group, highest in zip(groups, self._rates, strict=True):
            group["lr"] = highest * one_cycle(progress) * 0.5**self._halvings
        count, terms = self._training.step(progress, self._images)
        self._images += count
        terms, self._spent = self._ranks.average(terms), self._ranks.lead(self._clock.spent)
        self._is_sound = self._check.is_sound(terms, self._terms)
        if self._is_sound:
            self._terms = {
                name: (1 - NEWEST_SHARE) * self._terms.get(name, value) + NEWEST_SHARE * value
                for name, value in terms.items()
            }

    def go_back_or_on(self) -> None:
        """Return to the checkpoint where the training diverges.

        Raises:
            UserError: it diverged too often.
        """
        training = self._training
        if not self._check.has_diverged and (not self.is_due or (self._is_sound and is_finite(training.nets))):
            self._setbacks = 0 if self.is_due else self._setbacks
            return
        self._halvings, self._setbacks, self._check = self._halvings + 1, self._setbacks + 1, DivergenceCheck()
        rate = self._rates[0] * 0.5**self._halvings
        if self._setbacks == MAX_SETBACKS:
            raise diverged(training.checkpoint, self._setbacks, rate)
        load_checkpoint(training.checkpoint, training.nets, training.optimizer)
        training.warn(
            f"The training broke after {self._images} images: back to its last good step, at a rate of {rate:.2g}."
        )

    def save(self) -> None:
        """Write a point of the curves and a checkpoint, in the first process."""
        if self._ranks.first:
            training = self._training
            self._curves.add(self._images, self._terms, self._validate(always=self.is_over))
            facts: Figures = {"seconds": self._spent, "images": self._images, **training.notes}
            facts |= as_figures(self._terms, self._curves.validation)
            facts |= {"rate_halved": self._halvings} if self._halvings else {}
            save_checkpoint(training.checkpoint, training.nets, training.optimizer, facts)
            training.saved()
        self._saved_at = self._spent


class DivergenceCheck:
    """Detects a training that diverges."""

    def __init__(self) -> None:
        self._leaps, self.has_diverged = 0, False

    def is_sound(self, terms: Terms, usual: Terms) -> bool:
        """Return whether the loss of a step is finite and no leap; set `has_diverged` where the training is lost.

        Args:
            terms: losses and scores of the step; usual: those of the steps before, averaged.
        """
        now = summary(terms).get("loss", 0.0)
        before = summary({name: usual.get(name, value) for name, value in terms.items()}).get("loss", 0.0)
        finite = math.isfinite(now)
        leaps = finite and now > LEAP_FACTOR * before > 0
        self._leaps = self._leaps + 1 if leaps else 0
        self.has_diverged = not finite or self._leaps >= MAX_LEAPS
        return finite and not leaps


def diverged(checkpoint: Path, times: int, rate: float) -> UserError:
    """Return the error of a training that is given up.

    Args:
        times: how often it diverged in a row; rate: half of the learning rate of the last time.
    """
    return UserError(
        f"The training breaks again and again ({times} times in a row, the last at a rate of {2 * rate:.2g}); "
        f"{checkpoint} holds its last good step.",
        "Choose a lower rate, or start from other weights.",
        "rate",
    )


def as_figures(training: Terms, validation: Terms) -> Figures:
    """Return the figures of a model's card: the last losses, and those on images that were held out."""
    losses: Figures = {f"{name}_loss": round(value, 4) for name, value in training.items() if name != MEAN_IU}
    return losses | {f"validation_{name}": round(value, 4) for name, value in validation.items()}
