"""Pure functions on pictures on a PyTorch device, equal to those of the CPU to a level or two.

Pictures are float32 (1, 3, H, W) RGB in 0..255. Mattes are float32 (1, 1, H, W) in 0..1. All are on one device.
"""

import threading
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.image.pixels import (
    FLAT_VARIANCE,
    LARGE_HEIGHT_PX,
    MIN_PERSON_SHARE,
    RIM_SHARE,
    STROKE_SHARE,
    stroke_window,
)
from livestyle.matting.refine import CERTAIN_MARGIN, RADIUS_SHARE
from livestyle.matting.segmenter import CardSegmenter
from livestyle.nets.engine import Net
from livestyle.nets.torch_net import TorchNet
from livestyle.render.stylizer import MIN_SIDE_PX, Stylizer
from livestyle.types import Size


class ConstantsInUse(threading.local):
    """The constants that a thread uses, if `by` is a list. A recording needs them for as long as it is launched."""

    by: list[Tensor] | None = None

    def __call__(self, constant: Tensor) -> Tensor:
        if self.by is not None:
            self.by.append(constant)
        return constant


in_use = ConstantsInUse()


def size_of(image: Tensor) -> Size:
    """Return the width and height."""
    return image.shape[3], image.shape[2]


def rounded(image: Tensor) -> Tensor:
    """Return whole levels, halves rounded up as OpenCV does."""
    return (image + 0.5).floor()


def as_picture(data: Tensor) -> Tensor:
    """Return uint8 (H, W, C) as a picture."""
    return data.permute(2, 0, 1)[None].float()


def as_bytes(image: Tensor) -> Tensor:
    """Return a picture as uint8 (H, W, C), rounded."""
    return rounded(image).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()


@lru_cache(256)
def blur_matrix(length: int, kernel: tuple[float, ...], device: torch.device) -> Tensor:
    """Return the (length, length) matrix that blurs a column.

    OpenCV blurs the identity matrix, so that its border is treated as OpenCV does.
    """
    blurred = cv2.sepFilter2D(np.eye(length, dtype=np.float32), cv2.CV_32F, np.ones(1), np.array(kernel))
    return torch.from_numpy(np.ascontiguousarray(blurred)).to(device)


@lru_cache(256)
def area_matrix(length: int, to: int, device: torch.device) -> Tensor:
    """Return the (to, length) matrix that averages a column down as OpenCV's INTER_AREA does."""
    shrunk = cv2.resize(np.eye(length, dtype=np.float32), (length, to), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(shrunk.reshape(to, length)).to(device)


def blur(image: Tensor, kernel: tuple[float, ...]) -> Tensor:
    """Convolve a picture with a kernel along both axes."""
    rows, columns = (in_use(blur_matrix(length, kernel, image.device)) for length in image.shape[2:])
    return rows @ image @ columns.T


def gaussian(sigma: float) -> tuple[float, ...]:
    """Return the kernel that OpenCV takes for float pictures."""
    return tuple(cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma).ravel().tolist())


def linear(image: Tensor, size: Size) -> Tensor:
    """Scale a picture to a size, bilinear."""
    return image if size == size_of(image) else F.interpolate(image, size[::-1], mode="bilinear", align_corners=False)


def area(image: Tensor, size: Size) -> Tensor:
    """Scale a picture down to a size, averaging."""
    width, height = size_of(image)
    if (width, height) == (2 * size[0], 2 * size[1]):
        return F.avg_pool2d(image, 2)
    rows, columns = (
        in_use(area_matrix(height, size[1], image.device)),
        in_use(area_matrix(width, size[0], image.device)),
    )
    return rows @ image @ columns.T


def fit(image: Tensor, size: Size) -> Tensor:
    """Do as `pixels.fit`."""
    while image.shape[3] >= 2 * size[0] and image.shape[2] >= 2 * size[1] and not (image.shape[2] | image.shape[3]) & 1:
        image = rounded(F.avg_pool2d(image, 2))
    width, height = size_of(image)
    if size == (width, height):
        return image
    return rounded((area if max(width / size[0], height / size[1]) >= 2 else linear)(image, size))


def third(image: Tensor) -> Tensor:
    """Do as `temporal.third`."""
    half, size = (tuple(max(1, side // part) for side in size_of(image)) for part in (2, 3))
    return linear(rounded(area(image, cast(Size, half))), cast(Size, size))


def padded(image: Tensor, multiple: int) -> Tensor:
    """Do as `pixels.pad_to`."""
    bottom, right = (-side % multiple for side in image.shape[2:])
    if not (bottom or right):
        return image
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if min(image.shape[2:]) > multiple else "replicate")


def filled(like: Tensor, color: tuple[int, int, int]) -> Tensor:
    """Return a picture of one colour (RGB in 0..255), of the size of another."""
    return torch.cat([torch.full_like(like[:, :1], value) for value in color], 1)


def grayscale(image: Tensor) -> Tensor:
    """Return the picture's luma, (1, 1, H, W) in whole levels."""
    return rounded(0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:])


def mix(image: Tensor, other: Tensor, share: float) -> Tensor:
    """Do as `pixels.mix`, not rounded."""
    if share <= 0 or share >= 1:
        return other if share >= 1 else image
    return image + share * (other - image)


def keep_colors(styled: Tensor, image: Tensor) -> Tensor:
    """Do as `pixels.keep_colors`."""
    return with_luma(grayscale(styled), image)


def recolor(styled: Tensor, image: Tensor) -> Tensor:
    """Do as `pixels.recolor`."""
    luma, size = grayscale(styled), size_of(image)
    half = max(1, size[0] // 2), max(1, size[1] // 2)
    painted, guide = (rounded(area(plane, half)) for plane in (luma, grayscale(image)))
    small = max(1, half[0] // 2), max(1, half[1] // 2)
    near, near_guide = area(painted, small), area(guide, small)
    width = stroke_window(small)
    box = (1 / width,) * width
    mean, mean_guide = blur(near, box), blur(near_guide, box)
    slope = blur(near * near_guide, box) - mean * mean_guide
    slope = slope / (blur(near_guide * near_guide, box) - mean_guide * mean_guide + FLAT_VARIANCE)
    calm = linear(blur(slope, box), half) * guide + linear(blur(mean - slope * mean_guide, box), half)
    change = rounded((1 - STROKE_SHARE) * (calm - painted)).clamp(-128, 127)
    return with_luma((luma + rounded(linear(change, size))).clamp(0, 255), image)


def with_luma(luma: Tensor, image: Tensor) -> Tensor:
    """Return a picture with another luma, (1, 1, H, W), and its own chroma."""
    own = grayscale(image)
    red = rounded((image[:, :1] - own) * 0.713)
    blue = rounded((image[:, 2:] - own) * 0.564)
    return torch.cat([luma + 1.403 * red, luma - 0.714 * red - 0.344 * blue, luma + 1.773 * blue], 1).clamp(0, 255)


def refine(matte: Tensor, gray: Tensor, small: Tensor, epsilon: float) -> Tensor:
    """Do as `matting.refine.refine`; `small` is the grey picture at the matte's size."""
    width = 2 * max(1, round(RADIUS_SHARE * min(matte.shape[2:]))) + 1
    box = (1 / width,) * width
    mean_gray, mean_matte = blur(small, box), blur(matte, box)
    slope = blur(small * matte, box) - mean_gray * mean_matte
    slope = slope / (blur(small * small, box) - mean_gray * mean_gray + epsilon * 255**2)
    gain = 1 / (1 - 2 * CERTAIN_MARGIN)
    offset = (blur(mean_matte - slope * mean_gray, box) - CERTAIN_MARGIN) * gain
    size = size_of(gray)
    return (gray * linear(blur(slope, box) * gain, size) + linear(offset, size)).clamp(0, 1)


def plane_colors(image: Tensor, plane: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Do as `pixels.plane_colors`."""
    weight, kernel = (2 * plane - 1).clamp(0, 1), gaussian(sigma)
    mass = blur(weight, kernel)
    return (blur(image * weight, kernel) / mass.clamp(min=1e-3)).clamp(0, 255), mass


def reduced(image: Tensor, matte: Tensor, factor: int = 4) -> tuple[Tensor, Tensor]:
    """Do as `pixels.reduced`."""
    width, height = (max(1, side // factor) for side in size_of(image))
    return fit(image, (width, height)), linear(matte, (width, height))


def blur_plane(image: Tensor, plane: Tensor, strength: float) -> Tensor:
    """Do as `pixels.blur_plane`."""
    small, near = reduced(image, plane)
    blurred, _ = plane_colors(small, near, max(0.3, strength * small.shape[2] / 12))
    return rounded(linear(blurred.floor(), size_of(image)))


def foreground_colors(image: Tensor, matte: Tensor) -> Tensor:
    """Do as `pixels.foreground_colors`, for all pixels."""
    small, near_matte = reduced(image, matte, 4 if image.shape[2] < LARGE_HEIGHT_PX else 8)
    sigma = max(1.0, RIM_SHARE * small.shape[2])
    (person, near), (scene, _) = (plane_colors(small, plane, sigma) for plane in (near_matte, 1 - near_matte))
    spread = F.interpolate(torch.cat([person, scene, near], 1), image.shape[2:], mode="nearest")
    ahead, behind, known = spread[:, :3], spread[:, 3:6], spread[:, 6:]
    ahead = ahead + matte * (image - matte * ahead - (1 - matte) * behind)
    return torch.where(known > MIN_PERSON_SHARE, ahead.clamp(0, 255), image)


def hardened(matte: Tensor) -> Tensor:
    """Return a matte, exactly 0 or 1 where it is within half a level of that."""
    return torch.where(matte * 255 <= 0.5, 0.0, torch.where(matte * 255 >= 254.5, 1.0, matte))


def composite(person: Tensor, scene: Tensor, matte: Tensor) -> Tensor:
    """Do as `pixels.composite`, not rounded."""
    return scene + hardened(matte) * (person - scene)


def composite_foreground(image: Tensor, scene: Tensor, matte: Tensor) -> Tensor:
    """Do as `pixels.composite_foreground`, not rounded."""
    return composite(torch.where(hardened(matte) == 1, image, foreground_colors(image, matte)), scene, matte)


@lru_cache(16)
def pixel_grid(size: Size, device: torch.device) -> Tensor:
    """Return each pixel's own place (x, y), (1, 2, H, W)."""
    x, y = (torch.arange(length, dtype=torch.float32, device=device) for length in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Return the values at the places that a flow points back to; outside of the picture, those of its border.

    Places are clamped to the border instead of padding with it, which not every device can do.

    Args:
        image: (1, C, H, W); flow: (1, 2, H, W) in pixels.
    """
    places = in_use(pixel_grid(size_of(image), image.device)) + flow
    steps = [2 / max(1, length - 1) for length in size_of(image)]
    grid = torch.stack([places[:, axis] * steps[axis] - 1 for axis in (0, 1)], -1).clamp(-1, 1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def run_net(net: Net, image: Tensor) -> Tensor:
    """Return the raw output of a PyTorch network for a picture, float32."""
    module = cast(TorchNet, net).module
    images = (image / 255).to(next(module.parameters()).dtype)
    result: Tensor = module.net(images.contiguous(memory_format=torch.channels_last)).float()
    return result


def segment(segmenter: CardSegmenter, image: Tensor) -> Tensor:
    """Return the matte at the size that the segmenter's network takes."""
    width, height = segmenter.size(size_of(image))
    scores = run_net(segmenter.net, padded(fit(image, (width, height)), segmenter.card.multiple))
    return torch.sigmoid(scores)[:, :1, :height, :width].contiguous()


def stylize(style: Stylizer, image: Tensor) -> Tensor:
    """Return the painting of a picture, in whole levels."""
    width, height = size_of(image)
    image = padded(image, style.multiple)
    image = image if min(image.shape[2:]) >= MIN_SIDE_PX else padded(image, MIN_SIDE_PX)
    return rounded(run_net(style.net, image)[..., :height, :width].clamp(0, 1) * 255)
