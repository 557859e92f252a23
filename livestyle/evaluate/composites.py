"""Clips with known mattes: portraits that move before rooms that move, as a webcam would record them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import fit
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.types import Size

Swing = NDArray[np.float64]  # (WAVE_COUNT, 3): amplitude, cycles per second, phase in cycles

FRAME_SIZE, FPS = (640, 360), 30.0
WAVE_COUNT = 2  # sines in a movement
SHUTTER_SHARE, EXPOSURES = 0.5, 5  # share of a frame's time that the shutter is open, and poses averaged in it
MIN_LOWER_EDGE = 1.02  # of the person, as a share of the frame's height
PAN_SHARE = 0.04  # how far the room moves to either side, as a share of the frame's width
NOISE_DEVIATION, JPEG_QUALITY = 4.0, 80  # noise in 0..255


@dataclass(frozen=True)
class Movement:
    """How a person moves.

    Args:
        sway, nod: sideways and up and down, to either side, as shares of the frame's height.
        tilt: degrees to either side.
        zoom: share of the size, to either side.
        rate: about how many cycles per second.
        blurred: whether the shutter is open meanwhile.
    """

    sway: float
    nod: float
    tilt: float
    zoom: float
    rate: float
    blurred: bool = False


MOTIONS = {
    "calm": Movement(sway=0.03, nod=0.01, tilt=1.0, zoom=0.01, rate=0.3),
    "lively": Movement(sway=0.12, nod=0.03, tilt=4.0, zoom=0.04, rate=0.5),
    "fast": Movement(sway=0.25, nod=0.06, tilt=8.0, zoom=0.06, rate=1.0, blurred=True),
}


def stands_free(matte: Matte) -> bool:
    """Return whether there is a person whom neither the top nor the sides of the picture cut.

    Other people have straight edges, which no person has.
    """
    return bool(matte.max() > 0.5 and max(matte[0].max(), matte[:, [0, -1]].max()) < 0.1)


def composite_clip(
    image: Image, matte: Matte, room: Image, motion: Movement, frames: int, rng: np.random.Generator,
    size: Size = FRAME_SIZE,
) -> Iterator[tuple[Frame, Matte]]:  # fmt: skip
    """Composite a moving person before a moving room. The person's lower edge stays outside the frame.

    Args:
        image: uint8 (H, W, 3) RGB of somebody who stands free.
        matte: float32 (H, W) in 0..1.
        room: uint8 (h, w, 3) RGB without people.
        motion: how the person moves.
        frames: how many.
        rng: draws what is left open.
        size: of the frames.

    Yields:
        Each frame and its true matte.
    """
    image, matte, crown, feet = scale_portrait(image, matte, size, rng)
    room, drift = fit_room(room, size), draw_swing(motion.rate / 3, rng)
    shutter = SHUTTER_SHARE / FPS * np.arange(EXPOSURES) / EXPOSURES if motion.blurred else np.zeros(1)
    times = np.arange(frames)[:, None] / FPS + shutter
    poses = draw_poses(motion, times, crown, size, rng)  # (frames, moments, 2, 3)
    poses[..., 1, 2] += max(0.0, MIN_LOWER_EDGE * size[1] - highest_row(poses, feet))
    for index, moments in enumerate(poses):
        person, truth = expose(image, matte, moments, size)
        scene = pan(room, PAN_SHARE * size[0] * float(position(drift, np.array(index / FPS))), size)
        picture = person + (1 - truth[..., None]) * scene
        yield Frame(as_webcam(picture, rng), index, index / FPS), truth


def scale_portrait(
    image: Image, matte: Matte, size: Size, rng: np.random.Generator
) -> tuple[Image, Matte, NDArray[np.float64], NDArray[np.float64]]:
    """Scale a portrait to about its size in the clip.

    It is scaled once. Scaled anew for each frame, the aliases of the hair would flicker.

    Returns:
        Image, matte, the place of the crown (2,), and both ends of the lower edge (2, 2), in pixels.
    """
    rows, columns = np.where(matte.max(1) > 0.5)[0], np.where(matte.max(0) > 0.5)[0]
    factor = size[1] * rng.uniform(0.9, 1.4) / (rows[-1] - rows[0] + 1)
    scaled_size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    ratio = np.array(scaled_size) / size_of(image)
    crown = np.array([columns.mean(), rows[0]]) * ratio
    feet = np.array([(columns[0], rows[-1]), (columns[-1], rows[-1])]) * ratio
    alpha = fit(np.asarray(matte * 255 + 0.5, np.uint8), scaled_size)
    return fit(image, scaled_size), alpha.astype(np.float32) / np.float32(255), crown, feet


def draw_swing(rate: float, rng: np.random.Generator) -> Swing:
    """Draw sines whose amplitudes sum to 1: a smooth movement that does not soon repeat."""
    shares, rates = rng.dirichlet(np.ones(WAVE_COUNT)), rate * rng.uniform(0.6, 1.4, WAVE_COUNT)
    return np.column_stack([shares, rates, rng.random(WAVE_COUNT)])


def position(swing: Swing, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position of a movement at some times in seconds, in -1..1."""
    share, rate, phase = swing.T
    return np.asarray((share * np.sin(2 * np.pi * (rate * times[..., None] + phase))).sum(-1))


def draw_poses(
    motion: Movement, times: NDArray[np.float64], crown: NDArray[np.float64], size: Size, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw how the person stands at each time, turned and scaled about the crown.

    Args:
        motion: how far and fast; times: seconds, of any shape; crown: in the portrait, in pixels; size: of the frames.

    Returns:
        Affine maps from portrait to frame, (..., 2, 3).
    """
    sway, nod, tilt, zoom = (position(draw_swing(motion.rate, rng), times) for _ in range(4))
    angle, scale = np.deg2rad(motion.tilt * tilt), 1 + motion.zoom * zoom
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    (width, height), rest = size, rng.uniform((0.42, 0.08), (0.58, 0.25))
    target = np.stack([rest[0] * width + motion.sway * height * sway, (rest[1] + motion.nod * nod) * height], -1)
    return np.concatenate([linear, (target - linear @ crown)[..., None]], -1)


def highest_row(poses: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    """Return the least y that any of the places (N, 2) has in any pose."""
    return float((poses[..., 1, :2] @ places.T + poses[..., 1, 2:]).min())


def expose(image: Image, matte: Matte, moments: NDArray[np.float64], size: Size) -> tuple[NDArray[np.float32], Matte]:
    """Average the person over the poses while the shutter is open.

    Args:
        image, matte: the portrait; moments: poses (N, 2, 3); size: of the frame.

    Returns:
        The person times the matte, float32 (H, W, 3) in 0..255, and the matte.
    """
    person, total = np.zeros((size[1], size[0], 3), np.float32), np.zeros((size[1], size[0]), np.float32)
    for affine in moments:
        alpha = cv2.warpAffine(matte, affine, size, flags=cv2.INTER_LINEAR)
        person += alpha[..., None] * cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR)
        total += alpha
    return person / np.float32(len(moments)), total / np.float32(len(moments))


def fit_room(room: Image, size: Size) -> Image:
    """Scale the room so that it is large enough for frame and pan."""
    factor = max(size[0] * (1 + 2 * PAN_SHARE) / room.shape[1], size[1] / room.shape[0])
    return fit(room, (int(np.ceil(room.shape[1] * factor)) + 1, int(np.ceil(room.shape[0] * factor)) + 1))


def pan(room: Image, shift: float, size: Size) -> NDArray[np.float32]:
    """Return the middle of the room, moved sideways by `shift` pixels: float32 (H, W, 3) in 0..255."""
    (wide, high), (width, height) = size_of(room), size
    affine = np.array([[1, 0, shift - (wide - width) / 2], [0, 1, -(high - height) / 2]])
    moved = cv2.warpAffine(room, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def as_webcam(picture: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Add noise and JPEG artefacts, as a cheap camera does."""
    noise = NOISE_DEVIATION * rng.standard_normal(picture.shape, np.float32)
    noisy = np.asarray(np.clip(picture + noise, 0, 255), np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
