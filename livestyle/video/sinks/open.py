"""Where finished pictures go: a window, a virtual camera, a video file, nowhere; and several at once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from livestyle.config.settings import Size
from livestyle.errors import Stuck, UserError
from livestyle.files import Aside, write_error
from livestyle.image.pixels import Frame, Image, pad_to
from livestyle.video.devices import loopback
from livestyle.video.devices.devices import IS_LINUX, Openings
from livestyle.video.sound import Copied, Microphone, Sound, Spoken
from livestyle.video.window.overlay import Overlay, Scene
from livestyle.video.window.toolkits import TITLE, TOOLKITS, Event, open_canvas

if TYPE_CHECKING:
    from av.video.stream import VideoStream

CLIPS = (".mp4", ".mkv", ".mov", ".m4v")
HD = 720
BT709, BT601 = 1, 6  # among FFmpeg's colour spaces
TAIL = 0.1  # seconds by which the sound may outlast the picture
CODECS = {  # the first that FFmpeg was built with
    # No B-frames: with frames at uneven times they make the container's duration wrong.
    "libx264": {"crf": "18", "preset": "veryfast", "bf": "0"},
    "libvpx-vp9": {"crf": "24", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
}
PROMPT = {"libx264": {"tune": "zerolatency", "preset": "superfast", "g": "60"}, "libvpx-vp9": {"lag-in-frames": "0"}}
LASTING = {"cluster_time_limit": "1000", "flush_packets": "1"}  # a second's frames reach the file together
CLOCK = 90_000  # ticks per second of written clips: fine enough for any camera
GREY = 32  # of what is shown before the first picture
GLANCE, LINGER = 0.3, 3.0  # seconds after which a program that opened, or left, a virtual camera counts
Self = TypeVar("Self", bound="Sink")


@dataclass(frozen=True)
class Stream:
    """What a sink is about to get.

    Args:
        size: of the frames; fps: nominal rate; audio: a file whose sound is copied, from `audio_start` on;
        is_bt709: the colour space of a clip; None leaves it to the size.
        is_matte: the frames are grey mattes, kept visually lossless and full range.
        microphone: opens the one that is heard in a clip without another sound.
    """

    size: Size
    fps: float
    audio: Path | None = None
    audio_start: float = 0.0
    is_bt709: bool | None = None
    is_matte: bool = False
    microphone: Callable[[], Microphone] | None = None


class Sink:
    """Takes frames; closed by `with` or `close`, twice if need be. A fault in `with` discards what was being made.

    Attributes:
        name: what a person calls it; is_live: it shows frames at their own pace; is_call: strangers may watch.
    """

    name: str
    is_live = False
    is_call = False

    def send(self, frame: Frame) -> None:
        """Take a frame."""
        raise NotImplementedError

    def hide(self, image: Image) -> None:
        """Show a picture in place of the last one, without waiting for the next frame; any thread may ask."""

    def pressed(self) -> list[str]:
        """Keys pressed since the last call; "quit" where the window was closed."""
        return []

    def describe(self, scene: Scene) -> None:
        """Take what who watches here sees beside the next picture; what others see has none of it."""

    def notice(self, text: str) -> None:
        """Show a line for a moment, to who watches here."""

    def news(self) -> list[str]:
        """What people should read since the last call."""
        return []

    def is_watched(self) -> bool:
        """Whether anybody looks."""
        return True

    def close(self) -> None:
        """Finish, and let go of what is held."""

    def discard(self) -> None:
        """Close, and leave nothing behind that is not whole."""
        self.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # What was recorded until the camera went away, or a net was stuck, is kept.
        if kind is None or issubclass(kind, (UserError, Stuck)):
            self.close()
        else:
            self.discard()


class Null(Sink):
    """Takes frames and forgets them."""

    name = "null"

    def send(self, frame: Frame) -> None:
        """Nothing."""


class Window(Sink):
    """A preview, with all that a scene says over it; keys and clicks.

    Args:
        toolkit: see `open_canvas`.

    Raises:
        UserError: there is no screen.
    """

    is_live = True

    def __init__(self, stream: Stream, toolkit: str = "") -> None:
        self._canvas = open_canvas(stream.size, toolkit)
        self._overlay, self._scene = Overlay(), Scene()
        self._is_dragging = False
        self.name = f"window ({self._canvas.name})"

    def describe(self, scene: Scene) -> None:
        before, self._scene = self._scene, scene
        if scene.title != before.title:
            self._canvas.title(f"{TITLE} - {scene.title}")
        if ("full-screen" in scene.showing) != ("full-screen" in before.showing):
            self._canvas.full_screen("full-screen" in scene.showing)

    def send(self, frame: Frame) -> None:
        self._canvas.show(self._overlay.draw(frame.image, self._scene, self._canvas.size, self._canvas.scale))

    def notice(self, text: str) -> None:
        self._overlay.notice(text)

    def pressed(self) -> list[str]:
        return [key for event in self._canvas.events() for key in self._keys(event)]

    def _keys(self, event: Event) -> list[str]:
        """What an event asks for, as keys or actions with their arguments."""
        if isinstance(event, str):
            return [event]
        target = self._overlay.at(event.x, event.y)
        if event.kind == "second":
            name = target.removeprefix("style ")
            return [f"person {'none' if name == self._scene.chosen[1] else name}"] if name != target else []
        if event.kind == "press":
            self._is_dragging = target == "split"
        if event.kind == "double" and target in ("", "split"):
            return ["full-screen"]
        if self._is_dragging:
            self._overlay.drag(event.x)
        return [target] if event.kind == "press" and target not in ("", "split") else []

    def close(self) -> None:
        self._canvas.close()


class VirtualCamera(Sink):
    """A camera that other programs see (pyvirtualcam: v4l2loopback, OBS, UnityCapture).

    A thread of its own hands pictures on as they come, and the last one again where none comes in time, so that
    watchers see a steady rate whatever the source does.

    Args:
        device: its path or name; "" takes the first that is free.

    Raises:
        UserError: no device; the message is the command that makes one.
    """

    is_live = True
    is_call = True

    def __init__(self, device: str, stream: Stream) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise UserError("The package pyvirtualcam is missing.", "Run: pip install pyvirtualcam") from None
        self._size = stream.size[0] & ~1, stream.size[1] & ~1  # 4:2:0 formats, which apps ask for, are even
        fps = max(1.0, stream.fps)
        path = loopback.find(device) if IS_LINUX else device
        try:
            self._camera = pyvirtualcam.Camera(
                *self._size, fps=fps, fmt=pyvirtualcam.PixelFormat.RGB, device=path or None
            )
        except RuntimeError as error:
            raise virtual_camera_error(device, str(error)) from None
        self._device: str = self._camera.device
        self.name = f"virtual camera {self._device}"
        self._openings: Openings | None = None
        self._watched = False
        self._changed: float | None = None  # since when it is otherwise
        self._pacer = Pacer(self._camera.send, 1 / fps)
        # The device is there for others from the first picture on, and the first real one may take seconds.
        self._pacer.send(np.full((*self._size[::-1], 3), GREY, np.uint8))

    def send(self, frame: Frame) -> None:
        w, h = self._size
        self._pacer.send(frame.image[:h, :w].copy())  # it may be repeated when the sender has written over it

    def hide(self, image: Image) -> None:
        w, h = self._size
        with suppress(Exception):  # raised where frames come from
            self._pacer.send(image[:h, :w].copy())

    def is_watched(self) -> bool:
        """Whether another program has the camera open; those that only look what cameras there are do not count.

        Raises:
            UserError: this system does not tell.
        """
        if self._openings is None:
            try:
                self._openings = Openings(self._device)
            except OSError:
                raise UserError("--on-demand needs v4l2loopback on Linux.", "Leave it out.") from None
        now, opened = time.monotonic(), self._openings.any()
        if opened is self._watched:
            self._changed = None
        elif self._changed is None:
            self._changed = now
        elif now - self._changed >= (GLANCE if opened else LINGER):
            self._watched, self._changed = opened, None
        return self._watched

    def close(self) -> None:
        self._pacer.close()
        self._camera.close()
        if self._openings:
            self._openings.close()
        if IS_LINUX:
            loopback.free(self._device)


class Pacer:
    """Hands pictures on in a thread of its own: at once, or `SPREAD` of an interval after the one before; the last one
    again where none has come for `LATE` intervals, then each interval. The sender never waits.

    Args:
        hand_on: takes each; interval: seconds.
    """

    SPREAD, LATE = 0.6, 1.25

    def __init__(self, hand_on: Callable[[Image], None], interval: float) -> None:
        self._hand_on, self._interval = hand_on, interval
        self._image: Image | None = None
        self._is_new = self._is_steady = self._over = False
        self._error: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="virtual camera", daemon=True)
        self._thread.start()

    def send(self, image: Image) -> None:
        """Hand on an image; what failed meanwhile is raised here."""
        with self._news:
            if self._error:
                raise self._error
            self._image, self._is_new = image, True
            self._news.notify()

    def close(self) -> None:
        """Hand on nothing more."""
        with self._news:
            self._over = True
            self._news.notify()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (image := self._next()) is not None:
                self._hand_on(image)
        except Exception as error:  # raised again where pictures come from
            self._error = error

    def _next(self) -> Image | None:
        """What to hand on now; None at the end."""
        with self._news:
            wait = (self.LATE if self._is_steady else 1.0) - self.SPREAD
            self._news.wait_for(lambda: self._over, self.SPREAD * self._interval)
            self._news.wait_for(
                lambda: self._over or self._is_new, None if self._image is None else wait * self._interval
            )
            self._is_steady, self._is_new = self._is_new, False
            return None if self._over else self._image


def virtual_camera_error(device: str, reason: str) -> UserError:
    """Why no virtual camera opened, and the command that makes one."""
    if IS_LINUX:
        return UserError(*loopback.trouble(device))
    start = "Install OBS Studio (https://obsproject.com), start its virtual camera once, and close it."
    return UserError(f"There is no virtual camera: {reason.splitlines()[0]}.", start)


class VideoFile(Sink):
    """A clip: H.264, the source's sound copied, each frame at its own time; written aside and renamed when whole.

    Raises:
        UserError: an unknown kind of file, a missing folder, no permission, a full disk.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        self.name, self.folder, self._path, self._stream = str(path), path.absolute().parent, path, stream
        self._writer: Clip | None = None
        if path.suffix.lower() not in CLIPS:
            raise UserError(f"{path} does not say what kind of clip to write.", f"End it in {', '.join(CLIPS)}.")
        self._aside = Aside(path)
        with self._discarding():
            self._writer = Clip(self._aside.part, stream)

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.discard()
            raise write_error(self._path, error) from None
        except BaseException:
            self.discard()
            raise

    def send(self, frame: Frame) -> None:
        with self._discarding():
            if self._writer:
                self._writer.write(frame)

    def news(self) -> list[str]:
        return self._writer.news() if self._writer else []

    def close(self) -> None:
        with self._discarding():
            if self._writer and self._writer.finish():
                self._aside.keep()
        self.discard()

    def discard(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            writer.abandon()
        self._aside.close()


class Clip:
    """A clip in the making. Sizes are made even by repeating the last row or column, which 4:2:0 needs.

    Args:
        is_lasting: can be played up to the last second, even if it is never finished; for Matroska.

    Raises:
        OSError, av.FFmpegError: from here and from every method but `abandon`.
    """

    def __init__(self, path: Path, stream: Stream, is_lasting: bool = False) -> None:
        import av
        from av.video.reformatter import ColorRange, Colorspace

        av.logging.set_level(None)
        full = stream.is_matte
        self._fps = stream.fps
        self._last = -1  # ticks
        self._sound: Sound | None = None
        self._microphone: Microphone | None = None
        begins_with_index = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
        self._container = av.open(str(path), "w", options=LASTING if is_lasting else begins_with_index)
        codec = next(name for name in CODECS if name in av.codecs_available)
        options = CODECS[codec] | ({"crf": "4"} if full else {}) | (PROMPT[codec] if is_lasting else {})
        rate = Fraction(stream.fps).limit_denominator(1001)
        self._video = cast("VideoStream", self._container.add_stream(codec, rate, options=options))
        self._video.width, self._video.height = (side + side % 2 for side in stream.size)
        self._video.pix_fmt = "yuvj420p" if full else "yuv420p"
        context = self._video.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.color_range = 2 if full else 1
        # The source's own, so that no reader sees a shift; else as players assume: BT.709 for HD, BT.601 below.
        is_bt709 = self._video.height >= HD if stream.is_bt709 is None else stream.is_bt709
        context.colorspace = context.color_primaries = context.color_trc = BT709 if is_bt709 else BT601
        self._colours: dict[str, Any] = {
            "format": self._video.pix_fmt, "dst_colorspace": Colorspace.ITU709 if is_bt709 else Colorspace.ITU601,
            "dst_color_range": ColorRange.JPEG if full else ColorRange.MPEG,
        }  # fmt: skip
        if stream.audio:
            self._sound = Copied(stream.audio, stream.audio_start, self._container)
        elif stream.microphone:
            self._microphone = stream.microphone()
            self._sound = Spoken(self._microphone, self._container)

    def write(self, frame: Frame) -> None:
        """Encode one frame, and the sound up to it."""
        import av

        picture = av.VideoFrame.from_ndarray(pad_to(frame.image, 2), format="rgb24").reformat(**self._colours)
        if self._sound and self._last < 0:
            self._sound.begin(frame.captured - frame.time)
        self._last = max(self._last + 1, round(frame.time * CLOCK))
        picture.pts, picture.time_base = self._last, Fraction(1, CLOCK)
        picture.duration = round(CLOCK / self._fps)
        self._container.mux(self._video.encode(picture))
        if self._sound:
            self._sound.write_until(frame.time)

    def finish(self) -> bool:
        """Flush and close; False where no frame was written."""
        if self._last < 0:
            return False
        self._container.mux(self._video.encode(None))
        if self._sound:
            self._sound.finish(self._last / CLOCK + 1 / self._fps + TAIL)
        self._container.close()
        return True

    def news(self) -> list[str]:
        """What people should read of the sound since the last call."""
        return list(self._microphone.news()) if self._microphone else []

    def abandon(self) -> None:
        """Close without caring what comes of it."""
        with suppress(Exception):
            if self._sound:
                self._sound.close()
        with suppress(Exception):
            self._container.close()


class Tee(Sink):
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)
        self.name = ", ".join(sink.name for sink in sinks)
        self.is_live = any(sink.is_live for sink in sinks)
        self.is_call = any(sink.is_call for sink in sinks)

    def send(self, frame: Frame) -> None:
        for sink in self.sinks:
            sink.send(frame)

    def hide(self, image: Image) -> None:
        for sink in self.sinks:
            sink.hide(image)

    def describe(self, scene: Scene) -> None:
        for sink in self.sinks:
            sink.describe(scene)

    def notice(self, text: str) -> None:
        for sink in self.sinks:
            sink.notice(text)

    def pressed(self) -> list[str]:
        return [key for sink in self.sinks for key in sink.pressed()]

    def news(self) -> list[str]:
        return [line for sink in self.sinks for line in sink.news()]

    def is_watched(self) -> bool:
        return any([sink.is_watched() for sink in self.sinks])

    def close(self) -> None:
        with ExitStack() as stack:  # closes all, even if one fails
            for sink in self.sinks:
                stack.callback(sink.close)

    def discard(self) -> None:
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.callback(sink.discard)


@dataclass(frozen=True)
class SinkKind:
    """A row of SINKS: `form` is what users type, `open` takes what stands behind the colon."""

    form: str
    words: str
    open: Callable[[str, Stream], Sink]


SINKS = {
    "window": SinkKind(
        f"window[:{'|'.join(TOOLKITS)}]", "a preview with keys", lambda rest, stream: Window(stream, rest)
    ),
    "virtual-camera": SinkKind(
        "virtual-camera[:DEVICE]", "a camera that meeting apps see", lambda rest, stream: VirtualCamera(rest, stream)
    ),
    "file": SinkKind("file:PATH", "a video file", lambda rest, stream: VideoFile(Path(rest), stream)),
    "null": SinkKind("null", "nowhere", lambda rest, stream: Null()),
}


def is_shown(texts: Sequence[str]) -> bool:
    """Whether one of the sinks named shows frames at their own pace."""
    return any(text.startswith(("window", "virtual-camera")) for text in texts)


def open_sink(texts: Sequence[str], stream: Stream) -> Tee:
    """Open every sink named, as one.

    Raises:
        UserError: an unknown name, or one that cannot be opened; those opened before are closed.
    """
    opened: list[Sink] = []
    try:
        for text in texts:
            name, _, rest = text.partition(":")
            if name not in SINKS or (name == "file" and not rest):
                forms = ", ".join(kind.form for kind in SINKS.values())
                raise UserError(f"There is no sink '{text}'.", f"Choose from: {forms}.")
            opened.append(SINKS[name].open(rest, stream))
    except BaseException:
        Tee(opened).discard()
        raise
    return Tee(opened)
