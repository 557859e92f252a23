"""The filter: a frame and a look become a finished picture. The only place that joins segmenter, styles, composite."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from livestyle.config.look import Look, Plane
from livestyle.config.quality import LIVE_QUALITY, QUALITIES, STILL_QUALITY, Quality
from livestyle.config.settings import PERSON_COUNTS, STAGE, Settings
from livestyle.errors import UserError
from livestyle.image import pixels
from livestyle.image.bokeh import bokeh_plane
from livestyle.image.io import load_image
from livestyle.image.relight import SECONDS, AutoLight
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.matting.main_person import MainPerson
from livestyle.matting.matte import Matting
from livestyle.matting.refine import REFINEMENTS, Refinement
from livestyle.matting.segmenter import load_segmenter
from livestyle.matting.smoother import Smoother
from livestyle.nets.engine import Engine, choose_engine
from livestyle.nets.fetch import silent_progress
from livestyle.render.planes import RESTING, Painting, Planes, Stylizations, painted_at
from livestyle.render.temporal import Motion
from livestyle.types import OpenProgress, Size
from livestyle.video.sources.clip import ClipSource
from livestyle.video.sources.source import Source

if TYPE_CHECKING:
    from livestyle.render.gpu import GpuFilter

ELSEWHERE = ("style", "image", "video")  # looks of a background with a light of its own
KEPT = 6  # pictures behind that stay ready
PATIENCE = 3.0  # seconds for threads to end
NextFrame = Callable[[Frame], Frame | None]


def nothing(frame: Frame) -> Frame | None:
    """No frame follows."""
    return None


@dataclass
class Pending:
    """A frame at work.

    Args:
        painting: where a style shows; matte: where the look has two planes, and whether it was made anew.
    """

    frame: Frame
    look: Look
    painting: Painting | None
    matte: Future[tuple[Matte, bool]] | None


class Filter:
    """Renders frames. Segmenter and styles run side by side, one thread each; nets are prepared when first wanted.

    Args:
        settings: device, quality, segmenter, models.
        live: steady mattes and paintings over time, and take the live quality for "auto"; else each picture stands
            alone.
        progress: shows the download of published weights that are not here yet.

    Raises:
        UserError: a device, quality, segmenter or style that is not there.
    """

    def __init__(
        self, settings: Settings, live: bool = True, progress: OpenProgress = silent_progress
    ) -> None:
        name = (LIVE_QUALITY if live else STILL_QUALITY) if settings.quality == "auto" else settings.quality
        if name not in QUALITIES:
            raise UserError(f"There is no quality '{name}'.", f"Choose auto, {', '.join(QUALITIES)}.")
        quality = QUALITIES[name]
        self.notes: list[str] = []  # what a person should know of how it runs
        engine = choose_engine(settings.device, quality.precision)
        # Mattes are those of the live view, unless told otherwise.
        told = quality if settings.quality == name else QUALITIES[LIVE_QUALITY]
        self._settings, self._matte_precision = settings, told.precision
        self.segmenter, segment = load_segmenter(settings, replace(engine, precision=told.precision), progress)
        if settings.person_count not in PERSON_COUNTS:
            raise UserError(
                f"There is no person count '{settings.person_count}'.", f"Choose {' or '.join(PERSON_COUNTS)}."
            )
        choose = MainPerson() if settings.person_count == "main" else None
        refinement = find_refinement(settings.refine, live)
        self.matting = Matting(segment, Smoother() if live else None, refinement, choose)
        self.alone = refinement.alone  # the person's own colours where a matte is soft
        self._auto_light = AutoLight(SECONDS if live else 0.0) if settings.auto_light else None
        self._pictures: OrderedDict[tuple[str, Size], Image] = OrderedDict()
        self._clip: BackgroundClip | None = None
        self._known: deque[tuple[Frame, Matte]] = deque(maxlen=2)  # the newest: of the next frame, and of this one
        self._kept = 0  # frames for which the newest has been kept
        self._matting_turn = threading.Lock()
        self._now: Pending | None = None  # the frame rendered last
        self._ahead: Future[Pending | None] | None = None  # the one after it
        # Of two frames each: two styles, matte, motion, what begins them; and one to make ready.
        self._pool = ThreadPoolExecutor(11, STAGE)
        self._planes = Planes(quality, engine, settings.models, self._pool, steadied=live)
        self.meter = self._planes.meter
        self._resident = self._on_device(live) if engine.name == "torch" else None

    @property
    def quality(self) -> Quality:
        """How finely styles are computed."""
        return self._planes.quality

    @property
    def engine(self) -> Engine:
        """What computes them."""
        return self._planes.engine

    def take(self, quality: Quality) -> None:
        """Compute styles this finely from the next frame on; for the thread that renders."""
        planes = self._planes
        planes.engine, planes.quality = replace(planes.engine, precision=quality.precision), quality

    def fall_back(self) -> bool:
        """Compute on the CPU from the next frame on; False where it does already. For the thread that renders."""
        if self.engine.device.upper() == "CPU":
            return False
        ahead, self._ahead = self._ahead, None
        self._let_go(self._now)
        with suppress(Exception):  # of the same GPU
            self._let_go(ahead.result() if ahead else None)
        if self._resident:
            self._resident.close()
            self._resident = None
        engine = choose_engine("cpu", self.engine.precision)
        self.matting.take(load_segmenter(self._settings, replace(engine, precision=self._matte_precision))[1])
        self._planes.move(engine)
        return True

    def make_ready(self, quality: Quality, look: Look, size: Size) -> bool:
        """Whether a look can be painted this finely, at a size of frames, without delay; if not, that is begun."""
        return self._planes.make_ready(quality, look, size)

    def prepare(self, look: Look) -> None:
        """Load what a look needs, so that errors come before the first frame."""
        for plane in (look.background, look.person):
            for style, _ in plane.styles:
                self._planes.style(style)
                alone = style.endswith(".safetensors") and not Path(style).with_suffix(".onnx").is_file()
                if alone and self.engine.name == "openvino":
                    self.notes.append(f"{style} runs in PyTorch, slower; its .onnx would run in OpenVINO")
            if plane.kind == "image":
                self._picture(plane.path, (16, 16))
            if plane.kind == "video":
                self._moving(plane.path, 0.0, (16, 16))

    def __call__(self, frame: Frame, look: Look, following: NextFrame = nothing) -> Image:
        """The finished picture, of the frame's size; may share memory with the frame where nothing is to be done.

        Args:
            following: waits for the frame after a frame, and returns it or None; called aside, so that the work at
            that one begins while this one is finished. With the same look: where another comes next, it is in vain.
        """
        with self.meter.stage("filter"):
            if self._resident and self._resident.takes(look, self.matting) and not self._auto_light:
                self._let_go(self._caught_up())
                if following is not nothing:  # it is read meanwhile
                    self._pool.submit(following, frame)
                return self._resident(frame, look, self.matting, self.quality)
            return self._staged(frame, look, following)

    def _on_device(self, live: bool) -> "GpuFilter":
        """What renders with all pixels on the device; it imports PyTorch."""
        from livestyle.render.gpu import GpuFilter

        return GpuFilter(
            self.engine.device, lambda style: self._planes.style(style)[0], self._picture, self.meter, live
        )

    def settle(self) -> bool:
        """Wait for what is made ready aside after the first frames; whether they are launched from CUDA graphs then."""
        return self._resident is not None and self._resident.settle()

    def _staged(self, frame: Frame, look: Look, following: NextFrame) -> Image:
        """The same in stages, side by side."""
        now = self._take_up(frame, look)
        matte, is_new = now.matte.result() if now.matte else (None, False)
        jobs = self._planes.finish(now.painting, matte) if now.painting else {}
        if following is not nothing:
            self._ahead = self._pool.submit(self._look_ahead, following, now, jobs)
        painted = {style: job.result() for style, job in jobs.items()}
        self.meter.runs["cut out"] += is_new
        self.meter.runs["painted"] += bool(now.painting and now.painting.anew)
        return self._composed(now, painted, matte)

    def _take_up(self, frame: Frame, look: Look) -> Pending:
        """A frame at work: the one that was begun ahead, or begun now. Nothing works at others any more."""
        begun = self._caught_up()
        if begun is None or begun.frame is not frame or begun.look != look:
            self._let_go(begun)
            begun = self._begin(frame, look, {})
        self._now = begun
        return begun

    def _caught_up(self) -> Pending | None:
        """What was begun ahead, if anything; nothing works at the frame before any more."""
        ahead, self._ahead = self._ahead, None
        begun = ahead.result() if ahead else None
        self._let_go(self._now)
        return begun

    def _look_ahead(self, following: NextFrame, now: Pending, before: Stylizations) -> Pending | None:
        frame = following(now.frame)
        return None if frame is None or frame.is_blank else self._begin(frame, now.look, before)

    def _begin(self, frame: Frame, look: Look, before: Stylizations) -> Pending:
        painting = self._planes.begin(frame, look, before) if look.styled_planes and not look.bypass else None
        seen = painting.seen if painting else None
        return Pending(frame, look, painting, None if look.is_whole else self._pool.submit(self._matte, frame, seen))

    def _let_go(self, begun: Pending | None) -> None:
        """Wait until nothing works at a frame any more: one that failed, or was begun in vain."""
        if begun and begun.painting:
            self._planes.forget(begun.painting)
        if begun and begun.matte:
            wait([begun.matte])

    def _composed(self, now: Pending, painted: dict[str, Image], matte: Matte | None) -> Image:
        """The picture of what was made of a frame."""
        frame, look, image = now.frame, now.look, now.frame.image
        if look.bypass:
            return image
        if matte is None:
            return self._render(look.background, look.background_strength, look, frame, painted, no_matte)
        with self.meter.stage("composite"):
            scene = self._render(look.background, look.background_strength, look, frame, painted, lambda: 1 - matte)
            person = self._render(look.person, look.person_strength, look, frame, painted, lambda: matte)
            keeps = person is image and scene is not image
            if keeps and self.alone is pixels.person_alone and not self._auto_light:
                return pixels.person_before(image, scene, matte)
            if keeps:
                person = self.alone(image, matte)
            if self._auto_light and look.background.kind in ELSEWHERE:
                person = self._auto_light(person, matte, image, scene, frame.time)
            return pixels.composite(person, scene, matte)

    def matte(self, frame: Frame) -> Matte:
        """The person's matte, of the frame's size; that of the frame rendered last is at hand, if it had one."""
        at_hand = self._resident.matte(frame) if self._resident else None
        return self._matte(frame)[0] if at_hand is None else at_hand

    def describe(self, size: Size) -> str:
        """How finely frames of a size are painted, for people."""
        width, height = self.style_size(size)
        return f"{width}x{height}" + (f", 1 frame in {self.quality.carry + 1}" if self.quality.carry else "")

    def style_size(self, size: Size) -> Size:
        """At which frames of a size are stylized."""
        return painted_at(self.quality, size)

    def _matte(self, frame: Frame, seen: Future[Motion] | None = None) -> tuple[Matte, bool]:
        """Made anew, as is told, but where it is known, and for a few frames of a picture that stands still, where the
        quality allows that."""
        with self._matting_turn:
            for other, matte in self._known:
                if other is frame:
                    return matte, False
            newest = self._known[-1][1] if self._known else None
            rests = seen and self.quality.rests and self._kept < RESTING and seen.result().is_still
            if newest is not None and rests and newest.shape == frame.image.shape[:2]:
                matte, self._kept = newest, self._kept + 1
            else:
                with self.meter.stage("segment"):
                    matte, self._kept = self._new_matte(frame), 0
            self._known.append((frame, matte))
            return matte, self._kept == 0

    def _new_matte(self, frame: Frame) -> Matte:
        try:
            return self.matting(frame.image, frame.time)
        except Exception:
            self._known.clear()  # the next frame is not to keep what an older one had
            raise

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
            self._pictures[key] = pixels.cover(load_image(Path(path)), size)
            if len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
        return self._pictures[key]

    def _moving(self, path: str, at: float, size: Size) -> Image:
        if self._clip is None or self._clip.path != path:
            if self._clip:
                self._clip.close()
            self._clip = BackgroundClip(path)
        return pixels.cover(self._clip.image_at(at), size)

    def close(self) -> None:
        """End the threads; one that is stuck in a driver is left behind."""
        ending = threading.Thread(target=partial(self._pool.shutdown, cancel_futures=True), daemon=True)
        ending.start()
        ending.join(PATIENCE)
        if self._resident:
            self._resident.close()
        if self._clip:
            self._clip.close()

    def __enter__(self) -> "Filter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


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


class BackgroundClip:
    """A looping clip, read as the frames' time goes on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._source: Source = ClipSource(path, loop=True)
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
