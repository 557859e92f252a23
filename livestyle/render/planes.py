"""What styles paint of a frame: where their planes are visible, side by side, smoothed over time."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from livestyle.config.look import BOTH, Look
from livestyle.config.quality import Quality
from livestyle.config.settings import STAGE
from livestyle.errors import UserError
from livestyle.image import pixels
from livestyle.image.box import Box
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine
from livestyle.render.meter import Meter
from livestyle.render.picture_rows import open_predictor
from livestyle.render.region import Region
from livestyle.render.stylizer import Stylizer, load_style
from livestyle.render.temporal import Motion, MotionEstimator, PaintingHistory
from livestyle.types import Size

MAX_CACHED_STYLES = 6
LARGEST_PX = 1920 * 1080  # that small strokes are painted at
MAX_COMPILED_LOOKS = 3  # what is painted, what comes next, and the present one in another quality
MAX_REUSED_FRAMES = 5  # in a row, of a picture that stands still
MAX_REUSED_BACKGROUNDS = 2  # in a row, of a background of which nothing moves
ACTIVE_SHARE = 0.05  # of a background that moves, from which none is reused
Stylizations = dict[str, Future[Image]]  # a frame's paintings by style, of the frame's size


@dataclass
class Painting:
    """A frame while it is painted.

    Args:
        frame: the camera's frame.
        look: the look of both planes.
        quality: that it is painted with, whatever is chosen meanwhile.
        previous: the paintings of the frame before. The history needs them first.
        motion: how the picture moved.
        started: done when the networks were started, after which all fields below are set.
        boxes: what of the picture each style paints. None is nothing, since its plane was not visible before.
        jobs: the paintings by style.
        ran_network: whether a network ran, so that not all was only warped.
    """

    frame: Frame
    look: Look
    quality: Quality
    previous: Stylizations
    motion: Future[Motion]
    started: Future[None] = field(init=False)
    boxes: dict[str, Box | None] = field(default_factory=dict)
    jobs: Stylizations = field(default_factory=dict)
    ran_network: bool = False


class Planes:
    """Own the styles, where they paint, and what they painted.

    Frames begin in order. Each begins when the matte of the one before is known.

    Args:
        engine: what runs the networks; its precision is that of the quality.
        models: a folder of models that goes before all others, or None.
        pool: runs the parts of frames. It must start them in the order in which they came.
        meter: takes the times.
        is_live: whether paintings are smoothed over time; else each picture stands alone.

    Attributes:
        engine: as given, or as moved to.
        notes: what people should know about the styles that were loaded.
    """

    def __init__(
        self, engine: Engine, models: Path | None, pool: ThreadPoolExecutor, meter: Meter, is_live: bool
    ) -> None:
        self.engine, self._meter = engine, meter
        self._models, self._pool = models, pool
        self._estimator = MotionEstimator() if is_live else None
        self._regions = {plane: Region() for plane in ("background", "person", BOTH)}
        self._background: Matte | None = None  # where it was visible in the frame before, at a third of the size
        self._newest: Image | None = None  # picture, at the size at which it is painted
        self.notes: list[str] = []
        self._lock = threading.Lock()  # of the styles: the one that comes next is loaded beside the present one
        self._styles: OrderedDict[tuple[str, Engine], tuple[Stylizer, PaintingHistory]] = OrderedDict()
        self._replaced: dict[str, Card] = {}  # networks that took the place of a style's own
        # Looks and their jobs by styles, sizes and precision; done ones too.
        self._compiling: OrderedDict[object, tuple[Look, list[Future[object]]]] = OrderedDict()
        self._loader = ThreadPoolExecutor(1, f"{STAGE} loader")  # so that many looks in a row take no thread of frames

    def move(self, engine: Engine) -> None:
        """Compute with another engine from now on; no frame may be in progress."""
        self.engine = engine
        self._styles.clear()
        self._compiling.clear()

    def engine_at(self, quality: Quality) -> Engine:
        """Return the engine with the precision of a quality."""
        return replace(self.engine, precision=quality.precision)

    def begin(self, frame: Frame, look: Look, quality: Quality, previous: Stylizations) -> Painting:
        """Start to paint a frame where its planes were before, in the background.

        Args:
            frame, look, quality, previous: as of `Painting`.
        """
        motion = self._pool.submit(self._estimate, frame, quality)
        painting = Painting(frame, look, quality, previous, motion)
        painting.started = self._pool.submit(self._start, painting)
        return painting

    def finish(self, painting: Painting, matte: Matte | None) -> Stylizations:
        """Return the paintings. A style that is visible nowhere is missing.

        Args:
            painting: a frame that was begun.
            matte: float32 (H, W). What the boxes did not contain of the planes is painted again. None: the planes are
                the whole picture.
        """
        painting.started.result()
        motion, planes = painting.motion.result(), painting.look.styled_planes
        self._background = None
        if self._estimator and matte is not None:
            if motion.moving is not None:
                self._background = 1 - pixels.fit_matte(matte, size_of(motion.moving))
            size, time = size_of(motion.denoised), painting.frame.time
            visible = {
                plane: self._regions[plane].update(matte, size, time, rest=plane != "person")
                for plane in {*planes.values()} - {BOTH}
            }
            for style, plane in planes.items():
                needed, painted = visible.get(plane, painting.boxes[style]), painting.boxes[style]
                is_wrong = needed is None or painted is None or not painted.contains(needed)
                if is_wrong and style in painting.jobs:
                    wait([painting.jobs.pop(style)])  # a history serves one painting at a time
                if is_wrong and needed:
                    self._paint(painting, motion, style, self._regions[plane].box(size) or needed)
        return painting.jobs

    def wait_for(self, painting: Painting) -> None:
        """Wait until nothing works at a painting any more."""
        wait([painting.started])
        wait(painting.jobs.values())

    def style(self, name: str, quality: Quality) -> tuple[Stylizer, PaintingHistory]:
        """Return a style in the precision of a quality, and what it painted.

        Raises:
            UserError: there is no such style, or its file is damaged.
        """
        engine = self.engine_at(quality)
        key = name, engine
        with self._lock:
            if key in self._styles:
                self._styles.move_to_end(key)
                return self._styles[key]
        stylizer = self._load(name, engine)
        self.notes += [stylizer.note] if stylizer.note else []
        with self._lock:  # another thread may have loaded it meanwhile
            found = self._styles.setdefault(key, (stylizer, PaintingHistory()))
            if len(self._styles) > MAX_CACHED_STYLES:
                self._styles.popitem(last=False)
            return found

    def replace_style(self, name: str, card: Card, quality: Quality, size: Size) -> None:
        """Paint a style with another network from now on, at first mixed with what is painted; from any thread.

        Args:
            name: of the style.
            card: of the network. Where its files are gone later, the style's own network paints again.
            quality: that is painted with.
            size: width and height of the frames.

        Raises:
            UserError: its file is missing or damaged. Then nothing has changed.
        """
        engine, painted = self.engine_at(quality), style_size(quality, size)
        stylizer = Stylizer(engine.load(card), card.multiple, sys.maxsize)
        boxes = [region.held(painted) for region in self._regions.values()]
        for box in {painted, *((box.right - box.left, box.bottom - box.top) for box in boxes if box)}:
            stylizer.prepare(box)
        key = name, engine
        with self._lock:
            self._replaced[name] = card
            history = self._styles[key][1] if key in self._styles else PaintingHistory()
            for old in [old for old in self._styles if old[0] == name]:  # those of other precisions are loaded again
                del self._styles[old]
            history.fade()
            self._styles[key] = stylizer, history
            self._compiling.clear()

    def _load(self, name: str, engine: Engine) -> Stylizer:
        card = self._replaced.get(name)
        if card:
            with suppress(UserError):
                return Stylizer(engine.load(card), card.multiple, sys.maxsize)
            self._replaced.pop(name, None)
        return load_style(name, engine, sys.maxsize, self._models, self._newest)

    def warm_up(self, quality: Quality, look: Look, size: Size, files: Mapping[str, Callable[[], object]]) -> bool:
        """Load and compile what a look needs, in the background; see `Filter.warm_up`.

        Args:
            files: what reads the files of its planes that no style paints, by their texts.
        """
        quality = quality.with_brush(look.brush)
        at = style_size(quality, size)
        key = frozenset((*look.styled_planes, *files)), at, quality.precision
        with self._lock:  # of `replace_style`
            first, jobs = self._compiling.get(key, (look, None))
            if jobs is None or (first is not look and any(job.done() and job.exception() for job in jobs)):
                styles: list[Callable[[], object]] = [
                    partial(self._prepare, style, plane, quality, at) for style, plane in look.styled_planes.items()
                ]
                jobs = [self._loader.submit(job) for job in (*styles, *files.values())]
                self._compiling[key] = look, jobs
                while len(self._compiling) > MAX_COMPILED_LOOKS:  # networks may have dropped others since
                    for job in self._compiling.popitem(last=False)[1][1]:
                        job.cancel()
            self._compiling.move_to_end(key)
        done = [job for job in jobs if job.done()]
        for job in done:
            job.result()
        return len(done) == len(jobs)

    def expect_pictures(self, quality: Quality) -> None:
        """Load what the first look that is a picture needs, in the background; see `Filter.expect_pictures`."""
        self._loader.submit(lambda: open_predictor(self._models).prepare(self.engine_at(quality)))

    def close(self) -> None:
        """End what is loaded in the background. What is being loaded now is left behind."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, style: str, plane: str, quality: Quality, size: Size) -> None:
        """Load a style, and compile it for pictures of a size and for the box of its plane."""
        stylize, box = self.style(style, quality)[0], self._regions[plane].held(size)
        for at in {size, (box.right - box.left, box.bottom - box.top) if box else size}:
            stylize.prepare(at)

    def _estimate(self, frame: Frame, quality: Quality) -> Motion:
        """Return how the picture moved, at the size at which it is painted."""
        small = self._newest = pixels.fit(frame.image, style_size(quality, size_of(frame.image)))
        return self._estimator(small, frame.time) if self._estimator else Motion(0, small)

    def _start(self, painting: Painting) -> None:
        motion = painting.motion.result()
        planes, size = painting.look.styled_planes, size_of(motion.denoised)
        painting.boxes = {style: self._regions[plane].box(size) for style, plane in planes.items()}
        for style, box in painting.boxes.items():
            if box:
                self._paint(painting, motion, style, box)

    def _paint(self, painting: Painting, motion: Motion, style: str, box: Box) -> None:
        """Start a new painting of a box, or warp the last one where that will do."""
        stylize, history = self.style(style, painting.quality)
        full, small = size_of(painting.frame.image), size_of(motion.denoised)
        most = self._most_warped(painting, motion, style)
        last = painting.previous.get(style)
        if most and last:
            wait([last])
        if most and history.can_warp(motion, box, most):
            painting.jobs[style] = self._pool.submit(warp_painting, history, motion, box, full)
            return
        painting.ran_network = True
        self._meter.areas.append(box.area / (small[0] * small[1]))
        painting.jobs[style] = self._pool.submit(self._stylize, stylize, history, motion, box, full, last)

    def _most_warped(self, painting: Painting, motion: Motion, style: str) -> int:
        """Return for how many frames in a row a painting may be warped."""
        most = painting.quality.carry
        if painting.quality.rests and motion.is_still:
            return max(most, MAX_REUSED_FRAMES)
        is_behind = painting.look.styled_planes[style] == "background"
        if painting.quality.rests and is_behind and self._background is not None:
            activity = motion.moving_share(self._background) / ACTIVE_SHARE
            return max(most, round(MAX_REUSED_BACKGROUNDS * (1 - activity)))
        return most

    def _stylize(
        self,
        stylize: Stylizer,
        history: PaintingHistory,
        motion: Motion,
        box: Box,
        size: Size,
        last: Future[Image] | None,
    ) -> Image:
        """Paint and smooth a box of the picture, and paste it into the rest, at a size."""
        with self._meter.stage("stylize"):
            painted = stylize(box.crop(motion.denoised))
        if last:
            wait([last])
        return pasted(history(painted, motion, box), motion.denoised, box, size)


def warp_painting(history: PaintingHistory, motion: Motion, box: Box, size: Size) -> Image:
    """Return the last painting warped, pasted into the rest of the picture, at a size."""
    return pasted(history.warp(motion), motion.denoised, box, size)


def style_size(quality: Quality, size: Size) -> Size:
    """Return the size at which frames of a size are stylized.

    Strokes are so many pixels large, whatever the size: a brush of 2 halves it, and one of 0.5 may exceed the frame's.
    """
    width, height = pixels.at_most(size, quality.pixels(size))
    if quality.brush == 1:
        return width, height
    brushed = (max(1, round(width / quality.brush)), max(1, round(height / quality.brush)))
    return pixels.at_most(brushed, max(width * height, LARGEST_PX))


def pasted(part: Image, rest: Image, box: Box, size: Size) -> Image:
    """Return a part of a picture pasted into the rest of it, scaled to a size."""
    if part.shape != rest.shape:
        whole = rest.copy()
        box.crop(whole)[:] = part
        part = whole
    return pixels.fit(part, size)
