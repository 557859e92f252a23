"""Clips with known mattes: portraits that move before rooms that move, as a webcam would show them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import fit
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.types import Size

Affine = NDArray[np.float64]  # (2, 3), from a picture's places to the frame's
Swing = NDArray[np.float64]  # (WAVES, 3): share of the whole, cycles per second, phase in cycles

SIZE, FPS = (640, 360), 30.0
WAVES = 2  # sines that make up a movement
SHUTTER, MOMENTS = 0.5, 5  # share of a frame for which the shutter is open, and the pictures that make up a blur
BELOW = 1.02  # of the frame's height: there or lower lies the person's lower edge
PAN = 0.04  # of the frame's width: how far the room moves to either side
NOISE, QUALITY = 4.0, 80  # standard deviation in 0..255; of the JPEG


@dataclass(frozen=True)
class Movement:
    """How far a person moves to either side, and how.

    Args:
        sway: sideways, nod: up and down, as shares of the frame's height; tilt: degrees; zoom: share of the size.
        rate: cycles per second, about; blurred: whether the shutter is open meanwhile.
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
    """Whether somebody is there whom neither the picture's top nor its sides cut: no person has a straight edge."""
    return bool(matte.max() > 0.5 and max(matte[0].max(), matte[:, [0, -1]].max()) < 0.1)


def composite_clip(
    image: Image, matte: Matte, room: Image, motion: Movement, frames: int, rng: np.random.Generator, size: Size = SIZE
) -> Iterator[tuple[Frame, Matte]]:
    """Frames of a person before a room, and their true mattes. The person's lower edge stays out of sight.

    Args:
        image, matte: a portrait of somebody who stands free, of one size; room: without people.
        rng: draws all that is left open.
    """
    image, matte, crown, feet = scaled(image, matte, size, rng)
    room, drift = fit_room(room, size), swing(motion.rate / 3, rng)
    shutter = SHUTTER / FPS * np.arange(MOMENTS) / MOMENTS if motion.blurred else np.zeros(1)
    times = np.arange(frames)[:, None] / FPS + shutter
    poses = path(motion, times, crown, size, rng)  # (frames, moments, 2, 3)
    poses[..., 1, 2] += max(0.0, BELOW * size[1] - highest(poses, feet))
    for index, moments in enumerate(poses):
        person, truth = exposed(image, matte, moments, size)
        scene = panned(room, PAN * size[0] * float(at(drift, np.array(index / FPS))), size)
        picture = person + (1 - truth[..., None]) * scene
        yield Frame(recorded(picture, rng), index, index / FPS), truth


def scaled(
    image: Image, matte: Matte, size: Size, rng: np.random.Generator
) -> tuple[Image, Matte, NDArray[np.float64], NDArray[np.float64]]:
    """A portrait at about the size at which it is shown, the place of the crown, and both ends of the lower edge.

    Scaled once: were every frame shrunk anew, the alias of its hair would flicker.
    """
    rows, columns = np.where(matte.max(1) > 0.5)[0], np.where(matte.max(0) > 0.5)[0]
    factor = size[1] * rng.uniform(0.9, 1.4) / (rows[-1] - rows[0] + 1)
    shown = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    ratio = np.array(shown) / size_of(image)
    crown = np.array([columns.mean(), rows[0]]) * ratio
    feet = np.array([(columns[0], rows[-1]), (columns[-1], rows[-1])]) * ratio
    alpha = fit(np.asarray(matte * 255 + 0.5, np.uint8), shown)
    return fit(image, shown), alpha.astype(np.float32) / np.float32(255), crown, feet


def swing(rate: float, rng: np.random.Generator) -> Swing:
    """A few sines whose shares sum to 1: a movement that is smooth and does not soon repeat."""
    return np.column_stack([rng.dirichlet(np.ones(WAVES)), rate * rng.uniform(0.6, 1.4, WAVES), rng.random(WAVES)])


def at(swing: Swing, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a movement is at some times (in seconds), in -1..1."""
    share, rate, phase = swing.T
    return np.asarray((share * np.sin(2 * np.pi * (rate * times[..., None] + phase))).sum(-1))


def path(
    motion: Movement, times: NDArray[np.float64], crown: NDArray[np.float64], size: Size, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How the person stands at each time: Affines, turned and scaled about the crown."""
    sway, nod, tilt, zoom = (at(swing(motion.rate, rng), times) for _ in range(4))
    angle, scale = np.deg2rad(motion.tilt * tilt), 1 + motion.zoom * zoom
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    (width, height), rest = size, rng.uniform((0.42, 0.08), (0.58, 0.25))
    target = np.stack([rest[0] * width + motion.sway * height * sway, (rest[1] + motion.nod * nod) * height], -1)
    return np.concatenate([linear, (target - linear @ crown)[..., None]], -1)


def highest(poses: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    """The highest row that any of the places reaches in any pose."""
    return float((poses[..., 1, :2] @ places.T + poses[..., 1, 2:]).min())


def exposed(image: Image, matte: Matte, moments: NDArray[np.float64], size: Size) -> tuple[NDArray[np.float32], Matte]:
    """The person times the matte, in 0..255, and the matte, both averaged over the moments that a shutter is open."""
    person, total = np.zeros((size[1], size[0], 3), np.float32), np.zeros((size[1], size[0]), np.float32)
    for affine in moments:
        alpha = cv2.warpAffine(matte, affine, size, flags=cv2.INTER_LINEAR)
        person += alpha[..., None] * cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR)
        total += alpha
    return person / np.float32(len(moments)), total / np.float32(len(moments))


def fit_room(room: Image, size: Size) -> Image:
    """The room large enough for the frame and the pan."""
    factor = max(size[0] * (1 + 2 * PAN) / room.shape[1], size[1] / room.shape[0])
    return fit(room, (int(np.ceil(room.shape[1] * factor)) + 1, int(np.ceil(room.shape[0] * factor)) + 1))


def panned(room: Image, shift: float, size: Size) -> NDArray[np.float32]:
    """The middle of the room, moved sideways by so many pixels; in 0..255."""
    (wide, high), (width, height) = size_of(room), size
    affine = np.array([[1, 0, shift - (wide - width) / 2], [0, 1, -(high - height) / 2]])
    moved = cv2.warpAffine(room, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def recorded(picture: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """As a cheap camera sends it: with noise, as a JPEG that was."""
    noisy = np.asarray(np.clip(picture + NOISE * rng.standard_normal(picture.shape, np.float32), 0, 255), np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
