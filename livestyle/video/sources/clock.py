"""When the pictures of a clip are shown, where its file does not say it or says it wrongly."""

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av import VideoFrame
    from av.packet import Packet
    from av.video.stream import VideoStream

CODED_ORDER = {"avi"}  # formats that say only when a picture is decoded; what FFmpeg makes of it is a guess
USUAL_FPS = 30


class Clock:
    """Give every frame of a clip a time, each later than the last.

    Decoders give frames as they are shown. In a file that knows only times of decoding the n-th frame therefore has
    the n-th time. A frame without a time, or with one that runs backwards, follows the last frame.

    Args:
        video: the stream that is decoded.
    """

    def __init__(self, video: "VideoStream") -> None:
        self._tick = video.time_base or Fraction(1, 90_000)
        self._step = max(1, round(1 / (video.average_rate or video.guessed_rate or USUAL_FPS) / self._tick))
        self._is_coded_order = video.container.format.name in CODED_ORDER
        self._times: deque[int] = deque()  # of decoding, in ticks
        self._next = video.start_time or 0
        self._last: int | None = None

    def see(self, packet: "Packet[Any]") -> None:
        """Take a packet before it is decoded."""
        if self._is_coded_order and packet.dts is not None:
            packet.pts = packet.dts
            self._times.append(packet.dts)

    def miss(self) -> None:
        """Take it that a packet was broken."""
        if self._times:
            self._times.popleft()

    def set(self, frame: "VideoFrame") -> None:
        """Set the time of the next frame."""
        ticks = self._times.popleft() if self._times else frame.pts
        if ticks is None or (self._last is not None and ticks <= self._last):
            ticks = self._next
        frame.pts, frame.time_base = ticks, self._tick
        self._last, self._next = ticks, ticks + (frame.duration or self._step)
