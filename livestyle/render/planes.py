"""What styles paint of a frame: where their planes show, side by side, steadied over time."""

import sys
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from livestyle.config.look import BOTH, Look
from livestyle.config.quality import Quality
from livestyle.image import pixels
from livestyle.image.box import Box
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.nets.engine import Engine
from livestyle.render.meter import Meter
from livestyle.render.region import Region
from livestyle.render.stylizer import Stylizer, load_style
from livestyle.render.temporal import Motion, MotionEstimator, PaintingHistory
from livestyle.types import Size

KEPT = 6  # styles that stay ready
MAX_REUSED_FRAMES = 5  # frames for which what was made of a picture that stands still is kept
CALM, LIVELY = 2, 0.05  # frames of a background of which nothing moves, and the share that moves where it is none
Stylizations = dict[str, Future[Image]]  # a frame's paintings by style, of the frame's size


@dataclass
class Painting:
    """A frame being painted.

    Args:
        quality: that it is painted with, whatever is chosen meanwhile.
        before: the paintings of the frame before, which these follow in memory.
        seen: how the picture moved; begun: that the nets have begun, after which all that follows stands.
        boxes: what of the picture each style paints; None: nothing, since its plane showed nowhere before.
        anew: whether a net ran, and nothing was only carried along.
    """

    frame: Frame
    look: Look
    quality: Quality
    before: Stylizations
    seen: Future[Motion]
    begun: Future[None] = field(init=False)
    boxes: dict[str, Box | None] = field(default_factory=dict)
    jobs: Stylizations = field(default_factory=dict)
    anew: bool = False


class Planes:
    """Owns styles, where they paint, and what they have painted; frames begin in order, each when the matte of the one
    before is known.

    Args:
        pool: does the parts of frames; it must begin them in the order in which they came.
        steadied: over time; else each picture stands alone.
    """

    def __init__(
        self, engine: Engine, models: Path | None, pool: ThreadPoolExecutor, meter: Meter, steadied: bool
    ) -> None:
        self.engine, self._meter = engine, meter
        self._models, self._pool = models, pool
        self._watcher = MotionEstimator() if steadied else None
        self._regions = {plane: Region() for plane in ("background", "person", BOTH)}
        self._behind: Matte | None = None  # where the background showed in the frame before, at a third of the size
        # By name and precision.
        self._styles: OrderedDict[tuple[str, str], tuple[Stylizer, PaintingHistory]] = OrderedDict()
        self._ready: dict[object, list[Future[None]]] = {}  # what is being made ready, or is

    def move(self, engine: Engine) -> None:
        """Compute elsewhere from now on; nothing may be at work."""
        self.engine = engine
        self._styles.clear()
        self._ready.clear()

    def engine_at(self, quality: Quality) -> Engine:
        """The engine with the precision of a quality."""
        return replace(self.engine, precision=quality.precision)

    def begin(self, frame: Frame, look: Look, quality: Quality, before: Stylizations) -> Painting:
        """Watch a frame, and paint it where its planes were before; all of that aside."""
        seen = self._pool.submit(self._watch, frame, quality)
        painting = Painting(frame, look, quality, before, seen)
        painting.begun = self._pool.submit(self._begin, painting)
        return painting

    def finish(self, painting: Painting, matte: Matte | None) -> Stylizations:
        """The paintings, each style's where it shows; one that shows nowhere is missing.

        Args:
            matte: tells where planes are; what the boxes of before did not hold of them is painted anew. None: they are
            the whole picture.
        """
        painting.begun.result()
        motion, planes = painting.seen.result(), painting.look.styled_planes
        self._behind = None
        if self._watcher and matte is not None:
            if motion.moves is not None:
                self._behind = 1 - pixels.fit_matte(matte, size_of(motion.moves))
            size, time = size_of(motion.feed), painting.frame.time
            shown = {
                plane: self._regions[plane].shown(matte, size, time, rest=plane != "person")
                for plane in {*planes.values()} - {BOTH}
            }
            for style, plane in planes.items():
                need, held = shown.get(plane, painting.boxes[style]), painting.boxes[style]
                wrong = need is None or held is None or not held.holds(need)
                if wrong and style in painting.jobs:
                    wait([painting.jobs.pop(style)])  # a memory serves one painting at a time
                if wrong and need:
                    self._paint(painting, motion, style, self._regions[plane].box(size) or need)
        return painting.jobs

    def forget(self, painting: Painting) -> None:
        """Wait until nothing works at a painting any more."""
        wait([painting.begun])
        wait(painting.jobs.values())

    def style(self, name: str, quality: Quality) -> tuple[Stylizer, PaintingHistory]:
        """A style made ready in the precision of a quality, and what it has painted.

        Raises:
            UserError: there is none, or its file is damaged.
        """
        key = name, quality.precision
        if key not in self._styles:
            self._styles[key] = load_style(name, self.engine_at(quality), sys.maxsize, self._models), PaintingHistory()
            if len(self._styles) > KEPT:
                self._styles.popitem(last=False)
        self._styles.move_to_end(key)
        return self._styles[key]

    def make_ready(self, quality: Quality, look: Look, size: Size) -> bool:
        """Whether a look can be painted this finely without delay; if not, that is begun, aside.

        Args:
            size: of the frames.
        """
        wanted = {style: painted_at(quality, size) for style in look.styled_planes}
        key = frozenset(wanted.items()), quality.precision
        if key not in self._ready:
            jobs = [self._pool.submit(self.style(style, quality)[0].prepare, at) for style, at in wanted.items()]
            self._ready[key] = jobs
            for old in list(self._ready)[:-2]:  # what is painted and what is next; others may have been let go since
                del self._ready[old]
        return all(job.done() for job in self._ready[key])

    def _watch(self, frame: Frame, quality: Quality) -> Motion:
        """How the picture moved, at the size at which it is painted."""
        small = pixels.fit(frame.image, painted_at(quality, size_of(frame.image)))
        return self._watcher(small, frame.time) if self._watcher else Motion(0, small)

    def _begin(self, painting: Painting) -> None:
        motion = painting.seen.result()
        planes, size = painting.look.styled_planes, size_of(motion.feed)
        painting.boxes = {style: self._regions[plane].box(size) for style, plane in planes.items()}
        for style, box in painting.boxes.items():
            if box:
                self._paint(painting, motion, style, box)

    def _paint(self, painting: Painting, motion: Motion, style: str, box: Box) -> None:
        """Begin a painting, or carry the one before along where that will do."""
        stylize, memory = self.style(style, painting.quality)
        full, feed = size_of(painting.frame.image), size_of(motion.feed)
        most = self._most(painting, motion, style)
        last = painting.before.get(style)
        if most and last:
            wait([last])
        if most and memory.will_do(motion, box, most):
            painting.jobs[style] = self._pool.submit(carry, memory, motion, box, full)
            return
        painting.anew = True
        self._meter.areas.append(box.area / (feed[0] * feed[1]))
        painting.jobs[style] = self._pool.submit(self._stylize, stylize, memory, motion, box, full, last)

    def _most(self, painting: Painting, motion: Motion, style: str) -> int:
        """For how many frames in a row a painting may be carried along."""
        carry = painting.quality.carry
        if painting.quality.rests and motion.is_still:
            return max(carry, MAX_REUSED_FRAMES)
        if painting.quality.rests and painting.look.styled_planes[style] == "background" and self._behind is not None:
            return max(carry, round(CALM * (1 - motion.moving(self._behind) / LIVELY)))
        return carry

    def _stylize(
        self,
        stylize: Stylizer,
        memory: PaintingHistory,
        motion: Motion,
        box: Box,
        size: Size,
        last: Future[Image] | None,
    ) -> Image:
        """A box of the picture painted and steadied, laid into the rest, at a size."""
        with self._meter.stage("stylize"):
            painted = stylize(box.of(motion.feed))
        if last:
            wait([last])
        return laid(memory(painted, motion, box), motion.feed, box, size)


def carry(memory: PaintingHistory, motion: Motion, box: Box, size: Size) -> Image:
    """The same without painting: what was painted before, carried along."""
    return laid(memory.carry(motion), motion.feed, box, size)


def painted_at(quality: Quality, size: Size) -> Size:
    """At which frames of a size are stylized."""
    return pixels.at_most(size, quality.pixels(size))


def laid(part: Image, rest: Image, box: Box, size: Size) -> Image:
    """A part of a picture laid into the rest of it, at a size."""
    if part.shape != rest.shape:
        whole = rest.copy()
        box.of(whole)[:] = part
        part = whole
    return pixels.fit(part, size)
