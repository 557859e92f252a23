"""The table of sinks, and how they are opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import UserError
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.queued import Queued
from livestyle.video.sinks.sink import Null, Sink, Stream, Tee
from livestyle.video.sinks.virtual_camera import VirtualCamera
from livestyle.video.sinks.window import Window
from livestyle.video.window.toolkits import TOOLKITS


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
    "file": SinkKind("file:PATH", "a video file", lambda rest, stream: ClipSink(Path(rest), stream)),
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


def open_sinks(texts: Sequence[str], stream: Stream, is_live: bool) -> Tee:
    """Open every sink named, as one; where pictures do not wait, because they come from a camera or somebody looks at
    them, a disk that is slow or full does not hold up the others.

    Args:
        is_live: frames come whether they are taken or not.

    Raises:
        UserError: as open_sink.
    """
    tee = open_sink(texts, stream)
    if not (is_live or tee.is_live):
        return tee
    alone = len(tee.sinks) == 1
    return Tee([Queued(sink, alone, sink.folder) if isinstance(sink, ClipSink) else sink for sink in tee.sinks])
