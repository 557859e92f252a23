"""The filter: a frame and a look become a finished picture. The only place that joins segmenter, styles, composite."""

import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from livestyle import image as pixels
from livestyle.bokeh import bokeh_plane
from livestyle.engine import Engine, choose_engine
from livestyle.errors import UserError
from livestyle.image import Frame, Image, Matte, size_of
from livestyle.light import SECONDS, AutoLight
from livestyle.look import BOTH, Look, Plane
from livestyle.region import Box, Region
from livestyle.segment import REFINEMENTS, MainPerson, Matting, Refinement, Smoother, load_segmenter
from livestyle.settings import LIVE_QUALITY, PERSON_COUNTS, QUALITIES, STILL_QUALITY, Quality, Settings, Size
from livestyle.sources import Source, VideoFile
from livestyle.steady import Memory, Motion, Watcher
from livestyle.stylize import Stylizer, load_style

ELSEWHERE = ("style", "image", "video")  # looks of a background with a light of its own
KEPT = 6  # styles that stay ready
RESTING = 5  # frames for which what was made of a picture that stands still is kept
REMEMBERED = 5000  # timings of a stage
T = TypeVar("T")


class Meter:
    """Milliseconds per stage: the newest few thousand, and how often each stage ran."""

    def __init__(self) -> None:
        self.stages: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self.runs: Counter[str] = Counter()  # and on how many frames any style was "painted"
        self.areas: deque[float] = deque(maxlen=REMEMBERED)  # of what styles painted, as shares of the picture

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.stages[name].append((time.perf_counter() - start) * 1000)
        self.runs[name] += 1

    def median(self, name: str) -> float:
        """Median of a stage, 0 where it never ran."""
        return round(float(np.median(self.stages[name])), 3) if self.stages.get(name) else 0.0


class Filter:
    """Renders frames. Segmenter and styles run side by side, one thread each; nets are prepared when first wanted.

    Args:
        settings: device, quality, segmenter, models.
        live: steady mattes and paintings over time, and take the live quality for "auto"; else each picture stands
            alone.

    Raises:
        UserError: a device, quality, segmenter or style that is not there.
    """

    def __init__(self, settings: Settings, live: bool = True) -> None:
        name = (LIVE_QUALITY if live else STILL_QUALITY) if settings.quality == "auto" else settings.quality
        if name not in QUALITIES:
            raise UserError(f"There is no quality '{name}'.", f"Choose auto, {', '.join(QUALITIES)}.")
        self.quality, self.meter = QUALITIES[name], Meter()
        self.notes: list[str] = []  # what a person should know of how it runs
        self.engine = choose_engine(settings.device, self.quality.precision)
        self._models: Path | None = settings.models
        # Mattes are those of the live view, unless told otherwise.
        told = self.quality if settings.quality == name else QUALITIES[LIVE_QUALITY]
        self.segmenter, segment = load_segmenter(settings, replace(self.engine, precision=told.precision))
        if settings.person_count not in PERSON_COUNTS:
            raise UserError(
                f"There is no person count '{settings.person_count}'.", f"Choose {' or '.join(PERSON_COUNTS)}."
            )
        choose = MainPerson() if settings.person_count == "main" else None
        refinement = find_refinement(settings.refine, live)
        self.matting = Matting(segment, Smoother() if live else None, refinement, choose)
        self.alone = refinement.alone  # the person's own colours where a matte is soft
        self._auto_light = AutoLight(SECONDS if live else 0.0) if settings.auto_light else None
        self._watcher = Watcher() if live else None
        self._regions = {plane: Region() for plane in ("background", "person", BOTH)}
        self._styles: OrderedDict[tuple[str, str], tuple[Stylizer, Memory]] = OrderedDict()  # by name and precision
        self._pictures: OrderedDict[tuple[str, Size], Image] = OrderedDict()
        self._clip: Clip | None = None
        self._known: tuple[Frame, Matte] | None = None  # the newest
        self._kept = 0  # frames for which that has been kept
        self._begun: list[Future[Any]] = []  # parts of the frame being rendered
        self._ready: dict[object, list[Future[None]]] = {}  # what is being made ready, or is
        self._pool = ThreadPoolExecutor(5, "stage")  # two styles, matte, motion, and one to make ready

    def take(self, quality: Quality) -> None:
        """Compute styles this finely from the next frame on; for the thread that renders."""
        self.engine, self.quality = replace(self.engine, precision=quality.precision), quality

    def make_ready(self, quality: Quality, look: Look, size: Size) -> bool:
        """Whether a look can be painted this finely without delay; if not, that is begun, aside.

        Args:
            size: of the frames.
        """
        wanted = {style: painted_at(quality, size) for style in look.styled_planes}
        key = frozenset(wanted.items()), quality.precision
        if key not in self._ready:
            engine = replace(self.engine, precision=quality.precision)
            jobs = [self._pool.submit(self._style(style, engine)[0].prepare, at) for style, at in wanted.items()]
            self._ready[key] = jobs
        return all(job.done() for job in self._ready[key])

    def prepare(self, look: Look) -> None:
        """Load what a look needs, so that errors come before the first frame."""
        for plane in (look.background, look.person):
            for style, _ in plane.styles:
                self._style(style)
                alone = style.endswith(".safetensors") and not Path(style).with_suffix(".onnx").is_file()
                if alone and self.engine.name == "openvino":
                    self.notes.append(f"{style} runs in PyTorch, slower; its .onnx would run in OpenVINO")
            if plane.kind == "image":
                self._picture(plane.path, (16, 16))
            if plane.kind == "video":
                self._moving(plane.path, 0.0, (16, 16))

    def __call__(self, frame: Frame, look: Look) -> Image:
        """The finished picture, of the frame's size; may share memory with the frame where nothing is to be done."""
        wait(self._begun)  # of a frame that failed
        self._begun.clear()
        image = frame.image
        if look.bypass:
            return image
        seen = self._begin(self._watch, frame) if look.styled_planes else None
        pending = None if look.is_whole else self._begin(self._matte, frame, seen)
        painted = self._paint(frame, look, seen.result(), pending) if seen else {}
        if pending is None:
            return self._render(look.background, look.background_strength, look, frame, painted, no_matte)
        matte = pending.result()
        scene = self._render(look.background, look.background_strength, look, frame, painted, lambda: 1 - matte)
        person = self._render(look.person, look.person_strength, look, frame, painted, lambda: matte)
        with self.meter.stage("composite"):
            if person is image and scene is not image:
                person = self.alone(image, matte)
            if self._auto_light and look.background.kind in ELSEWHERE:
                person = self._auto_light(person, matte, image, scene, frame.time)
            return pixels.composite(person, scene, matte)

    def _begin(self, do: Callable[..., T], *args: object) -> "Future[T]":
        """Do a part of a frame, aside."""
        job = self._pool.submit(do, *args)
        self._begun.append(job)
        return job

    def matte(self, frame: Frame) -> Matte:
        """The person's matte, of the frame's size; that of the frame rendered last is at hand, if it had one."""
        if self._known and self._known[0] is frame:
            return self._known[1]
        return self._matte(frame)

    def describe(self, size: Size) -> str:
        """How finely frames of a size are painted, for people."""
        width, height = self.style_size(size)
        return f"{width}x{height}" + (f", 1 frame in {self.quality.carry + 1}" if self.quality.carry else "")

    def style_size(self, size: Size) -> Size:
        """At which frames of a size are stylized."""
        return painted_at(self.quality, size)

    def _matte(self, frame: Frame, seen: Future[Motion] | None = None) -> Matte:
        """Made anew, but for a few frames of a picture that stands still, where the quality allows that."""
        rests = self._known and seen and self.quality.rests and self._kept < RESTING and seen.result().is_still
        if rests and self._known and self._known[1].shape == frame.image.shape[:2]:
            matte, self._kept = self._known[1], self._kept + 1
        else:
            self._known = None  # where this fails, the next frame is not to keep what an older one had
            with self.meter.stage("segment"):
                matte, self._kept = self.matting(frame.image, frame.time), 0
        self._known = frame, matte
        return matte

    def _watch(self, frame: Frame) -> Motion:
        """How the picture moved, at the size at which it is painted."""
        small = pixels.fit(frame.image, self.style_size(size_of(frame.image)))
        return self._watcher(small, frame.time) if self._watcher else Motion(0, small)

    def _paint(self, frame: Frame, look: Look, motion: Motion, pending: Future[Matte] | None) -> dict[str, Image]:
        """The frame in each style of the look, painted where that shows; a style that shows nowhere is missing.

        The nets run beside the segmenter, on where their plane was before. Once the matte tells where it is, what that
        did not hold is painted anew.
        """
        planes, full, size = look.styled_planes, size_of(frame.image), size_of(motion.feed)
        most = max(self.quality.carry, RESTING if self.quality.rests and motion.is_still else 0)

        def start(style: str, box: Box) -> Future[Image]:
            stylize, memory = self._style(style)
            if memory.will_do(motion, box, most):
                return self._begin(self._carry, memory, motion, box, full)
            self.meter.areas.append(box.area / (size[0] * size[1]))
            return self._begin(self._stylize, stylize, memory, motion, box, full)

        painted = self.meter.runs["stylize"]
        boxes = {style: self._regions[plane].box(size) for style, plane in planes.items()}
        jobs = {style: start(style, box) for style, box in boxes.items() if box}
        if self._watcher and pending:
            matte = pending.result()
            mattes = {"background": 1 - matte, "person": matte}
            shown = {p: self._regions[p].shown(mattes[p], size, frame.time) for p in {*planes.values()} - {BOTH}}
            for style, plane in planes.items():
                need, held = shown.get(plane, boxes[style]), boxes[style]
                wrong = need is None or held is None or not held.holds(need)
                if wrong and style in jobs:
                    jobs.pop(style).result()  # a memory serves one painting at a time
                if wrong and need:
                    jobs[style] = start(style, self._regions[plane].box(size) or need)
        done = {style: job.result() for style, job in jobs.items()}
        self.meter.runs["painted"] += self.meter.runs["stylize"] > painted
        return done

    def _stylize(self, stylize: Stylizer, memory: Memory, motion: Motion, box: Box, size: Size) -> Image:
        """A box of the picture painted and steadied, laid into the rest, at a size."""
        with self.meter.stage("stylize"):
            painted = stylize(box.of(motion.feed))
        return laid(memory(painted, motion, box), motion.feed, box, size)

    def _carry(self, memory: Memory, motion: Motion, box: Box, size: Size) -> Image:
        """The same without painting: what was painted before, carried along."""
        return laid(memory.carry(motion), motion.feed, box, size)

    def _style(self, style: str, engine: Engine | None = None) -> tuple[Stylizer, Memory]:
        engine = engine or self.engine
        key = style, engine.precision
        if key not in self._styles:
            self._styles[key] = load_style(style, engine, sys.maxsize, self._models), Memory()
            if len(self._styles) > KEPT:
                self._styles.popitem(last=False)
        self._styles.move_to_end(key)
        return self._styles[key]

    def _render(
        self, plane: Plane, strength: float, look: Look, frame: Frame,
        painted: dict[str, Image], feed: Callable[[], Matte],
    ) -> Image:  # fmt: skip
        """One plane, over the whole frame; `feed` tells what is 1 on the plane."""
        image, size = frame.image, size_of(frame.image)
        if plane.kind == "none":
            return image
        if plane.kind == "color":
            return np.full_like(image, plane.color)
        if plane.kind == "image":
            return self._picture(plane.path, size)
        if plane.kind == "video":
            return self._moving(plane.path, frame.time, size)
        if plane.kind == "blur":
            return pixels.mix(image, pixels.blur_plane(image, feed(), plane.amount), strength)
        if plane.kind == "bokeh":
            return pixels.mix(image, bokeh_plane(image, feed(), plane.amount, self.quality.pixels(size)), strength)
        if not painted.keys() >= {style for style, _ in plane.styles}:
            return image  # the plane shows nowhere
        first, *others = (painted[style] for style, _ in plane.styles)
        styled = pixels.mix(first, others[0], plane.styles[1][1]) if others else first
        if look.keep_colors:
            styled = pixels.keep_colors(styled, image)
        return pixels.mix(image, styled, strength)

    def _picture(self, path: str, size: Size) -> Image:
        key = path, size
        if key not in self._pictures:
            self._pictures[key] = pixels.cover(pixels.load_image(Path(path)), size)
            if len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
        return self._pictures[key]

    def _moving(self, path: str, at: float, size: Size) -> Image:
        if self._clip is None or self._clip.path != path:
            if self._clip:
                self._clip.close()
            self._clip = Clip(path)
        return pixels.cover(self._clip.image_at(at), size)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
        if self._clip:
            self._clip.close()

    def __enter__(self) -> "Filter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


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


def find_refinement(name: str, live: bool) -> Refinement:
    """What `--refine` names.

    Raises:
        UserError: an unknown name, or one that lacks a package or is too slow for moving pictures.
    """
    if name not in REFINEMENTS:
        raise UserError(f"There is no refinement '{name}'.", f"Choose {' or '.join(REFINEMENTS)}.")
    if live and REFINEMENTS[name].is_slow:
        raise UserError(f"The refinement '{name}' is for stills only.", "Leave --refine away for moving pictures.")
    REFINEMENTS[name].check()
    return REFINEMENTS[name]


def no_matte() -> Matte:
    """What a look that is whole never asks for."""
    raise AssertionError("a whole look has no matte")


class Clip:
    """A looping clip, read as the frames' time goes on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._source: Source = VideoFile(path, loop=True)
        self._frames = iter(self._source)
        self._now = self._next = next(self._frames)

    def image_at(self, seconds: float) -> Image:
        """The newest frame whose time has come."""
        while self._next.time <= seconds:
            self._now, self._next = self._next, next(self._frames)
        return self._now.image

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()
