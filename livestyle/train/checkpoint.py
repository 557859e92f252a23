"""The loop that every training runs in: by the clock, resumable, its state in one safetensors file."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.files import locked, save_tensors, write_error
from livestyle.train.curves import MEAN_IU, Curves, Sparingly, Terms, summary
from livestyle.train.ranks import Ranks

Figures = dict[str, float | int | str]
Step = Callable[[float, int], tuple[int, Terms]]

EVERY = 60.0  # seconds between checkpoints
LEAP, IN_A_ROW = 50.0, 5  # a training has broken when its loss is so many times the usual one for so many steps
MOST_SETBACKS = 5  # after so many without a good minute between them, it is given up
ANEW = "Remove it to begin anew, or give another NAME or --runs."


def save_checkpoint(path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: Figures) -> None:
    """Write the nets, the optimizer's moments and the facts, aside first, then renamed.

    Raises:
        UserError: it cannot be written.
    """
    tensors = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clones = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        save_tensors(path, clones, {"facts": json.dumps(facts)})
    except OSError as error:
        raise write_error(path, error) from None


def load_checkpoint(
    path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote and return its facts.

    Raises:
        UserError: the file is damaged, or holds other nets.
    """
    facts = load_facts(path)
    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    try:
        for name, net in nets.items():
            net.load_state_dict({k: tensors[f"{name}.{k}"] for k in net.state_dict()})
    except (KeyError, RuntimeError):
        raise UserError(f"{path} is the training of another net.", ANEW) from None
    if optimizer:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, leaf = key.split(".")
                state.setdefault(int(index), {})[leaf] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return facts


def load_weights(path: Path, net: nn.Module, part: str) -> None:
    """Take over the weights of a checkpoint's part, or of a shipped file; `is_folded` says for which net.

    Raises:
        UserError: there is no such file, or it holds another net.
    """
    if not path.is_file():
        raise UserError(f"There are no weights {path}.", "Give a checkpoint, or a model's .safetensors, with --from.")
    try:
        with safe_open(path, "pt") as file:
            prefix = f"{part}." if "facts" in (file.metadata() or {}) else ""
            net.load_state_dict({key: file.get_tensor(prefix + key).float() for key in net.state_dict()})
    except (SafetensorError, RuntimeError):
        raise UserError(f"{path} does not hold this net.", "Give weights of the same --arch with --from.") from None


def is_folded(path: Path | None) -> bool:
    """Whether a checkpoint or a shipped file holds a net whose norms are folded into its convolutions."""
    if path is None or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return not any(".norm." in key for key in file.keys())  # noqa: SIM118
    except SafetensorError:
        raise UserError(f"{path} does not hold a net that can be read.", "Give another file.") from None


def load_facts(path: Path) -> dict[str, Any]:
    """The facts alone; of a training that has not begun where there is no checkpoint.

    Raises:
        UserError: the file is damaged, or is no checkpoint.
    """
    if not path.is_file():
        return {"seconds": 0.0, "images": 0}
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not a whole checkpoint.", ANEW) from None
    return facts


class Clock:
    """How much of a training's minutes has gone, over all its sittings."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.seconds = minutes * 60
        self._start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds trained so far."""
        return time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        return min(1.0, self.spent / self.seconds)


@dataclass(frozen=True)
class TrainingStatus:
    """How a training stands."""

    progress: float  # 0..1
    images: int
    terms: Terms  # averaged over the last steps


def one_cycle(progress: float, warm: float = 0.03) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down (Smith and Topin 2018)."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return float(0.5 + 0.5 * torch.cos(torch.tensor((progress - warm) / (1 - warm) * torch.pi)))


def train_by_the_clock(
    nets: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    checkpoint: Path,
    minutes: float,
    seed: int,
    step: Step,
    validate: Callable[[], Terms] | None = None,
    *,
    warn: Callable[[str], None] = lambda line: None,
    notes: Figures | None = None,
    saved: Callable[[], None] = lambda: None,
    ranks: Ranks | None = None,
) -> Iterator[TrainingStatus]:
    """Step until the minutes are over, going on from the checkpoint where there is one.

    Each learning rate follows `one_cycle` from its first value. A checkpoint and a point of the curves are saved each
    minute and at the end. Chance is seeded anew before each step by the images seen, so that a training that was
    stopped goes on as if it had not been, and validation leaves no trace.

    A training that breaks (a loss or a weight is no finite number, or the loss leaps) goes back to its checkpoint, its
    rates halved; a checkpoint is only written of a sound one.

    Args:
        nets: what is saved, by name.
        step: one optimiser step at a progress of 0..1 and a number of images seen; returns how many it saw, and its
            named losses and scores.
        validate: measures the same on other images.
        warn: is told in a line of each break.
        notes: facts to keep in the checkpoint; saved: called after each.
        ranks: the processes that train together; the first one's clock counts, and it alone writes.

    Raises:
        UserError: the checkpoint is damaged, of another net, written by another training just now, or cannot be
            written; or the training breaks again and again.
    """
    ranks = ranks or Ranks()
    with only_one(checkpoint) if ranks.first else nullcontext():
        if not checkpoint.is_file() and ranks.first:  # so that there is a way back, and no minute lost on a full disk
            if not is_finite(nets):
                raise UserError("The weights to start from are not all finite numbers.", "Give others with --from.")
            save_checkpoint(checkpoint, nets, optimizer, {"seconds": 0.0, "images": 0, **(notes or {})})
        ranks.lead(0)  # the others wait for it
        facts = load_checkpoint(checkpoint, nets, optimizer)
        images, halved = int(facts["images"]), int(facts.get("rate_halved", 0))
        curves, score = Curves(checkpoint, images), Sparingly(validate)
        recent, alarm, setbacks = curves.training, Alarm(), 0
        clock = Clock(minutes, float(facts["seconds"]))
        last = spent = ranks.lead(clock.spent)
        peaks = [group["lr"] for group in optimizer.param_groups]
        while spent < clock.seconds:
            random.seed(seed + images)
            torch.manual_seed(seed + images)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * one_cycle(spent / clock.seconds) * 0.5**halved
            seen, terms = step(spent / clock.seconds, images)
            images, terms, spent = images + seen, ranks.average(terms), ranks.lead(clock.spent)
            over = spent >= clock.seconds
            sound = alarm.is_sound(terms, recent)
            if sound:
                recent = {name: 0.95 * recent.get(name, value) + 0.05 * value for name, value in terms.items()}
            due = over or (sound and spent - last > EVERY)
            if alarm.rings or (due and not (sound and is_finite(nets))):
                halved, setbacks, alarm = halved + 1, setbacks + 1, Alarm()
                rate = peaks[0] * 0.5**halved
                if setbacks == MOST_SETBACKS:
                    raise diverged(checkpoint, setbacks, rate)
                load_checkpoint(checkpoint, nets, optimizer)
                warn(f"The training broke after {images} images: back to its last good step, at a rate of {rate:.2g}.")
            elif due:
                setbacks = 0
            if due and ranks.first:
                curves.add(images, recent, score(always=over))
                figures = as_figures(recent, curves.validation)
                more: Figures = {"rate_halved": halved} if halved else {}
                kept: Figures = {"seconds": spent, "images": images, **(notes or {}), **figures, **more}
                save_checkpoint(checkpoint, nets, optimizer, kept)
                saved()
            last = spent if due else last
            yield TrainingStatus(min(1.0, spent / clock.seconds), images, recent)


@contextmanager
def only_one(checkpoint: Path) -> Iterator[None]:
    """No other process trains to this checkpoint meanwhile.

    Raises:
        UserError: another does, or the folder cannot be written to.
    """
    lock = checkpoint.with_name(f".{checkpoint.stem}.lock")
    with ExitStack() as held:
        try:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            mine = held.enter_context(locked(lock, wait=False))
        except OSError as error:
            raise write_error(checkpoint, error) from None
        if mine is None:
            raise UserError(
                f"Another process trains to {checkpoint}.", "Wait until it has ended, or give another NAME or --runs."
            )
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps what is open
                lock.unlink()


class Alarm:
    """Tells a broken training."""

    def __init__(self) -> None:
        self._row, self.rings = 0, False

    def is_sound(self, terms: Terms, usual: Terms) -> bool:
        """Whether a step's losses are such as they should be; rings where there is no more hope."""
        now = summary(terms).get("loss", 0.0)
        before = summary({name: usual.get(name, value) for name, value in terms.items()}).get("loss", 0.0)
        finite = math.isfinite(now)
        leaps = finite and now > LEAP * before > 0
        self._row = self._row + 1 if leaps else 0
        self.rings = not finite or self._row >= IN_A_ROW
        return finite and not leaps


def is_finite(nets: dict[str, nn.Module]) -> bool:
    """Whether all weights are finite numbers."""
    return all(bool(tensor.isfinite().all()) for net in nets.values() for tensor in net.state_dict().values())


def diverged(checkpoint: Path, times: int, rate: float) -> UserError:
    """What to say of a training that is given up."""
    return UserError(
        f"The training breaks again and again ({times} times in a row, the last at a rate of {2 * rate:.2g}); "
        f"{checkpoint} holds its last good step.",
        "Lower --rate, or start from other weights with --from.",
    )


def as_figures(training: Terms, validation: Terms) -> Figures:
    """What a card says of a training: its last losses, and how it did on images that it was not trained on."""
    losses: Figures = {f"{name}_loss": round(value, 4) for name, value in training.items() if name != MEAN_IU}
    return losses | {f"validation_{name}": round(value, 4) for name, value in validation.items()}
