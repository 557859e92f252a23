"""Augment portraits: warps, placement, light, degradation.

Chance comes from `random`, which the caller seeds.
"""

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Gray, Image, Matte
from livestyle.types import Size

Picture = NDArray[np.float32]  # (H, W, 3) RGB in 0..1


def warp(image: Image, matte: Gray, affine: NDArray[np.float64], size: Size, border: int) -> tuple[Picture, Matte]:
    """Warp an image and its matte by an affine map, with a blur against aliases where they shrink.

    Args:
        image: uint8 (H, W, 3) RGB.
        matte: uint8 (H, W).
        affine: (2, 3), from places of the image to places of the result.
        size: of the result.
        border: OpenCV's mode for what comes from outside.

    Returns:
        float32 (h, w, 3) and float32 (h, w), both in 0..1.
    """
    shrink = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if shrink < 0.7:
        blur = (0, 0), 0.4 / shrink
        image = np.asarray(cv2.GaussianBlur(image, *blur), np.uint8)
        matte = np.asarray(cv2.GaussianBlur(matte, *blur), np.uint8)
    moved = cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR, borderMode=border)
    moved_matte = cv2.warpAffine(matte, affine, size, flags=cv2.INTER_LINEAR, borderMode=border)
    return moved.astype(np.float32) / np.float32(255), moved_matte.astype(np.float32) / np.float32(255)


def placement(centre: tuple[float, float], scale: float, target: tuple[float, float]) -> NDArray[np.float64]:
    """Return the affine map that brings `centre` to `target` at a scale.

    It also tilts by a normal angle of 6 degrees, mirrors half of the time, and stretches by 5 %.

    Args:
        centre: in the image, pixels; target: in the result, pixels; scale: of the result to the image.

    Returns:
        float64 (2, 3).
    """
    angle = np.deg2rad(random.gauss(0, 6))
    flip = random.choice((-1.0, 1.0))
    squeeze = float(np.exp(random.gauss(0, 0.05)))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.diag([flip * squeeze, 1 / squeeze])
    shift = np.array(target) - linear @ np.array(centre)
    return np.column_stack([linear, shift])


def reframe(image: Image, matte: Gray, size: Size, least: float = 0.5) -> tuple[Picture, Matte]:
    """Crop a random part that fills the frame, mostly from the upper half, where heads are.

    Args:
        image: uint8 (H, W, 3) RGB.
        matte: uint8 (H, W).
        size: of the result.
        least: smallest share of the side that may remain, in 0..1.

    Returns:
        As `warp`.
    """
    (h, w), (width, height) = image.shape[:2], size
    cover = max(width / w, height / h)
    scale = cover / random.uniform(least, 1.0)
    room_x, room_y = w - width / scale, h - height / scale
    x = width / scale / 2 + random.random() * room_x
    y = height / scale / 2 + random.random() ** 2 * room_y  # mostly the upper part: heads
    return warp(image, matte, placement((x, y), scale, (width / 2, height / 2)), size, cv2.BORDER_REFLECT_101)


def seat(image: Image, matte: Gray, size: Size) -> tuple[Picture, Matte]:
    """Place the person somewhere in the frame, cut off by its lower edge, as at a desk.

    Args:
        image: uint8 (H, W, 3) RGB.
        matte: uint8 (H, W), 255 is person.
        size: of the result.

    Returns:
        As `warp`, black and 0 around the person.
    """
    (h, w), (width, height) = image.shape[:2], size
    rows, columns = np.where(matte.max(1) > 127)[0], np.where(matte.max(0) > 127)[0]
    if not len(rows):
        return warp(image, matte, placement((w / 2, h / 2), height / h, (width / 2, height / 2)), size, 0)
    top, centre = float(rows[0]), float(columns.mean())
    reach = h - top  # from the head to the lower edge
    scale = height * random.uniform(0.45, 1.5) / reach
    head = height * random.uniform(-0.05, 0.55)
    if matte[:, [0, -1]].max() > 127 and random.random() < 0.7:  # cut at a side: fill the width
        scale = max(scale, width / w)
    target = width * float(np.clip(random.gauss(0.5, 0.22), 0.0, 1.0)), head
    affine = placement((centre, top), scale, target)
    foot = min(float(affine[1] @ (x, h, 1)) for x in columns[[0, -1]])
    affine[1, 2] += max(0.0, height * 1.02 - foot)  # the picture's own lower edge stays outside the frame
    return warp(image, matte, affine, size, cv2.BORDER_CONSTANT)


def relight(image: Picture) -> Picture:
    """Change exposure, gamma, contrast, saturation and colour of light.

    Args:
        image: float32 (H, W, 3) in 0..1.

    Returns:
        float32 (H, W, 3), not clipped.
    """
    gray = image.mean(2, keepdims=True)
    image = gray + (image - gray) * random.uniform(0.4, 1.4)
    image = np.asarray(cv2.pow(np.clip(image, 0, 1), float(np.exp(random.gauss(0, 0.3)))), np.float32)
    tint = np.array([np.exp(random.gauss(0, 0.07)) for _ in range(3)], np.float32)
    return np.asarray((image - 0.5) * random.uniform(0.7, 1.2) + 0.5 + random.gauss(0, 0.06), np.float32) * tint


def to_bytes(image: Picture) -> Image:
    """Clip and round to uint8, as a camera does."""
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)


def degrade(image: Picture) -> Image:
    """Add what a cheap camera adds: bad light, blur, noise, JPEG artefacts.

    Args:
        image: float32 (H, W, 3) in 0..1.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    image = relight(image)
    if random.random() < 0.15:  # evening
        image = image * random.uniform(0.2, 0.6)
    if random.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.6)).astype(np.float32)
    elif random.random() < 0.1:  # motion
        length = random.randint(3, 9)
        image = cv2.blur(image, (length, 1) if random.random() < 0.7 else (1, length)).astype(np.float32)
    if random.random() < 0.4:
        sigma = random.uniform(0.005, 0.06)
        noise = np.random.default_rng(random.getrandbits(32)).standard_normal(image.shape, np.float32)
        image = image + sigma * noise
    out = to_bytes(image)
    if random.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, random.randint(25, 95)]
        out = np.asarray(cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_UNCHANGED), np.uint8)
    return out
