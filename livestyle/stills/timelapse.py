"""A painting coming to be, as a clip: the still, the painting in equal visual steps, the finished picture."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.files import check_target
from livestyle.image.pixels import fit, fit_matte
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.stills.multiscale import join
from livestyle.stills.recipe import Recipe
from livestyle.video.sinks.animation import ANIMATIONS, animation_size
from livestyle.video.sinks.clip import CLIPS, ClipSink
from livestyle.video.sinks.sink import Stream

FPS = 12
BEFORE_S, STEPS_S, AFTER_S = 1, 8, 2  # of the still, the painting, the finished picture
MAX_SIDE_PX, JPEG_QUALITY = 720, 92
MAX_KEPT = 240  # frames, of about 60 kB


def check_timelapse(path: Path, target: Path) -> None:
    """Check, before any work, that a time-lapse can be written.

    Args:
        path: of the time-lapse; target: of the painting.

    Raises:
        UserError: it cannot.
    """
    kinds = (*CLIPS, *ANIMATIONS)
    if path.suffix.lower() not in kinds:
        raise UserError(f"{path} does not say what kind of clip to write.", f"End it in {', '.join(kinds)}.")
    check_target(path)
    if path.resolve() == target.resolve():
        raise UserError(f"{path} is the result itself.", "Give another name for the time-lapse.", "timelapse")


class Timelapse:
    """Keep how a painting looked, and write that as a clip.

    Args:
        path: of the clip.
        image: the still, uint8 (H, W, 3) RGB; matte: of the person, None where one picture serves both planes.
        recipe: of the painting.
        count: iterations in all, of all planes.
        frames: JPEGs that were kept so far; changed in place.
    """

    def __init__(
        self, path: Path, image: Image, matte: Matte | None, recipe: Recipe, count: int, frames: list[bytes]
    ) -> None:
        size = animation_size(size_of(image), MAX_SIDE_PX)
        self._image = fit(image, size)
        self._matte = None if matte is None else fit_matte(matte, size)
        self._path, self._recipe, self._frames = path, recipe, frames
        self._each = -(-count // MAX_KEPT)

    def wants(self, iteration: int) -> bool:
        """Return whether the picture after an iteration, counted from 1 over all planes, is to be kept."""
        return iteration % self._each == 0

    def keep(self, pictures: Mapping[str, Image]) -> None:
        """Keep a picture.

        Args:
            pictures: of each plane that has been begun, at any size.
        """
        bgr = cv2.cvtColor(self._joined(pictures), cv2.COLOR_RGB2BGR)
        self._frames.append(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())

    def write(self, pictures: Mapping[str, Image]) -> None:
        """Write the clip, whole or not at all.

        Args:
            pictures: of each plane as it is last.

        Raises:
            UserError: it cannot be written.
        """
        with ClipSink(self._path, Stream(size_of(self._image), FPS)) as sink:
            for index, image in enumerate(self._shown(self._joined(pictures))):
                sink.send(Frame(image, index, index / FPS))

    def _joined(self, pictures: Mapping[str, Image]) -> Image:
        return join(self._image, self._matte, pictures, self._recipe)

    def _shown(self, last: Image) -> Iterator[Image]:
        yield from [self._image] * (BEFORE_S * FPS)
        for number in equal_steps(self._frames, STEPS_S * FPS):
            yield cast(Image, cv2.cvtColor(decoded(self._frames[number], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
        yield from [last] * (AFTER_S * FPS)


def decoded(jpeg: bytes, how: int) -> Image:
    """Return a JPEG as BGR; `how` is one of OpenCV's flags."""
    return cast(Image, cv2.imdecode(np.frombuffer(jpeg, np.uint8), how))


def equal_steps(frames: Sequence[bytes], count: int) -> list[int]:
    """Return the numbers of at most `count` JPEGs, in order, between which about equally much changes."""
    if len(frames) <= count:
        return list(range(len(frames)))
    small = [decoded(frame, cv2.IMREAD_REDUCED_COLOR_8).astype(np.int16) for frame in frames]
    steps = [float(np.abs(one - other).mean()) for one, other in pairwise(small)]
    way = np.concatenate([[0.0], np.cumsum(steps)])
    chosen = np.searchsorted(way, np.linspace(0, way[-1], count))
    return sorted({int(number) for number in chosen})
