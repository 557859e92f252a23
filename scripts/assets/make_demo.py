"""Make livestyle/demo.mp4: a person at a webcam, from NASA's photograph of Eileen Collins (public domain).

The photograph comes with scikit-image (`pip install scikit-image pymatting`). The person is cut out, the scene
behind her filled in and put out of focus; then she sways and nods a little, the light flickers, the sensor is noisy.
The first and last frame meet, so that the clip loops.

    python scripts/make_demo.py livestyle/demo.mp4
"""

import math
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from livestyle.config.settings import Settings
from livestyle.image.types import Frame, Image, Matte
from livestyle.render.filter import Filter
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream

SIZE = 640, 360
FPS, SECONDS = 25, 8
# The flag beside her, which no matte should hold.
FLAG = np.array([(0, 0), (108, 0), (108, 200), (92, 215), (62, 250), (35, 300), (15, 420), (15, 512), (0, 512)])
WIDE = SIZE[0] / 512  # the photograph, 512 px square, over the whole width
SEATED = 1.06  # the person, smaller, so that the head has room


def cut_out(photo: Image) -> tuple[Image, Matte]:
    """The person's own colours and matte: ours, then closed-form matting in a band around its edge."""
    from pymatting import estimate_alpha_cf, estimate_foreground_ml

    with Filter(Settings(), live=False) as filter:
        matte = filter.matte(Frame(photo, 0, 0.0))
    cv2.fillPoly(matte, [FLAG.astype(np.int32)], 0.0)
    trimap = np.full(matte.shape, 0.5)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    trimap[cv2.erode((matte > 0.9).astype(np.uint8), kernel) > 0] = 1
    trimap[cv2.dilate((matte > 0.1).astype(np.uint8), kernel) == 0] = 0
    alpha = estimate_alpha_cf(photo / 255, trimap)
    colours = estimate_foreground_ml(photo / 255, alpha)
    return np.asarray(colours * 255, np.uint8), np.asarray(alpha, np.float32)


def scene_behind(photo: Image, matte: Matte) -> Image:
    """The scene without the person: filled in from around her, then out of focus."""
    hole = cv2.dilate((matte > 0.05).astype(np.uint8), np.ones((9, 9), np.uint8))
    small = cv2.inpaint(cv2.resize(photo, (128, 128)), cv2.resize(hole, (128, 128)), 6, cv2.INPAINT_TELEA)
    filled = np.where(hole[..., None] > 0, cv2.resize(small, photo.shape[1::-1]), photo)
    return np.asarray(cv2.GaussianBlur(np.asarray(filled, np.uint8), (0, 0), 2.5), np.uint8)


def swayed(picture: NDArray[np.generic], phase: float) -> NDArray[np.generic]:
    """The person in the frame, swayed, tilted and zoomed a little; it repeats when the phase has gone once around."""
    turn = 2 * math.pi * phase
    zoom = SEATED * (1 + 0.03 * math.sin(2 * turn + 1))
    affine = cv2.getRotationMatrix2D((225, 300), 2.2 * math.sin(turn), zoom)
    affine[:, 2] += 95 + 24 * math.sin(turn), 36 + 7 * math.sin(3 * turn)
    return cv2.warpAffine(picture, affine, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def frames() -> list[Image]:
    """Every frame of the clip."""
    photo = np.asarray(astronaut(), np.uint8)
    person, matte = cut_out(photo)
    scene = scene_behind(photo, matte)
    behind = cv2.resize(scene, None, fx=WIDE, fy=WIDE, interpolation=cv2.INTER_CUBIC)[: SIZE[1]]
    noise, clip = np.random.default_rng(0), []
    for index in range(FPS * SECONDS):
        phase = index / (FPS * SECONDS)
        alpha = swayed(matte, phase)[..., None]
        picture = alpha * swayed(person, phase) + (1 - alpha) * behind
        light = 0.94 + 0.04 * math.sin(2 * math.pi * 2 * phase) + noise.normal(0, 0.003)
        tint = np.array([1.02, 1.0, 0.96]) * light
        picture = picture * tint + noise.normal(0, 1.6, picture.shape)
        clip.append(np.asarray(np.clip(picture, 0, 255), np.uint8))
    return clip


def main() -> None:
    """Write the clip."""
    with ClipSink(Path(sys.argv[1]), Stream(SIZE, FPS)) as sink:
        for index, image in enumerate(frames()):
            sink.send(Frame(image, index, index / FPS))


if __name__ == "__main__":
    main()
