"""Pure functions on pictures: scaling, mixing, blurring, compositing."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Colors, Gray, Image, Matte, size_of
from livestyle.types import Size

LARGE = 540  # rows from which on an eighth of the size tells the colours near a rim as well as a quarter
SOFT = 0.02  # mattes nearer than this to 0 and 1 are not soft
RIM = 1 / 64  # of the height: from how far around a soft pixel takes the colours of its planes
NEAR = 0.01  # share of the person around a pixel with which a colour can be told


@lru_cache(8)
def grid(size: Size) -> NDArray[np.float32]:
    """Each pixel's own place (x, y), float32 (H, W, 2)."""
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    return np.dstack([x, y])


def fit(image: Image, size: Size) -> Image:
    """Scale to a size, averaging where it shrinks to half or less: halved first, which is ten times faster."""
    width, height = size
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height and not (image.shape[0] | image.shape[1]) & 1:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    if size == size_of(image):
        return image
    shrinks = max(image.shape[1] / width, image.shape[0] / height) >= 2
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def fit_short(image: Image, side: int) -> Image:
    """Scale to a short side."""
    h, w = image.shape[:2]
    scale = side / min(h, w)
    return fit(image, (round(w * scale), round(h * scale)))


def fit_matte(matte: Matte, size: Size) -> Matte:
    """Scale a matte to a size."""
    return matte if size == size_of(matte) else np.asarray(cv2.resize(matte, size), np.float32)


def cover(image: Image, size: Size) -> Image:
    """Scale and crop the middle so that it fills a size."""
    (w, h), (width, height) = size_of(image), size
    scale = max(width / w, height / h)
    part_w, part_h = max(1, min(w, round(width / scale))), max(1, min(h, round(height / scale)))
    x, y = (w - part_w) // 2, (h - part_h) // 2
    return fit(np.ascontiguousarray(image[y : y + part_h, x : x + part_w]), size)


def at_most(size: Size, pixels: int) -> Size:
    """The size itself, or the largest of its shape with no more than so many pixels."""
    scale = min(1.0, (pixels / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def pad_to(image: Image, multiple: int) -> Image:
    """Grow to the right and down to multiples of `multiple`, reflecting (repeating where there is too little)."""
    h, w = image.shape[:2]
    bottom, right = -h % multiple, -w % multiple
    if not (bottom or right):
        return image
    border = cv2.BORDER_REFLECT_101 if min(h, w) > multiple else cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, border), np.uint8)


def composite(person: Image, scene: Image, matte: Matte) -> Image:
    """The person before the scene: exactly one of them where the matte is 1 or 0.

    Only soft places are computed, and copied in: three times faster at 720p than OpenCV's blendLinear.
    """
    levels = to_levels(matte)
    places = soft_places(levels)
    result = scene.copy()
    cv2.copyTo(person, cv2.threshold(levels, 127, 255, cv2.THRESH_BINARY)[1], result)
    alpha = matte.reshape(-1).take(places)[:, None]
    ahead, behind = (image.reshape(-1, 3).take(places, 0).astype(np.float32) for image in (person, scene))
    result.reshape(-1, 3)[places] = behind + alpha * (ahead - behind) + np.float32(0.5)
    return result


def to_levels(matte: Matte) -> NDArray[np.uint8]:
    """A matte in 0..1 in 255 steps; faster than `to_gray`, and even between them where that is not."""
    return np.asarray(cv2.convertScaleAbs(matte, alpha=255), np.uint8)


def soft_places(levels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Where a matte of levels is neither 0 nor 255, as places in the flat picture."""
    return np.flatnonzero(np.asarray(cv2.inRange(levels, 1, 254)).view(np.bool_))


def to_gray(matte: Matte) -> NDArray[np.uint8]:
    """A matte in 0..1 as 8-bit grey, rounded."""
    return np.asarray(matte * 255 + 0.5, np.uint8)


def mix(image: Image, other: Image, share: float) -> Image:
    """`share` of the other image, the rest of the first; exact at 0 and 1."""
    if share <= 0 or share >= 1:
        return other if share >= 1 else image
    return np.asarray(cv2.addWeighted(other, share, image, 1 - share, 0), np.uint8)


def keep_colors(styled: Image, image: Image) -> Image:
    """The styled luminance with the original chroma (Gatys et al. 2016, "Preserving Color")."""
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    ycc[..., 0] = cv2.cvtColor(styled, cv2.COLOR_RGB2YCrCb)[..., 0]
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.uint8)


def blur_plane(image: Image, feed: Matte, strength: float) -> Image:
    """A blurred picture that only one plane's pixels feed, so that no colour of the other bleeds into it.

    `feed` is 1 on the plane: the matte for the person, 1 - matte for the background. Strength 0..1 is a blur of up
    to a twelfth of the height.
    """
    small, near = reduced(image, feed)
    blurred, _ = plane_colors(small, near, max(0.3, strength * small.shape[0] / 12))
    return np.asarray(cv2.resize(blurred.astype(np.uint8), size_of(image), interpolation=cv2.INTER_LINEAR), np.uint8)


def reduced(image: Image, matte: Matte, factor: int = 4) -> tuple[Colors, Matte]:
    """Both at a part of the size."""
    small = max(1, image.shape[1] // factor), max(1, image.shape[0] // factor)
    return fit(image, small).astype(np.float32), fit_matte(matte, small)


def plane_colors(image: Colors, feed: Matte, sigma: float) -> tuple[Colors, Matte]:
    """The colours of one plane alone around each place, and how much of it is there, in 0..1.

    Normalised convolution (Knutsson and Westin 1993) with a Gaussian of `sigma` pixels.
    """
    # The matte's soft rim still holds the other plane's colour: stay away from it.
    weight = np.clip(2 * feed - 1, 0.0, 1.0).astype(np.float32)
    blurred = cv2.GaussianBlur(image * weight[..., None], (0, 0), sigma)
    mass = np.asarray(cv2.GaussianBlur(weight, (0, 0), sigma), np.float32)
    return np.clip(blurred / np.maximum(mass, 1e-3)[..., None], 0, 255).astype(np.float32), mass


def person_alone(image: Image, matte: Matte) -> Image:
    """The picture with the person's own colours where the matte is soft: no rim of the old background before a new one.

    Only soft pixels are touched.
    """
    where = np.flatnonzero(np.asarray(cv2.inRange(matte, SOFT, 1 - SOFT)).view(np.bool_))
    if not len(where):
        return image
    result = image.copy()
    result.reshape(-1, 3)[where] = own_colors(image, matte, where)
    return result


def person_before(image: Image, scene: Image, matte: Matte) -> Image:
    """The person of a picture before another scene, in their own colours: `composite(person_alone(...), ...)`, with
    what is soft computed once."""
    levels = to_levels(matte)
    places = soft_places(levels)
    result = scene.copy()
    cv2.copyTo(image, cv2.threshold(levels, 127, 255, cv2.THRESH_BINARY)[1], result)
    if len(places):
        alpha = matte.reshape(-1).take(places)[:, None]
        ahead, behind = own_colors(image, matte, places), scene.reshape(-1, 3).take(places, 0).astype(np.float32)
        result.reshape(-1, 3)[places] = behind + alpha * (ahead - behind) + np.float32(0.5)
    return result


def own_colors(image: Image, matte: Matte, where: NDArray[np.intp]) -> Colors:
    """The person's own colours at some places of the flat picture, (N, 3); the picture's, where they cannot be told.

    With A the matte, what is left over by A * foreground + (1 - A) * background, both blurred, is given back by A
    (Forte 2021, "Approximate Fast Foreground Colour Estimation").
    """
    small, feed = reduced(image, matte, 4 if len(image) < LARGE else 8)
    (person, near), (scene, _) = (plane_colors(small, plane, max(1.0, RIM * len(small))) for plane in (feed, 1 - feed))
    (high, wide), (h, w) = near.shape, matte.shape
    rows, columns = np.divmod(where.astype(np.int32), np.int32(w))
    places = rows * high // h * wide + columns * wide // w
    alpha, mixed = matte.reshape(-1).take(where)[:, None], image.reshape(-1, 3).take(where, 0)
    ahead, behind = (colors.reshape(-1, 3).take(places, 0) for colors in (person, scene))
    ahead += alpha * (mixed - alpha * ahead - (1 - alpha) * behind)
    known = near.reshape(-1).take(places)[:, None] > NEAR
    return np.where(known, np.clip(ahead, 0, 255), mixed).astype(np.float32, copy=False)


def grayscale(image: Image) -> Gray:
    """The picture's luma."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def input_size(size: Size, pixels: int, multiple: int) -> Size:
    """The size of about `pixels` pixels, in the shape of `size` (at most 3:1), whose sides are multiples."""
    shape = min(3.0, max(1 / 3, size[0] / size[1]))
    width, height = (pixels * shape) ** 0.5, (pixels / shape) ** 0.5
    return max(1, round(width / multiple)) * multiple, max(1, round(height / multiple)) * multiple
