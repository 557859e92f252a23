"""A picture's style gets better while it is shown: a process of low priority fine-tunes its network on the last frames.

Each better network takes over in the view. Frames are kept in memory only, and none while the picture is hidden.
"""

import math
import shutil
import tempfile
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from livestyle.config.look import Look
from livestyle.config.picture import PREFIX
from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package, pip_install
from livestyle.files import sha256
from livestyle.image.pixels import fit
from livestyle.image.types import Frame, Image, size_of
from livestyle.live.better_process import BetterProcess, Step
from livestyle.live.controls import Controls
from livestyle.live.keep import Keeper, Kept
from livestyle.live.shown import Shown
from livestyle.nets.card import Card
from livestyle.nets.memory import free_bytes
from livestyle.render.filter import Filter
from livestyle.render.picture_rows import open_predictor
from livestyle.types import Size, Status

PACKAGES = "torch", "onnx", "safetensors"  # that the process needs
SETTLE_S = 3.0  # for which a style is shown before it gets better
FRAME_INTERVAL_S, LATER_INTERVAL_S = 0.25, 1.0  # between frames that are kept, before and after the start
MIN_FRAMES, MAX_FRAMES = 8, 48
SILENCE_S = 180.0  # after which a process that says nothing hangs
DONE_S = 6.0  # for which the end is shown
MAX_BETTER = 16  # styles whose better networks are kept
NEEDED_BYTES, SPARE_BYTES = 1_500_000_000, 300_000_000  # free memory for the start, and while it runs
MULTIPLE = 4  # of the sides of a network's input
DONE = "as good as it gets"


@dataclass
class Running:
    """A style that gets better.

    Args:
        style: its name; size: of the frames that are sent.
        process: that makes it better.
        heard: how many of its steps were looked at; told: when that was, in seconds of the source.
    """

    style: str
    size: Size
    process: BetterProcess
    told: float
    heard: int = 0


class Better:
    """Make the style of the picture that is shown better. Use it in `with`.

    Args:
        settings: of the run, for its models.
        minutes: to learn; 0 for never.
        keeper: keeps styles; None for the usual one.
    """

    def __init__(self, settings: Settings, minutes: float, keeper: Keeper | None = None) -> None:
        self._models, self._minutes = settings.models, minutes
        self._keeper = keeper or Keeper(settings)
        self._filter: Filter | None = None
        self._frames: deque[Image] = deque(maxlen=MAX_FRAMES)
        self._sampled, self._since = -math.inf, 0.0  # seconds of the source
        self._done = "", 0.0  # the style that got as good as it gets, and until when that is told
        self._style = ""
        self._running: Running | None = None
        self._finished: set[str] = set()
        self._folder: Path | None = None
        self._numbers = count(1)
        self._better: OrderedDict[str, tuple[Card, Step]] = OrderedDict()  # by style
        self._said = set[str]()

    def attach(self, filter: Filter) -> None:
        """Learn which filter renders. Without one nothing gets better."""
        self._filter = filter

    def follow(self, frame: Frame, shown: Shown, controls: Controls) -> Iterator[str]:
        """Take what is shown for a frame, and yield lines for people.

        Args:
            frame: as the source gave it; shown: what everybody sees of it; controls: ask to stop and to keep.
        """
        if self._filter is not None and self._minutes and frame.time >= 0:
            yield from self._improve(self._filter, frame, shown, controls)
        for name, style in controls.ordered_keeps():
            card, step = self._better.get(style, (None, None))
            yield from self._keeper.take(Kept(name, style, card, step), controls)
        yield from self._keeper.messages()

    def messages(self) -> Iterator[str]:
        """Yield the lines for people that are left at the end."""
        return self._keeper.messages()

    def close(self) -> None:
        """End the process, and remove its files."""
        self._end()
        self._keeper.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _improve(self, filter: Filter, frame: Frame, shown: Shown, controls: Controls) -> Iterator[str]:
        wanted = self._wanted(shown.look)
        if wanted != self._style:
            self._end()
            self._style, self._since = wanted, frame.time
        self._since = min(self._since, frame.time)
        if controls.stops_improving() and self._style:
            self._finished.add(self._style)
            self._end()
        self._sample(filter, frame, shown, controls)
        if self._running:
            yield from self._attend(self._running, frame.time)
        elif self._style and frame.time - self._since >= SETTLE_S and len(self._frames) >= MIN_FRAMES:
            yield from self._begin(filter, frame)
        controls.improving = self._status(frame.time, shown.look)

    def _wanted(self, look: Look) -> str:
        """Return the style to make better: the present one, or the first picture that is not finished; or ""."""
        styles = [style for style in look.styled_planes if style.startswith(PREFIX) and style not in self._finished]
        return self._style if self._style in styles else (*styles, "")[0]

    def _sample(self, filter: Filter, frame: Frame, shown: Shown, controls: Controls) -> None:
        """Keep a frame now and then, and send it on. Whoever hides wants what was seen before forgotten."""
        if shown.hidden or controls.panicked:
            self._frames.clear()
        elif self._style and not (shown.is_old or controls.frozen or shown.look.bypass or frame.is_blank):
            if 0 <= frame.time - self._sampled < (LATER_INTERVAL_S if self._running else FRAME_INTERVAL_S):
                return
            self._sampled, size = frame.time, filter.style_size(size_of(frame.image))
            small = fit(frame.image, self._running.size if self._running else size)
            self._frames.append(small.copy() if small is frame.image else small)
            if self._running:
                self._running.process.send(self._frames[-1])

    def _begin(self, filter: Filter, frame: Frame) -> Iterator[str]:
        style, self._since = self._style, frame.time
        if obstacle := self._obstacle():
            self._finished.add(style)
            if obstacle not in self._said:
                self._said.add(obstacle)
                yield obstacle
            return
        size, full = size_of(self._frames[-1]), size_of(frame.image)
        frames = [fit(small, size) for small in self._frames]
        try:
            order = self._order(style, size, len(frames))

            def keep(step: Step) -> None:
                self._take(filter, style, step, full)

            process = BetterProcess(order, keep)
        except (OSError, UserError) as error:
            self._finished.add(style)
            yield f"The style stays as it is: {error}"
            return
        for small in frames:
            process.send(small)
        self._running = Running(style, size, process, frame.time)

    def _obstacle(self) -> str:
        """Return why no style can get better here, or ""."""
        if not all(map(has_package, PACKAGES)):
            return f"With PyTorch this style would get better while you watch. Run: {pip_install('torch')}"
        free = free_bytes()
        is_short = free is not None and free < NEEDED_BYTES
        return f"The style stays as it is: less than {NEEDED_BYTES / 1e9:g} GB of memory are free." if is_short else ""

    def _order(self, style: str, size: Size, frames: int) -> dict[str, Any]:
        """Return what the process is to do.

        Raises:
            OSError: there is no room for its files; UserError: there is no predictor.
        """
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="livestyle-"))
        predictor = open_predictor(self._models).card
        return {
            "look": style, "folder": self._folder, "name": "better", "width": size[0], "height": size[1],
            "frames": frames, "minutes": self._minutes, "predictor": predictor.folder, "models": self._models,
        }  # fmt: skip

    def _take(self, filter: Filter, style: str, step: Step, size: Size) -> None:
        """Have the network that a step saved take over, on the thread of the process.

        Raises:
            OSError, UserError: it cannot be read. Then nothing has changed.
        """
        assert step.saved
        assert self._folder
        known = self._better.get(style)
        if known and step.loss / step.start_loss >= known[1].loss / known[1].start_loss:
            return  # the look came back, and learning began anew
        name = f"better_{next(self._numbers)}"
        card = copied(step.saved, self._folder, name, style)
        filter.replace_style(style, card, size)
        old = [self._better.pop(style)] if style in self._better else []
        self._better[style] = card, step
        while len(self._better) > MAX_BETTER:
            old.append(self._better.popitem(last=False)[1])
        for before, _ in old:
            remove_files(before)

    def _attend(self, running: Running, time: float) -> Iterator[str]:
        """Look after the process, and yield what went wrong."""
        process = running.process
        if process.heard > running.heard:
            running.heard, running.told = process.heard, time
        free = free_bytes() if process.is_running else None
        if not process.is_running:
            is_done = process.step is not None and process.step.seconds >= 60 * self._minutes
            problem = "" if is_done else process.problem  # one that is done may end as it likes
        elif free is not None and free < SPARE_BYTES:
            problem = "memory runs out"
        elif time - running.told > SILENCE_S:
            problem = f"nothing was heard of its process for {SILENCE_S / 60:g} minutes"
        else:
            return
        self._finished.add(running.style)
        self._end()
        if problem:
            yield f"The style gets no better: {problem}"
        else:
            self._done = running.style, time + DONE_S

    def _status(self, time: float, look: Look) -> Status | None:
        """Return what people are told."""
        running = self._running
        if running is None:
            style, until = self._done
            is_done = style in look.styled_planes and time < until
            return {"words": DONE, "style": style, "seconds_left": 0} if is_done else None
        step = running.process.step
        left = max(0, round(60 * self._minutes - (step.seconds + time - running.told if step else 0)))
        facts = {"images": step.images, "loss": step.loss, "start_loss": step.start_loss} if step else {}
        words = f"getting better, {left // 60}:{left % 60:02}"
        return {"words": words, "style": running.style, "seconds_left": left, **facts}

    def _end(self) -> None:
        running, self._running, self._style = self._running, None, ""
        if running:
            running.process.end()

    def __enter__(self) -> "Better":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def copied(saved: Path, folder: Path, name: str, style: str) -> Card:
    """Return the card of a copy of a network's files, which stay as they are while newer ones are saved.

    Args:
        saved: its ONNX file; the weights lie beside it.
        folder: for the copies; name: of them; style: what it paints.

    Raises:
        OSError: they cannot be copied.
    """
    files = [folder / f"{name}{suffix}" for suffix in (".onnx", ".safetensors")]
    for file in files:
        shutil.copyfile(saved.with_suffix(file.suffix), file)
    digests = {file.name: sha256(file) for file in files}
    return Card(name, "style", style, "slim", digests, "yours", style, "", "", multiple=MULTIPLE, folder=folder)


def remove_files(card: Card) -> None:
    """Remove a network's files, if that can be done."""
    for name in card.files:
        with suppress(OSError):
            ((card.folder or Path()) / name).unlink()
