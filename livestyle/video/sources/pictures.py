"""Decoded frames become pictures as players show them: upright, with square pixels, opaque, not interlaced, in SDR."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from livestyle.image.io import laid_on
from livestyle.image.types import WHITE, Image
from livestyle.types import Color
from livestyle.video.sources.hdr import UNMARKED, needs_mapping, table

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter import Graph
    from av.video.stream import VideoStream

HD_HEIGHT_PX = 720  # from which clips are BT.709 by custom
MAX_CLIP_PX = 36_000_000  # of a clip's picture: 8K
FIXED = ("width", "height", "colorspace", "color_range", "color_trc", "color_primaries")  # of a graph's frames
MAX_STRETCH = 8  # of a pixel's sides; more is a damaged header

Timed = tuple[Image, float | None]  # a picture and its time in seconds


class Pictures:
    """Turn the frames of a clip into pictures, uint8 (H, W, 3), each with its time.

    Only interlaced and HDR frames go through a filter graph. It may hold a frame back until the next one.

    Args:
        video: the stream that is decoded.
        peak: returns the light of the clip's brightest parts in cd/m2. It is asked where a clip is HDR.
        backdrop: what shows through where frames are transparent, RGB in 0..255.

    Attributes:
        is_bt709: whether the last picture's values are those of BT.709, or None where the clip does not say.
    """

    def __init__(self, video: "VideoStream", peak: Callable[[], float], backdrop: Color = WHITE) -> None:
        self._video, self._peak, self._backdrop = video, peak, backdrop
        self._coded_aspect = video.codec_context.sample_aspect_ratio
        self._graph: Graph | None = None
        self._made_for: object = None
        self._is_interlaced = False
        self._waiting: deque[VideoFrame] = deque()  # in the graph
        self.is_bt709: bool | None = None

    def take(self, frame: "VideoFrame") -> list[Timed]:
        """Return the pictures that a frame completes.

        Raises:
            av.FFmpegError, ValueError, MemoryError: it is damaged.
        """
        self._is_interlaced |= frame.interlaced_frame
        is_mapped = needs_mapping(frame)
        if not (self._is_interlaced or is_mapped):
            return [(self._picture(frame, frame), frame.time)]
        key = (self._is_interlaced, frame.format.name, *(getattr(frame, name) for name in FIXED))
        done = [] if key == self._made_for else self.flush()
        try:
            if self._graph is None:
                self._graph, self._made_for = self._filters(frame, is_mapped), key
            self._waiting.append(frame)
            self._graph.push(frame)
            return done + list(self._filtered())
        except BaseException:
            self._forget()
            raise

    def flush(self) -> list[Timed]:
        """Return the pictures that are held back, after the last frame."""
        if self._graph is None:
            return []
        try:
            self._graph.push(None)
            return list(self._filtered())
        finally:
            self._forget()

    def _forget(self) -> None:
        self._graph, self._made_for = None, None
        self._waiting.clear()

    def _filters(self, frame: "VideoFrame", is_mapped: bool) -> "Graph":
        from av.filter import Graph

        graph = Graph()
        nodes = [graph.add(
            "buffer", video_size=f"{frame.width}x{frame.height}", pix_fmt=frame.format.name, time_base="1/1000",
            colorspace=str(int(frame.colorspace)), range=str(int(frame.color_range)),
        )]  # fmt: skip
        if self._is_interlaced:
            nodes.append(graph.add("bwdif", mode="send_frame", deint="interlaced"))
        with tempfile.TemporaryDirectory() as folder:
            if is_mapped:
                file = Path(folder, "sdr.cube")
                file.write_text(table(frame.color_trc, frame.color_primaries, self._peak()), "ascii")
                deep = "gbrap16le" if is_clear(frame) else "gbrp16le"
                nodes += [graph.add("format", deep), graph.add("lut3d", file=file.as_posix())]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph

    def _filtered(self) -> Iterator[Timed]:
        import av

        while self._graph is not None and self._waiting:
            try:
                shown = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            coded = self._waiting.popleft()
            yield self._picture(shown, coded), coded.time

    def _picture(self, frame: "VideoFrame", coded: "VideoFrame") -> Image:
        """Return a frame's picture. `coded` is the frame as it was decoded."""
        from av.video.reformatter import Colorspace

        # Players take unmarked HD for BT.709; FFmpeg would take it for BT.601.
        is_unmarked = frame.colorspace == UNMARKED
        guess = Colorspace.ITU709 if is_unmarked and frame.height >= HD_HEIGHT_PX else None
        is_mapped = needs_mapping(coded)
        self.is_bt709 = True if is_mapped else None if is_unmarked else frame.colorspace == Colorspace.ITU709
        clear = is_clear(frame)
        kind = "rgba" if clear else "rgb24"
        image = np.asarray(frame.to_ndarray(format=kind, width=self._width(frame), src_colorspace=guess), np.uint8)
        return upright(self._opaque(image) if clear else image, coded)

    def _opaque(self, image: Image) -> Image:
        """Lay a picture, uint8 (H, W, 4) RGBA, on the backdrop."""
        from PIL import Image as Pil

        return np.array(laid_on(self._backdrop, Pil.fromarray(image)), np.uint8)

    def _width(self, frame: "VideoFrame") -> int:
        """Return the width of a frame with square pixels."""
        # The container's word is the stream's, unless that is only what the first frame said.
        now = self._video.codec_context.sample_aspect_ratio
        aspect = self._video.sample_aspect_ratio or 1
        aspect = now or 1 if aspect == self._coded_aspect else aspect
        if aspect == 1:
            return frame.width
        width = 2 * round(frame.width * aspect / 2)
        is_likely = 1 / MAX_STRETCH <= aspect <= MAX_STRETCH and 0 < width * frame.height <= MAX_CLIP_PX
        return width if is_likely else frame.width


def is_clear(frame: "VideoFrame") -> bool:
    """Return whether a frame has transparency."""
    return any(component.is_alpha for component in frame.format.components)


def upright(image: Image, frame: "VideoFrame") -> Image:
    """Turn and mirror a picture as the display matrix of its frame says: eight ways, the nearest one."""
    from av.sidedata.sidedata import SideDataContainer

    # Not `frame.side_data`: frame and data then hold each other, and their memory waits for the garbage collector.
    data: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # which its stub lacks
    if data is None:
        return image
    right, down, _, across, along = np.frombuffer(data, np.int32, 5).tolist()
    if abs(down) + abs(across) > abs(right) + abs(along):
        image, right, along = image.swapaxes(0, 1), across, down
    return np.ascontiguousarray(image[:: -1 if along < 0 else 1, :: -1 if right < 0 else 1])
