"""Where frames come from: cameras, video files and URLs, stills, the demo clip, and a camera that fails on purpose."""

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

from livestyle.config.settings import Size
from livestyle.errors import UserError
from livestyle.image.pixels import READABLE, Frame, Image, cover, load_image, size_of
from livestyle.image.synthetic import AWAY, RUNS, Fault, camera_faults, scaled, scene, seed_of
from livestyle.video.devices.devices import Device, find_again, identify, video_devices

HD = 720  # rows from which clips are BT.709 by custom
UNMARKED = 2  # FFmpeg's number for a colour space that a clip does not name
CLIP_PIXELS = 36_000_000  # of a clip's picture at most: 8K
PLAYLISTS = {
    "concat", "dash", "hls", "applehttp", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest", "lavfi",
    "image2", "image2pipe", "tty", "txd",
}  # fmt: skip
MOST_BROKEN = 100  # packets of a clip, after which it is given up
STALL = 5.0  # seconds without a frame after which a source counts as gone for good, if it cannot come back
ABSENT, SLOW = 0.4, 2.5  # seconds, and intervals, without a frame after which a camera counts as away
BLANK = 0.1  # seconds between frames that stand for a camera which is away
LATE = 1.0  # seconds by which a clip may be behind its time
RETRY = 0.2  # seconds between looks for it
WARM_UP = 5  # reads that a camera may take to its first frame
# OpenCV waits 10 seconds for a frame of a frozen camera; it reads this, in seconds, when it waits for the first time.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
Self = TypeVar("Self", bound="Source")
DEMO = Path(__file__).parents[2] / "demo.mp4"


class Source:
    """Yields frames with strictly rising indices; closed by `with` or `close`, twice if need be.

    Attributes:
        name: what a person calls it; size: of its frames; fps: nominal rate; total: frames, where known.
        is_live: its frames come at their own pace, wanted or not; comes_back: it may be silent and go on later.
        audio: a file whose sound belongs to the frames; start: seconds of the first frame on that file's clock.
        is_bt709: the colour space that a clip names; None where it names none, or is no clip.
        warning: what went wrong without ending it, for the user.
    """

    name: str
    size: Size
    fps: float
    total: int | None = None
    is_live = comes_back = False
    audio: Path | None = None
    start = 0.0
    is_bt709: bool | None = None
    warning = ""

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def end(self) -> None:
        """Give no more frames; unlike `close`, at any time and from any thread."""

    def rest(self, resting: bool) -> None:
        """Let go of the device while nobody wants frames, where that can be; from any thread."""

    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class Camera(Source):
    """A camera by index or device path.

    MJPG is asked for before the size: many cameras give 720p at 10 fps or less uncompressed. What was granted is
    read back into `size` and `fps`.

    Raises:
        UserError: there is none, or it is busy.
    """

    is_live = True

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._capture = cv2.VideoCapture()
        self._ended = False
        self.name = f"camera {address}"
        target: int | str = int(address) if address.isdecimal() else address
        asked = [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]
        if size:
            asked += [(cv2.CAP_PROP_FRAME_WIDTH, size[0]), (cv2.CAP_PROP_FRAME_HEIGHT, size[1])]
        if fps:
            asked += [(cv2.CAP_PROP_FPS, round(fps))]
        backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
        if not self._capture.open(target, backend):
            raise camera_error(address)
        for key, value in asked:
            self._capture.set(key, value)
        image = next((image for ok, image in (self._capture.read() for _ in range(WARM_UP)) if ok), None)
        if image is None:
            self.close()
            raise UserError(f"Camera {address} opens but sends no picture.", "Close other programs that use it.")
        self.size = size_of(np.asarray(image, np.uint8))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        self.format = "".join(chr(code >> shift & 255) for shift in (0, 8, 16, 24)).strip("\0 ")
        self.name = f"camera {address} ({self.size[0]}x{self.size[1]} at {self.fps:g} fps, {self.format})"

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._ended:
            ok, image = self._capture.read()
            if self._ended:
                return
            if not ok:
                raise UserError(f"The {self.name} stopped sending frames.", "Plug it in again and start anew.")
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), index, time.monotonic() - start)
            index += 1

    def close(self) -> None:
        self._ended = True
        self._capture.release()


def camera_error(address: str) -> UserError:
    """Why a camera did not open, and what to do."""
    device = f"/dev/video{address}" if address.isdecimal() else address
    demo = "try 'livestyle live --source demo'"
    if not sys.platform.startswith("linux"):
        return UserError(f"Camera {address} does not open.", f"Close other programs that use it, or {demo}.")
    if not os.path.exists(device):
        known = ", ".join(list_cameras()) or "none"
        return UserError(f"There is no camera {address} (found: {known}).", f"Plug one in, or {demo}.")
    if not os.access(device, os.R_OK | os.W_OK):
        return UserError(f"You may not open {device}.", 'Run: sudo usermod -aG video "$USER", and log in again.')
    return UserError(f"The camera {device} is busy or is no camera.", f"Close other programs that use it, or {demo}.")


class Reconnecting(Source):
    """A camera that may go away: a blank frame, then silence until it is back, known again by what it is and never by
    its number alone.

    Args:
        as for Camera.

    Raises:
        UserError: as Camera, at first; later only where the system does not tell one camera from another.
    """

    is_live = comes_back = True

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._asked = size, fps
        self._over, self._resting, self._stir = False, False, threading.Event()
        self._others: list[Device] = []
        self._device = identify(address)
        self._camera: Camera | None = Camera(address, size, fps)
        self.name, self.size, self.fps = self._camera.name, self._camera.size, self._camera.fps

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._over:
            if self._camera is None and not self._resting:
                self._camera = self._found()
            if self._camera is None:
                self._stir.wait(RETRY)
                self._stir.clear()
                continue
            try:
                for frame in self._camera:
                    if self._over or self._resting:
                        break
                    start = start if index else frame.captured
                    yield replace(frame, index=index, time=frame.captured - start)
                    index += 1
            except UserError:
                if self._device is None:
                    raise
            self._lose()
            yield Frame(np.zeros((*self.size[::-1], 3), np.uint8), index, time.monotonic() - start, is_blank=True)
            index += 1

    def _lose(self) -> None:
        """Let go of the camera, and note what is there beside it: that is not it, whatever it looks like."""
        self.close()
        if self._device:
            self._others = [device for device in video_devices() if device.port != self._device.port]

    def _found(self) -> Camera | None:
        """The camera, if it is back and nobody else has it."""
        found = find_again(self._device, self._others) if self._device else None
        with contextlib.suppress(UserError):
            if found:
                camera = Camera(found.path, *self._asked)
                self._device, self.name = found, camera.name
                return camera
        return None

    def rest(self, resting: bool) -> None:
        if resting != self._resting and self._device:
            self._resting = resting
            self._stir.set()

    def end(self) -> None:
        self._over = True
        self._stir.set()

    def close(self) -> None:
        if self._camera:
            self._camera.close()
            self._camera = None


def list_cameras() -> dict[str, str]:
    """Device path and name of the cameras that the system shows; empty where it is not Linux."""
    return {device.path: device.name for device in video_devices()}


class VideoFile(Source):
    """A video file, or a URL that FFmpeg reads; every frame, with the time it is shown at.

    Raises:
        UserError: it does not open or holds no picture. Broken frames on the way are skipped; one that ends it
            early ends the frames and sets `warning`.
    """

    def __init__(self, path: str, size: Size | None = None, loop: bool = False) -> None:
        self.name, self._path, self._loop = path, path, loop
        self._container: InputContainer | None = self._open()
        video = self._container.streams.video[0]
        self._images = self._decode(self._container)
        first = next(self._images, None)
        if first is None:
            self.close()
            raise UserError(f"{path} holds no frame that can be read.", "Give a whole clip.")
        self._images, self.start = chain([first], self._images), first[1]
        self.size = size or size_of(first[0])
        self.fps = float(video.average_rate or video.guessed_rate or 30)
        self.total = None if loop else self._promised(self._container)
        # Rates are averages, so a number of frames from the duration is a guess.
        self._least = (self.total or 0) * (1.0 if video.frames else 0.9)
        if self._container.streams.audio and os.path.isfile(path):
            self.audio = Path(path)

    def _open(self) -> "InputContainer":
        import av

        av.logging.set_level(None)
        if "://" not in self._path and not os.path.isfile(self._path):
            raise UserError(f"There is no file {self._path}.", "Check the name.")
        is_url = "://" in self._path
        options = {"max_pixels": str(CLIP_PIXELS)} | ({} if is_url else {"format_whitelist": single_files()})
        try:
            # Texts that are no UTF-8: of themselves no error from PyAV 19 on.
            more: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
            container: InputContainer = av.open(
                self._path, options=options, timeout=(10, 10) if is_url else None, **more
            )
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            is_list = getattr(error, "errno", 0) == errno.EINVAL and not is_url
            reason = "it lists other files" if is_list else getattr(error, "strerror", None) or str(error)
            raise UserError(f"{self._path} is not a video that can be read: {reason}.", "Give another file.") from None
        try:
            self._check_pictures(container)
        except UserError:
            container.close()
            raise
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.options = {"max_pixels": str(CLIP_PIXELS)}
        return container

    def _check_pictures(self, container: "InputContainer") -> None:
        if not container.streams.video:
            raise UserError(f"{self._path} holds no video.", "Give a clip with pictures.")
        if container.streams.video[0].codec_context is None:
            raise UserError(f"{self._path} is encoded in a way that FFmpeg does not know.", "Give another file.")
        width, height = container.streams.video[0].width, container.streams.video[0].height
        if width * height > CLIP_PIXELS:
            raise UserError(f"{self._path} has {width}x{height} pixels.", "Scale it down first.")

    def _promised(self, container: "InputContainer") -> int | None:
        """How many frames the header speaks of: by number, or by the duration where that is the pictures' own."""
        video = container.streams.video[0]
        if video.frames:
            return video.frames
        if video.duration and video.time_base:
            return round(float(video.duration * video.time_base) * self.fps)
        if container.duration and not container.streams.audio:
            return round(container.duration / 1e6 * self.fps)
        return None

    def _decode(self, container: "InputContainer") -> Iterator[tuple[Image, float]]:
        import av

        broken, shown = 0, 0
        packets = container.demux(container.streams.video[0])
        while broken <= MOST_BROKEN:
            try:
                images = [(self._picture(frame), frame.time) for frame in next(packets).decode()]
            except StopIteration:
                break
            except av.error.EOFError:
                break
            except (av.FFmpegError, OSError, ValueError, MemoryError):
                broken += 1
                continue
            for image, at in images:
                yield image, float(at) if at is not None else shown / 30
                shown += 1
        if broken:
            self.warning = f"{self._path}: {broken} broken frames were left out."

    def _picture(self, frame: "VideoFrame") -> Image:
        from av.video.reformatter import Colorspace

        # Players take unmarked HD for BT.709; FFmpeg would take it for BT.601.
        guess = Colorspace.ITU709 if frame.colorspace == UNMARKED and frame.height >= HD else None
        image = np.asarray(frame.to_ndarray(format="rgb24", src_colorspace=guess), np.uint8)
        turns = round(-frame.rotation / 90) % 4
        self.is_bt709 = None if frame.colorspace == UNMARKED else frame.colorspace == Colorspace.ITU709
        return np.ascontiguousarray(np.rot90(image, -turns)) if turns else image

    def __iter__(self) -> Iterator[Frame]:
        index, offset = 0, 0.0
        while True:
            first, last = None, -1.0
            for image, at in self._images:
                first = at if first is None else first
                last = max(at - first, last + 1e-4)  # broken clocks run backwards
                yield Frame(image if size_of(image) == self.size else cover(image, self.size), index, offset + last)
                index += 1
            if not self._loop:
                self._check_whole(index)
                return
            offset += last + 1 / self.fps
            self.close()
            self._container = self._open()
            self._images = self._decode(self._container)

    def _check_whole(self, shown: int) -> None:
        if shown < self._least and not self.warning:
            self.warning = f"{self.name} ends early: {shown} of {self.total} frames could be read."

    def close(self) -> None:
        self._images = iter(())  # which hold the decoder, its threads, and this
        if self._container is not None:
            self._container.close()
            self._container = None


@lru_cache(1)
def single_files() -> str:
    """FFmpeg's formats but those whose files name other files or addresses to read."""
    import av

    return ",".join(sorted(av.formats_available - PLAYLISTS))


class Demo(VideoFile):
    """The clip inside the package, over and over: runs with no camera."""

    def __init__(self, size: Size | None = None) -> None:
        super().__init__(str(DEMO), size, loop=True)
        self.name, self.audio = "demo", None


class Still(Source):
    """One picture, over and over."""

    def __init__(self, path: str, size: Size | None = None, fps: float | None = None) -> None:
        image = load_image(Path(path))
        self._image = cover(image, size) if size else image
        self.name, self.size, self.fps = path, size_of(self._image), fps or 30.0

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield Frame(self._image.copy(), index, index / self.fps)
            index += 1


class Faults(Source):
    """A synthetic person before a camera that fails as it is told; for tests.

    Args:
        faults: what the camera does, in turn; it ends with them.
        clock: seconds; nap: waits for so many. As of a real camera, unless told otherwise.
    """

    is_live = comes_back = True

    def __init__(
        self, faults: Iterable[Fault], size: Size | None = None, fps: float | None = None,
        clock: Callable[[], float] = time.monotonic, nap: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.size, self.fps = "camera with faults", size or (640, 360), fps or 30.0
        self._faults, self._clock, self._over = faults, clock, threading.Event()
        self._nap = nap or self._over.wait

    def __iter__(self) -> Iterator[Frame]:
        start, index, size = self._clock(), 0, self.size
        for fault in self._faults:
            if self._over.is_set():
                return
            until = self._clock() + fault.seconds
            if fault.kind == "resizes":
                size = scaled(self.size, fault.scale)
            if fault.kind in AWAY:  # as Reconnecting tells it; then it is silent
                yield Frame(np.zeros((*self.size[::-1], 3), np.uint8), index, self._clock() - start, is_blank=True)
                index, size = index + 1, self.size
            while (now := self._clock()) < until and not self._over.is_set():
                start = start if index else now
                if fault.kind in RUNS:
                    yield Frame(scene(size, now - start)[0], index, now - start, now)
                index += fault.kind in (*RUNS, "drops")
                self._nap(1 / self.fps)

    def end(self) -> None:
        self._over.set()


class Paced(Source):
    """A source that gives each frame at its time, as a camera does."""

    is_live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.size, self.fps, self.audio = source.name, source.size, source.fps, source.audio

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for frame in self._source:
            wait = start + frame.time - time.monotonic()
            start += -wait if wait < -LATE else 0.0  # the machine slept: what was missed is not run through
            time.sleep(max(0.0, wait))
            yield replace(frame, captured=time.monotonic())
        self.warning = self._source.warning

    def close(self) -> None:
        self._source.close()


class Latest(Source):
    """The newest frame of a live source, captured on a thread of its own; what is not taken in time is dropped.

    A source that comes back is stood for by blank frames while it is silent. An error on the thread is raised where
    frames are taken; other sources' silence for STALL seconds is one.
    """

    is_live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.size, self.fps, self.audio = source.name, source.size, source.fps, source.audio
        self.comes_back = source.comes_back
        self.dropped = self._blanks = 0
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._thread.start()

    def _capture(self) -> None:
        try:
            for frame in self._source:
                with self._news:
                    if self._ended:
                        return
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._news.notify()
        except BaseException as error:  # raised again where frames are taken
            self._error = error
        finally:
            self.warning = self._source.warning
            self._source.close()  # here, not in close(): a device let go of in mid-read can crash
            with self._news:
                self._ended = True
                self._news.notify()

    def __iter__(self) -> Iterator[Frame]:
        absent = max(ABSENT, SLOW / self.fps)
        last, patience = Frame(np.zeros((*self.size[::-1], 3), np.uint8), -1, 0.0), absent
        while True:
            with self._news:
                arrived = self._news.wait_for(
                    lambda: self._frame is not None or self._ended, patience if self.comes_back else STALL
                )
                frame, self._frame = self._frame, None
            if frame is not None:
                last, patience = replace(frame, index=frame.index + self._blanks), absent
            elif arrived:
                if self._error:
                    raise self._error
                return
            elif self.comes_back:
                last, patience = self._blank(last), BLANK
            else:
                raise UserError(f"The {self.name} sent no frame for {STALL:g} s.", "Plug it in again.")
            yield last

    def _blank(self, last: Frame) -> Frame:
        """What follows a frame after which none came."""
        self._blanks += 1
        now = time.monotonic()
        return Frame(np.zeros_like(last.image), last.index + 1, last.time + now - last.captured, now, is_blank=True)

    def rest(self, resting: bool) -> None:
        self._source.rest(resting)

    def end(self) -> None:
        self._source.end()

    def close(self) -> None:
        self.end()
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(STALL)


def is_camera(text: str) -> bool:
    """Whether a source's text names a camera."""
    return text.isdecimal() or text.startswith(("/dev/video", "/dev/v4l/"))


@dataclass(frozen=True)
class SourceKind:
    """A row of SOURCES."""

    name: str
    words: str
    matches: Callable[[str], bool]
    open: Callable[[str, Size | None, float | None], Source]


SOURCES = (
    SourceKind("demo", "a clip inside the package", lambda t: t == "demo", lambda t, s, f: Demo(s)),
    SourceKind(
        "faults", "for tests: a camera that fails, by a seed", lambda t: t.startswith("faults:"),
        lambda t, s, f: Faults(camera_faults(seed_of(t)), s, f),
    ),
    SourceKind("camera", "an index or a device path", is_camera, Reconnecting),
    SourceKind("still", "a picture", lambda t: t.lower().endswith(READABLE), Still),
    SourceKind("video", "a file or URL that FFmpeg reads", lambda t: True, lambda t, s, f: VideoFile(t, s)),
)  # fmt: skip


def kind_of(text: str) -> SourceKind:
    """The first row of SOURCES that matches."""
    return next(kind for kind in SOURCES if kind.matches(text))


def open_source(text: str, size: Size | None = None, fps: float | None = None) -> Source:
    """Open what the first row of SOURCES that matches `text` opens.

    Raises:
        UserError: it cannot be opened.
    """
    return kind_of(text).open(text, size, fps)
