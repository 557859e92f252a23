"""How finely styles are computed: the named qualities, and the ladder of the automatic one."""

from dataclasses import dataclass, replace

from livestyle.types import Size


@dataclass(frozen=True)
class Quality:
    """How finely a style is computed.

    Args:
        share: of the picture's pixels, but at `least` so many and at `most` so many.
        precision: of the engine, "int8" or "half".
        carry: frames in a row for which a painting may be carried along with what moves, and not be made anew.
        rests: keep paintings and mattes for a few frames of a picture that stands still, a background's of one behind.
        brush: how large strokes are, in 0.5..2. They are so many pixels large, so that fewer pixels make larger ones.
    """

    share: float
    least: int
    most: int
    precision: str = "int8"
    carry: int = 0
    rests: bool = False
    brush: float = 1.0

    def pixels(self, size: Size) -> int:
        """At how many of a picture of this size."""
        return min(self.most, max(self.least, round(self.share * size[0] * size[1])))

    def with_brush(self, brush: float) -> "Quality":
        """Return the quality with strokes of another size."""
        return replace(self, brush=brush)


QUALITIES = {
    "fast": Quality(0, 384 * 216, 384 * 216),
    "balanced": Quality(1 / 4, 480 * 270, 960 * 540),
    "best": Quality(1, 0, 1920 * 1080, "half"),
}
LADDER = (  # what "auto" goes up and down, from the cheapest
    Quality(0, 320 * 180, 320 * 180, carry=2, rests=True),
    Quality(0, 384 * 216, 384 * 216, carry=1, rests=True),
    Quality(1 / 4, 480 * 270, 960 * 540, carry=1, rests=True),
    Quality(1 / 4, 480 * 270, 960 * 540, rests=True),
    Quality(9 / 16, 640 * 360, 1280 * 720, rests=True),
    Quality(1, 640 * 360, 1920 * 1080, rests=True),
)
START = 3  # where on it
BRUSHES = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)  # sizes of strokes that keys go through
LIVE_QUALITY, STILL_QUALITY = "balanced", "best"  # what "auto" means
