"""The filter: a frame and a look become a finished picture. Only here do segmenter, styles and compositing meet."""

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
from livestyle.config.names import unknown
from livestyle.config.quality import LIVE_QUALITY, QUALITIES, STILL_QUALITY, Quality
from livestyle.config.settings import PERSON_COUNTS, STAGE, Settings
from livestyle.image import pixels
from livestyle.image.relight import SMOOTHING_S, AutoLight
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.main_person import MainPerson
from livestyle.matting.matte import Matting
from livestyle.matting.refine import find_refinement
from livestyle.matting.segmenter import load_segmenter
from livestyle.matting.smoother import Smoother
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine, choose_engine
from livestyle.nets.fetch import silent_progress
from livestyle.render.backgrounds import Backgrounds
from livestyle.render.kinds import DRAWINGS, Scene
from livestyle.render.matte_keeper import MatteKeeper
from livestyle.render.meter import Meter
from livestyle.render.planes import Painting, Planes, Stylizations, style_size
from livestyle.types import OpenProgress, Size

if TYPE_CHECKING:
    from livestyle.render.gpu import GpuFilter

TRIAL = Frame(np.zeros((16, 16, 3), np.uint8), 0, 0.0)  # a look is drawn on it before the first frame
THREAD_END_TIMEOUT_S = 3.0
FRAMES_AT_ONCE = 2  # the frame to return, and the next one
FRAME_JOBS = ("style of the background", "style of the person", "matte", "motion", "start of the styles")
OTHER_JOBS = ("compile what comes next",)
THREADS = FRAMES_AT_ONCE * len(FRAME_JOBS) + len(OTHER_JOBS)
NextFrame = Callable[[Frame], Frame | None]  # waits for the frame after a frame; None if there is none


def no_next_frame(frame: Frame) -> Frame | None:
    """Return None: no frame follows."""
    return None


@dataclass
class Pending:
    """A frame in progress.

    Args:
        frame: the camera's frame.
        look: the look of both planes.
        painting: what styles paint of it; None for a look without styles.
        matte: the matte, and whether it was computed for this frame; None for a look that needs none.
    """

    frame: Frame
    look: Look
    painting: Painting | None
    matte: Future[tuple[Matte, bool]] | None


class Filter:
    """Render frames. The segmenter and the styles run side by side. Networks are loaded when they are first needed.

    Args:
        settings: device, quality, segmenter, models and the rest.
        live: whether frames follow one another. Then mattes and paintings are smoothed over time, and "auto" is the
            live quality. Else each picture stands alone.
        progress: shows the download of published weights that are not here yet.

    Attributes:
        quality: how finely styles are computed. The thread that renders may set it between frames. Nothing else holds
            it, and the engine's precision follows it.
        segmenter: its name.
        foreground: takes an image and its matte; returns the image with the person's own colours where the matte is
            soft.
        meter: what the stages took.

    Raises:
        UserError: there is no such device, quality, segmenter, refinement or person count.
    """

    def __init__(self, settings: Settings, live: bool = True, progress: OpenProgress = silent_progress) -> None:
        self.quality = find_quality(settings, LIVE_QUALITY if live else STILL_QUALITY)
        engine = choose_engine(settings.device)
        # Mattes are those of the live view, unless a quality is asked for.
        self._settings, self._matte_precision = settings, find_quality(settings, LIVE_QUALITY).precision
        segmenter_engine = replace(engine, precision=self._matte_precision)
        self.segmenter, segment = load_segmenter(settings, segmenter_engine, progress)
        if settings.person_count not in PERSON_COUNTS:
            raise unknown("person count", settings.person_count, PERSON_COUNTS, field="person_count")
        choose = MainPerson() if settings.person_count == "main" else None
        refinement = find_refinement(settings.refine, live)
        self.foreground, self.meter = refinement.foreground, Meter()
        self._mattes = MatteKeeper(Matting(segment, Smoother() if live else None, refinement, choose), self.meter)
        self._auto_light = AutoLight(SMOOTHING_S if live else 0.0) if settings.auto_light else None
        self._backgrounds, self._brush = Backgrounds(), 1.0
        self._current: Pending | None = None  # the frame rendered last
        self._next: Future[Pending | None] | None = None  # the frame after it
        self._pool = ThreadPoolExecutor(THREADS, STAGE)
        self._planes = Planes(engine, settings.models, self._pool, self.meter, live)
        self._gpu = self._open_gpu(live) if engine.name == "torch" else None

    @property
    def engine(self) -> Engine:
        """What computes styles, with the precision of the quality."""
        return self._planes.engine_at(self.quality)

    @property
    def matting(self) -> Matting:
        """What computes mattes. It may be replaced between frames."""
        return self._mattes.matting

    @matting.setter
    def matting(self, matting: Matting) -> None:
        self._mattes.matting = matting

    def fall_back_to_cpu(self) -> bool:
        """Compute on the CPU from the next frame on; for the thread that renders.

        Returns:
            Whether that changes anything: False where the CPU computes already.
        """
        if self.engine.device.upper() == "CPU":
            return False
        following, self._next = self._next, None
        self._wait_for(self._current)
        with suppress(Exception):  # of the GPU that failed
            self._wait_for(following.result() if following else None)
        if self._gpu:
            self._gpu.close()
            self._gpu = None
        engine = choose_engine("cpu")
        self.matting.segmenter = load_segmenter(self._settings, replace(engine, precision=self._matte_precision))[1]
        self._planes.move(engine)
        return True

    def warm_up(self, quality: Quality, look: Look, size: Size) -> bool:
        """Load and compile what a look needs, in the background.

        Args:
            quality: that it will be painted with.
            look: the look of both planes.
            size: width and height of the frames.

        Returns:
            Whether that is done, so that the look can be painted without delay.

        Raises:
            Exception: something of it cannot be loaded. It is tried again for another `look`.
        """
        files = {
            plane.text: partial(load, plane, size, self._backgrounds)
            for plane in (look.background, look.person)
            if (load := DRAWINGS[plane.kind].load)
        }
        return self._planes.warm_up(quality, look, size, files)

    def expect_pictures(self) -> None:
        """Load in the background what the first look `picture:...` needs, so that it is painted sooner."""
        self._planes.expect_pictures(self.quality)

    def take_notes(self) -> list[str]:
        """Return what people should know about how it runs, since the last call."""
        notes = self._planes.notes
        return [notes.pop(0) for _ in range(len(notes))]

    def replace_style(self, name: str, card: Card, size: Size) -> None:
        """Paint a style with another network from the next frames on; from any thread.

        Args:
            name: of the style; card: of the network; size: width and height of the frames.

        Raises:
            UserError: its file is missing or damaged. Then nothing has changed.
        """
        self._planes.replace_style(name, card, self.quality.with_brush(self._brush), size)

    def prepare(self, look: Look) -> None:
        """Load what a look needs, so that errors come before the first frame.

        Raises:
            UserError: a style, picture or clip is missing or damaged.
        """
        for plane in (look.background, look.person):
            for style, _ in plane.styles:
                self._planes.style(style, self.quality)
                only_weights = style.endswith(".safetensors") and not Path(style).with_suffix(".onnx").is_file()
                if only_weights and self.engine.name == "openvino":
                    self._planes.notes.append(f"{style} runs in PyTorch, slower; its .onnx would run in OpenVINO")
            self._draw(plane, 1.0, self._scene(TRIAL, look, {}, lambda: np.ones((16, 16), np.float32)))

    def __call__(self, frame: Frame, look: Look, next_frame: NextFrame = no_next_frame) -> Image:
        """Render a frame.

        Args:
            frame: the camera's frame.
            look: the look of both planes.
            next_frame: called on another thread, so that the next frame begins while this one is finished. It is begun
                with the same look; if another look or frame comes next, that work is thrown away.

        Returns:
            The finished picture, uint8 (H, W, 3), of the frame's size. It may share memory with the frame where nothing
            is to be done.

        Raises:
            UserError: a style or picture is missing or damaged; others: of the segmenter or the device.
        """
        self._brush = look.brush
        with self.meter.stage("filter"):
            if self._gpu and self._gpu.takes(look, self.matting) and not self._auto_light:
                self._wait_for(self._prefetched())
                if next_frame is not no_next_frame:  # it is read meanwhile
                    self._pool.submit(next_frame, frame)
                return self._gpu(frame, look, self.matting, self.quality.with_brush(look.brush))
            return self._render(frame, look, next_frame)

    def _open_gpu(self, live: bool) -> "GpuFilter":
        """Return what renders with all pixels on the device; it imports PyTorch."""
        from livestyle.render.gpu import GpuFilter

        return GpuFilter(
            self.engine.device,
            lambda style: self._planes.style(style, self.quality)[0],
            self._backgrounds,
            self.meter,
            live,
        )

    def wait_for_graphs(self) -> bool:
        """Wait for CUDA graphs that are being recorded; return whether frames are launched from them."""
        return self._gpu is not None and self._gpu.wait_for_graphs()

    def _render(self, frame: Frame, look: Look, next_frame: NextFrame) -> Image:
        """Render a frame in stages, side by side."""
        current = self._take(frame, look)
        matte, is_new = current.matte.result() if current.matte else (None, False)
        jobs = self._planes.finish(current.painting, matte) if current.painting else {}
        if next_frame is not no_next_frame:
            self._next = self._pool.submit(self._prefetch, next_frame, current, jobs)
        paintings = {style: job.result() for style, job in jobs.items()}
        self.meter.segmented += is_new
        self.meter.stylized += bool(current.painting and current.painting.ran_network)
        return self._compose(current, paintings, matte)

    def _take(self, frame: Frame, look: Look) -> Pending:
        """Return a frame in progress: the prefetched one, or one begun now. Nothing works at others any more."""
        pending = self._prefetched()
        if pending is None or pending.frame is not frame or pending.look != look:
            self._wait_for(pending)
            pending = self._begin(frame, look, {})
        self._current = pending
        return pending

    def _prefetched(self) -> Pending | None:
        """Return the prefetched frame, if any. Nothing works at the frame before any more."""
        following, self._next = self._next, None
        pending = following.result() if following else None
        self._wait_for(self._current)
        return pending

    def _prefetch(self, next_frame: NextFrame, current: Pending, previous: Stylizations) -> Pending | None:
        frame = next_frame(current.frame)
        return None if frame is None or frame.is_blank else self._begin(frame, current.look, previous)

    def _begin(self, frame: Frame, look: Look, previous: Stylizations) -> Pending:
        quality = self.quality.with_brush(look.brush)  # read once: it may be set meanwhile
        is_styled = look.styled_planes and not look.bypass
        painting = self._planes.begin(frame, look, quality, previous) if is_styled else None
        motion = painting.motion if painting and quality.rests else None
        matte = None if look.is_whole else self._pool.submit(self._mattes.matte, frame, motion)
        return Pending(frame, look, painting, matte)

    def _wait_for(self, pending: Pending | None) -> None:
        """Wait until nothing works at a frame any more: one that failed, or was begun in vain."""
        if pending and pending.painting:
            self._planes.wait_for(pending.painting)
        if pending and pending.matte:
            wait([pending.matte])

    def _compose(self, current: Pending, paintings: dict[str, Image], matte: Matte | None) -> Image:
        """Return the picture of all that was made of a frame."""
        frame, look, image = current.frame, current.look, current.frame.image
        if look.bypass:
            return image
        if matte is None:
            return self._draw(look.background, look.background_strength, self._scene(frame, look, paintings, no_matte))
        with self.meter.stage("composite"):
            behind, ahead = (self._scene(frame, look, paintings, part) for part in (lambda: 1 - matte, lambda: matte))
            scene = self._draw(look.background, look.background_strength, behind)
            person = self._draw(look.person, look.person_strength, ahead)
            is_cut_out = person is image and scene is not image
            if is_cut_out and self.foreground is pixels.fast_foreground and not self._auto_light:
                return pixels.composite_foreground(image, scene, matte)
            if is_cut_out:
                person = self.foreground(image, matte)
            if self._auto_light and LOOK_KINDS[look.background.kind].has_own_light:
                person = self._auto_light(person, matte, image, scene, frame.time)
            return pixels.composite(person, scene, matte)

    def _scene(self, frame: Frame, look: Look, paintings: dict[str, Image], matte: Callable[[], Matte]) -> Scene:
        return Scene(frame, look, self.quality, matte, paintings, self._backgrounds)

    def _draw(self, plane: Plane, strength: float, scene: Scene) -> Image:
        """Draw one plane over the whole frame."""
        drawn = DRAWINGS[plane.kind].draw(plane, scene)
        return pixels.mix(scene.frame.image, drawn, strength) if LOOK_KINDS[plane.kind].is_mixed else drawn

    def matte(self, frame: Frame) -> Matte:
        """Return the person's matte of a frame, float32 (H, W) in 0..1.

        That of the frame rendered last is known, if its look needed one.
        """
        known = self._gpu.matte(frame) if self._gpu else None
        return self._mattes.matte(frame)[0] if known is None else known

    def describe(self, size: Size) -> str:
        """Return in words how finely frames of a size are painted."""
        width, height = self.style_size(size)
        return f"{width}x{height}" + (f", 1 frame in {self.quality.carry + 1}" if self.quality.carry else "")

    def style_size(self, size: Size) -> Size:
        """Return the size at which frames of a size are stylized."""
        return style_size(self.quality.with_brush(self._brush), size)

    def close(self) -> None:
        """End the threads. One that is stuck in a driver is left behind."""
        ending = threading.Thread(target=partial(self._pool.shutdown, cancel_futures=True), daemon=True)
        ending.start()
        ending.join(THREAD_END_TIMEOUT_S)
        self._planes.close()
        if self._gpu:
            self._gpu.close()
        self._backgrounds.close()

    def __enter__(self) -> "Filter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def find_quality(settings: Settings, auto: str) -> Quality:
    """Return the quality that settings name.

    Args:
        settings: their quality counts.
        auto: the name of what "auto" means.

    Raises:
        UserError: the name is unknown.
    """
    name = auto if settings.quality == "auto" else settings.quality
    if name not in QUALITIES:
        raise unknown("quality", name, ("auto", *QUALITIES), field="quality")
    return QUALITIES[name]


def no_matte() -> Matte:
    """Fail: a look that needs no matte asked for one."""
    raise AssertionError("a whole look has no matte")
