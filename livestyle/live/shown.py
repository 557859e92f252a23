"""What everybody is shown for a frame: its picture, an older one with a sign, or a placeholder."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from livestyle.config.look import Look
from livestyle.image.types import Frame, Image
from livestyle.live.controls import Controls
from livestyle.types import Size

if TYPE_CHECKING:
    from livestyle.render.filter import Filter

DARK, LIGHT = 32, 200  # gray levels of the placeholder and the pause sign


@dataclass(frozen=True)
class Shown:
    """What is shown for a frame.

    Args:
        frame: from which the picture was made.
        picture: uint8 (H, W, 3) RGB.
        look: of the picture.
        hidden: the picture is a placeholder.
        is_old: the picture, with a pause sign, stands in for one that is late.
        wanted: the look that was asked for, which may not be ready yet; None is `look`.
    """

    frame: Frame
    picture: Image
    look: Look
    hidden: bool = False
    is_old: bool = False
    wanted: Look | None = None

    @property
    def answers(self) -> Look:
        """The look that was asked for when the picture was made."""
        return self.wanted or self.look


class Follower(Protocol):
    """What looks at a run beside its sinks, and keeps some of it."""

    def attach(self, filter: "Filter") -> None:
        """Learn which filter renders a live run, before its first frame."""
        return

    def follow(self, frame: Frame, shown: Shown, controls: Controls) -> Iterable[str]:
        """Take what is shown for a frame, and return lines for people.

        Args:
            frame: as the source gave it; shown: what everybody sees of it; controls: of the run.
        """


def placeholder(size: Size) -> Image:
    """Return the picture that hides everything: uint8 (H, W, 3) RGB.

    Args:
        size: (width, height) in pixels.
    """
    width, height = size
    image = np.full((height, width, 3), DARK, np.uint8)
    text, font, scale = "paused", cv2.FONT_HERSHEY_SIMPLEX, height / 300
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, 2)
    origin = (width - text_width) // 2, (height + text_height) // 2
    return np.asarray(cv2.putText(image, text, origin, font, scale, (LIGHT,) * 3, 2, cv2.LINE_AA), np.uint8)


def with_pause_sign(picture: Image) -> Image:
    """Return a copy of a picture with two bars in a corner, which say that it stands still.

    Args:
        picture: uint8 (H, W, 3) RGB.
    """
    image = picture.copy()
    unit = max(1, image.shape[0] // 60)
    image[unit : 7 * unit, unit : 7 * unit] = DARK
    for left in (2, 5):
        image[2 * unit : 6 * unit, left * unit : (left + 1) * unit] = LIGHT
    return image
