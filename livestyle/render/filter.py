"""The filter: a frame and a look become a finished picture. The only place that joins segmenter, styles, composite."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from livestyle.config.look import LOOK_KINDS, Look, Plane
from livestyle.config.quality import LIVE_QUALITY, QUALITIES, STILL_QUALITY, Quality
from livestyle.config.settings import PERSON_COUNTS, STAGE, Settings
from livestyle.errors import UserError
from livestyle.image import pixels
from livestyle.image.relight import SECONDS, AutoLight
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.main_person import MainPerson
from livestyle.matting.matte import Matting
from livestyle.matting.refine import find_refinement
from livestyle.matting.segmenter import load_segmenter
from livestyle.matting.smoother import Smoother
from livestyle.nets.engine import Engine, choose_engine
from livestyle.nets.fetch import silent_progress
from livestyle.render.backgrounds import Backgrounds
from livestyle.render.kinds import DRAWINGS, Scene
from livestyle.render.matte_keeper import MatteKeeper
from livestyle.render.meter import Meter
from livestyle.render.planes import Painting, Planes, Stylizations, painted_at
from livestyle.types import OpenProgress, Size

if TYPE_CHECKING:
    from livestyle.render.gpu import GpuFilter

TRIAL = Frame(np.zeros((16, 16, 3), np.uint8), 0, 0.0)  # what a look is drawn on before the first frame
THREAD_END_TIMEOUT_S = 3.0
FRAMES_AT_ONCE = 2  # the frame to return, and the next one
FRAME_JOBS = ("style of the background", "style of the person", "matte", "motion", "start of the styles")
OTHER_JOBS = ("compile what comes next",)
THREADS = FRAMES_AT_ONCE * len(FRAME_JOBS) + len(OTHER_JOBS)
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

    Attributes:
        quality: how finely styles are computed. The thread that renders may set it between frames; nothing else holds
            it, and the engine's precision follows it.

    Args:
        settings: device, quality, segmenter, models.
        live: steady mattes and paintings over time, and take the live quality for "auto"; else each picture stands
            alone.
        progress: shows the download of published weights that are not here yet.

    Raises:
        UserError: a device, quality, segmenter or style that is not there.
    """

    def __init__(self, settings: Settings, live: bool = True, progress: OpenProgress = silent_progress) -> None:
        self.quality = find_quality(settings, STILL_QUALITY if not live else LIVE_QUALITY)
        self.notes: list[str] = []  # what a person should know of how it runs
        engine = choose_engine(settings.device)
        # Mattes are those of the live view, unless a quality is asked for.
        self._settings, self._matte_precision = settings, find_quality(settings, LIVE_QUALITY).precision
        segmenter_engine = replace(engine, precision=self._matte_precision)
        self.segmenter, segment = load_segmenter(settings, segmenter_engine, progress)
        if settings.person_count not in PERSON_COUNTS:
            raise UserError(
                f"There is no person count '{settings.person_count}'.", f"Choose {' or '.join(PERSON_COUNTS)}."
            )
        choose = MainPerson() if settings.person_count == "main" else None
        refinement = find_refinement(settings.refine, live)
        self.meter = Meter()
        self._mattes = MatteKeeper(Matting(segment, Smoother() if live else None, refinement, choose), self.meter)
        self.alone = refinement.alone  # the person's own colours where a matte is soft
        self._auto_light = AutoLight(SECONDS if live else 0.0) if settings.auto_light else None
        self._backgrounds = Backgrounds()
        self._now: Pending | None = None  # the frame rendered last
        self._ahead: Future[Pending | None] | None = None  # the one after it
        self._pool = ThreadPoolExecutor(THREADS, STAGE)
        self._planes = Planes(engine, settings.models, self._pool, self.meter, steadied=live)
        self._resident = self._on_device(live) if engine.name == "torch" else None

    @property
    def engine(self) -> Engine:
        """What computes styles."""
        return self._planes.engine_at(self.quality)

    @property
    def matting(self) -> Matting:
        """What computes mattes. It may be replaced between frames."""
        return self._mattes.matting

    @matting.setter
    def matting(self, matting: Matting) -> None:
        self._mattes.matting = matting

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
        engine = choose_engine("cpu")
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
                self._planes.style(style, self.quality)
                alone = style.endswith(".safetensors") and not Path(style).with_suffix(".onnx").is_file()
                if alone and self.engine.name == "openvino":
                    self.notes.append(f"{style} runs in PyTorch, slower; its .onnx would run in OpenVINO")
            self._draw(plane, 1.0, self._scene(TRIAL, look, {}, lambda: np.ones((16, 16), np.float32)))

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
            self.engine.device,
            lambda style: self._planes.style(style, self.quality)[0],
            self._backgrounds,
            self.meter,
            live,
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
        quality = self.quality  # read once: it may be set meanwhile
        is_styled = look.styled_planes and not look.bypass
        painting = self._planes.begin(frame, look, quality, before) if is_styled else None
        motion = painting.seen if painting and quality.rests else None
        matte = None if look.is_whole else self._pool.submit(self._mattes.matte, frame, motion)
        return Pending(frame, look, painting, matte)

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
            return self._draw(look.background, look.background_strength, self._scene(frame, look, painted, no_matte))
        with self.meter.stage("composite"):
            behind, ahead = (self._scene(frame, look, painted, part) for part in (lambda: 1 - matte, lambda: matte))
            scene = self._draw(look.background, look.background_strength, behind)
            person = self._draw(look.person, look.person_strength, ahead)
            keeps = person is image and scene is not image
            if keeps and self.alone is pixels.person_alone and not self._auto_light:
                return pixels.person_before(image, scene, matte)
            if keeps:
                person = self.alone(image, matte)
            if self._auto_light and LOOK_KINDS[look.background.kind].has_own_light:
                person = self._auto_light(person, matte, image, scene, frame.time)
            return pixels.composite(person, scene, matte)

    def matte(self, frame: Frame) -> Matte:
        """The person's matte, of the frame's size; that of the frame rendered last is at hand, if it had one."""
        at_hand = self._resident.matte(frame) if self._resident else None
        return self._mattes.matte(frame)[0] if at_hand is None else at_hand

    def describe(self, size: Size) -> str:
        """How finely frames of a size are painted, for people."""
        width, height = self.style_size(size)
        return f"{width}x{height}" + (f", 1 frame in {self.quality.carry + 1}" if self.quality.carry else "")

    def style_size(self, size: Size) -> Size:
        """At which frames of a size are stylized."""
        return painted_at(self.quality, size)

    def _scene(self, frame: Frame, look: Look, painted: dict[str, Image], matte: Callable[[], Matte]) -> Scene:
        return Scene(frame, look, self.quality, matte, painted, self._backgrounds)

    def _draw(self, plane: Plane, strength: float, scene: Scene) -> Image:
        """One plane, over the whole frame."""
        drawn = DRAWINGS[plane.kind].draw(plane, scene)
        return pixels.mix(scene.frame.image, drawn, strength) if LOOK_KINDS[plane.kind].is_mixed else drawn

    def close(self) -> None:
        """End the threads; one that is stuck in a driver is left behind."""
        ending = threading.Thread(target=partial(self._pool.shutdown, cancel_futures=True), daemon=True)
        ending.start()
        ending.join(THREAD_END_TIMEOUT_S)
        if self._resident:
            self._resident.close()
        self._backgrounds.close()

    def __enter__(self) -> "Filter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def find_quality(settings: Settings, auto: str) -> Quality:
    """What `--quality` names; `auto` is the name of what "auto" means.

    Raises:
        UserError: an unknown name.
    """
    name = auto if settings.quality == "auto" else settings.quality
    if name not in QUALITIES:
        raise UserError(f"There is no quality '{name}'.", f"Choose auto, {', '.join(QUALITIES)}.")
    return QUALITIES[name]


def no_matte() -> Matte:
    """What a look that is whole never asks for."""
    raise AssertionError("a whole look has no matte")
