"""The table of sinks, what users type for them, and how they are opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from livestyle.config.names import did_you_mean, find_name
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video.sinks.clip import CLIPS, ClipSink
from livestyle.video.sinks.queued import Queued
from livestyle.video.sinks.sink import Null, Sink, SinkInfo, Stream, Tee
from livestyle.video.sinks.virtual_camera import VirtualCamera
from livestyle.video.window.overlay import Scene
from livestyle.video.window.preview import Preview, Previews, Window
from livestyle.video.window.toolkits import TOOLKITS


@dataclass(frozen=True)
class SinkKind:
    """A row of SINKS.

    Args:
        form: what users type.
        words: what it is, for lists.
        open: opens it from what stands behind the colon: a sink, or a preview for a window.
        is_live: it shows frames at their own pace.
        is_call: strangers may watch.
        is_window: it is a preview with keys.
        license, source: of what it is made with, for lists.
    """

    form: str
    words: str
    open: Callable[[str, Stream], Sink | Preview]
    is_live: bool = False
    is_call: bool = False
    is_window: bool = False
    license: str = "MIT"
    source: str = "livestyle"

    @property
    def needs_argument(self) -> bool:
        """Whether something must stand behind the colon."""
        return ":" in self.form.partition("[")[0]


SINKS = {
    "window": SinkKind(
        f"window[:{'|'.join(TOOLKITS)}]", "a preview with keys", lambda rest, to: Window(to.size, rest, to.has_bar),
        is_live=True, is_window=True, license="Apache-2.0", source="OpenCV",
    ),
    "virtual-camera": SinkKind(
        "virtual-camera[:DEVICE]", "a camera that meeting apps see", VirtualCamera,
        is_live=True, is_call=True, license="GPL-2.0", source="pyvirtualcam",
    ),
    "file": SinkKind(
        "file:PATH", "a video file, or a GIF or WebP", lambda rest, stream: ClipSink(Path(rest), stream),
        license="BSD-3-Clause", source="PyAV",
    ),
    "null": SinkKind("null", "nowhere", lambda rest, stream: Null()),
}  # fmt: skip


@dataclass(frozen=True)
class SinkSpec:
    """A sink as users name it, parsed.

    Args:
        kind: its row of SINKS.
        argument: what stands behind the colon, "" for nothing.
        text: as typed.
    """

    kind: SinkKind
    argument: str
    text: str


def parse_sinks(texts: Sequence[str]) -> tuple[SinkSpec, ...]:
    """Parse what users type for sinks, without opening any.

    Raises:
        UserError: there is no such sink, or what must stand behind its colon is missing.
    """
    specs = []
    for text in texts:
        name, _, argument = text.partition(":")
        kind = SINKS.get(find_name(name, SINKS, whole=True) or "")
        if kind is None or (kind.needs_argument and not argument):
            forms = ", ".join(kind.form for kind in SINKS.values())
            near = f" Did you mean file:{text}?" if text.lower().endswith(CLIPS) else did_you_mean(name, SINKS)
            raise UserError(f"There is no sink '{text}'.{near}", f"Choose from: {forms}.")
        specs.append(SinkSpec(kind, argument, text))
    return tuple(specs)


@dataclass(frozen=True)
class Outputs:
    """All that shows the pictures of a run. Close it by `with`. A fault in `with` discards what was being made.

    Args:
        sink: the sinks as one, which everybody sees.
        preview: the windows as one, for one who sits here.
    """

    sink: Tee
    preview: Previews

    @property
    def name(self) -> str:
        """What a person calls them."""
        return ", ".join(name for name in (self.preview.name, self.sink.info.name) if name)

    @property
    def is_live(self) -> bool:
        """Whether frames are shown at their own pace."""
        return self.sink.info.is_live or bool(self.preview.previews)

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sink.__exit__(kind, error, trace)
        finally:
            self.preview.close()


def open_sinks(specs: Sequence[SinkSpec], stream: Stream, is_live: bool) -> Outputs:
    """Open sinks and windows.

    A disk that is slow or full does not hold up the rest where pictures do not wait: if they come from a camera, or if
    somebody looks at them.

    Args:
        specs: see `parse_sinks`.
        stream: what they are about to get.
        is_live: whether frames come at their own pace.

    Raises:
        UserError: one cannot be opened. Those opened before are closed.
    """
    sinks, previews = list[Sink](), list[Preview]()
    try:
        for spec in specs:
            opened = spec.kind.open(spec.argument, stream)
            if isinstance(opened, Preview):
                previews.append(opened)
            else:
                sinks.append(opened)
    except BaseException:
        try:
            Tee(sinks).discard()
        finally:
            Previews(previews).close()
        raise
    outputs = Outputs(Tee(sinks), Previews(previews))
    if not (is_live or outputs.is_live):
        return outputs
    is_alone = len(specs) == 1
    queued = [Queued(sink, is_alone) if sink.info.folder else sink for sink in sinks]
    return Outputs(Tee(queued), outputs.preview)


def open_sink(text: str, stream: Stream) -> Sink:
    """Open one sink. A window is one too: it shows frames as they are, and its keys do nothing.

    Raises:
        UserError: there is no such sink, or it cannot be opened.
    """
    (spec,) = parse_sinks((text,))
    opened = spec.kind.open(spec.argument, stream)
    return ShownSink(opened) if isinstance(opened, Preview) else opened


class ShownSink(Sink):
    """A preview as a sink.

    Args:
        preview: shows the frames, and nothing over them.
    """

    def __init__(self, preview: Preview) -> None:
        self._preview = preview
        self.info = SinkInfo(preview.name, is_live=True)

    def send(self, frame: Frame) -> None:
        self._preview.show(frame.image, Scene())
        self._preview.events()  # without which toolkits draw nothing

    def close(self) -> None:
        self._preview.close()
