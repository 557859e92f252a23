"""Pure functions on pictures that lie on a device of PyTorch's: twins of those of `image`, `steady` and `segment`, to a
level or two.

Pictures are float32 (1, 3, H, W) RGB in 0..255, mattes (1, 1, H, W) in 0..1, of one device.
"""

import threading
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.image.pixels import LARGE, NEAR, RIM
from livestyle.matting.refine import RADIUS, SURE
from livestyle.matting.segmenter import CardSegmenter
from livestyle.nets.engine import Net
from livestyle.nets.torch_net import TorchNet
from livestyle.render.stylizer import LEAST, Stylizer
from livestyle.types import Size


class Used(threading.local):
    """The constants that a thread uses, where `by` is a list: a recording needs them for as long as it is played."""

    by: list[Tensor] | None = None

    def __call__(self, constant: Tensor) -> Tensor:
        if self.by is not None:
            self.by.append(constant)
        return constant


used = Used()


def size_of(image: Tensor) -> Size:
    """Width and height."""
    return image.shape[3], image.shape[2]


def rounded(image: Tensor) -> Tensor:
    """To whole levels, halves up as OpenCV does."""
    return (image + 0.5).floor()


def as_picture(data: Tensor) -> Tensor:
    """uint8 (H, W, C) as a picture."""
    return data.permute(2, 0, 1)[None].float()


def as_bytes(image: Tensor) -> Tensor:
    """A picture as uint8 (H, W, C), rounded."""
    return rounded(image).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()


@lru_cache(256)
def blurring(length: int, kernel: tuple[float, ...], device: torch.device) -> Tensor:
    """The (length, length) matrix that blurs a column: OpenCV's own, border and all, since it blurs the identity."""
    blurred = cv2.sepFilter2D(np.eye(length, dtype=np.float32), cv2.CV_32F, np.ones(1), np.array(kernel))
    return torch.from_numpy(np.ascontiguousarray(blurred)).to(device)


@lru_cache(256)
def shrinking(length: int, to: int, device: torch.device) -> Tensor:
    """The (to, length) matrix that averages a column down: OpenCV's INTER_AREA."""
    shrunk = cv2.resize(np.eye(length, dtype=np.float32), (length, to), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(shrunk.reshape(to, length)).to(device)


def blur(image: Tensor, kernel: tuple[float, ...]) -> Tensor:
    """Convolve with a kernel along both sides."""
    rows, columns = (used(blurring(length, kernel, image.device)) for length in image.shape[2:])
    return rows @ image @ columns.T


def gaussian(sigma: float) -> tuple[float, ...]:
    """The kernel that OpenCV takes for pictures of floats."""
    return tuple(cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma).ravel().tolist())


def linear(image: Tensor, size: Size) -> Tensor:
    """Scale to a size, bilinear."""
    return image if size == size_of(image) else F.interpolate(image, size[::-1], mode="bilinear", align_corners=False)


def area(image: Tensor, size: Size) -> Tensor:
    """Scale down to a size, averaging."""
    width, height = size_of(image)
    if (width, height) == (2 * size[0], 2 * size[1]):
        return F.avg_pool2d(image, 2)
    rows, columns = used(shrinking(height, size[1], image.device)), used(shrinking(width, size[0], image.device))
    return rows @ image @ columns.T


def fit(image: Tensor, size: Size) -> Tensor:
    """As `image.fit`."""
    while image.shape[3] >= 2 * size[0] and image.shape[2] >= 2 * size[1] and not (image.shape[2] | image.shape[3]) & 1:
        image = rounded(F.avg_pool2d(image, 2))
    width, height = size_of(image)
    if size == (width, height):
        return image
    return rounded((area if max(width / size[0], height / size[1]) >= 2 else linear)(image, size))


def third(image: Tensor) -> Tensor:
    """As `steady.third`."""
    half, size = (tuple(max(1, side // part) for side in size_of(image)) for part in (2, 3))
    return linear(rounded(area(image, cast(Size, half))), cast(Size, size))


def padded(image: Tensor, multiple: int) -> Tensor:
    """As `image.pad_to`."""
    bottom, right = (-side % multiple for side in image.shape[2:])
    if not (bottom or right):
        return image
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if min(image.shape[2:]) > multiple else "replicate")


def filled(like: Tensor, color: tuple[int, int, int]) -> Tensor:
    """Return a picture of one colour (RGB in 0..255), of the size of another."""
    return torch.cat([torch.full_like(like[:, :1], value) for value in color], 1)


def grayscale(image: Tensor) -> Tensor:
    """The picture's luma, in whole levels."""
    return rounded(0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:])


def mix(image: Tensor, other: Tensor, share: float) -> Tensor:
    """As `image.mix`, not rounded."""
    if share <= 0 or share >= 1:
        return other if share >= 1 else image
    return image + share * (other - image)


def keep_colors(styled: Tensor, image: Tensor) -> Tensor:
    """As `image.keep_colors`."""
    luma, own = grayscale(styled), grayscale(image)
    red = rounded((image[:, :1] - own) * 0.713)
    blue = rounded((image[:, 2:] - own) * 0.564)
    return torch.cat([luma + 1.403 * red, luma - 0.714 * red - 0.344 * blue, luma + 1.773 * blue], 1).clamp(0, 255)


def refine(matte: Tensor, gray: Tensor, small: Tensor, epsilon: float) -> Tensor:
    """As `segment.refine`; `small` is the grey picture at the matte's size."""
    width = 2 * max(1, round(RADIUS * min(matte.shape[2:]))) + 1
    box = (1 / width,) * width
    mean_gray, mean_matte = blur(small, box), blur(matte, box)
    slope = blur(small * matte, box) - mean_gray * mean_matte
    slope = slope / (blur(small * small, box) - mean_gray * mean_gray + epsilon * 255**2)
    gain = 1 / (1 - 2 * SURE)
    offset = (blur(mean_matte - slope * mean_gray, box) - SURE) * gain
    size = size_of(gray)
    return (gray * linear(blur(slope, box) * gain, size) + linear(offset, size)).clamp(0, 1)


def plane_colors(image: Tensor, feed: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """As `image.plane_colors`."""
    weight, kernel = (2 * feed - 1).clamp(0, 1), gaussian(sigma)
    mass = blur(weight, kernel)
    return (blur(image * weight, kernel) / mass.clamp(min=1e-3)).clamp(0, 255), mass


def reduced(image: Tensor, matte: Tensor, factor: int = 4) -> tuple[Tensor, Tensor]:
    """As `image.reduced`."""
    width, height = (max(1, side // factor) for side in size_of(image))
    return fit(image, (width, height)), linear(matte, (width, height))


def blur_plane(image: Tensor, feed: Tensor, strength: float) -> Tensor:
    """As `image.blur_plane`."""
    small, near = reduced(image, feed)
    blurred, _ = plane_colors(small, near, max(0.3, strength * small.shape[2] / 12))
    return rounded(linear(blurred.floor(), size_of(image)))


def own_colors(image: Tensor, matte: Tensor) -> Tensor:
    """As `image.own_colors`, everywhere."""
    small, feed = reduced(image, matte, 4 if image.shape[2] < LARGE else 8)
    sigma = max(1.0, RIM * small.shape[2])
    (person, near), (scene, _) = (plane_colors(small, plane, sigma) for plane in (feed, 1 - feed))
    spread = F.interpolate(torch.cat([person, scene, near], 1), image.shape[2:], mode="nearest")
    ahead, behind, known = spread[:, :3], spread[:, 3:6], spread[:, 6:]
    ahead = ahead + matte * (image - matte * ahead - (1 - matte) * behind)
    return torch.where(known > NEAR, ahead.clamp(0, 255), image)


def hardened(matte: Tensor) -> Tensor:
    """Exactly 0 or 1 where it is within half a level of that."""
    return torch.where(matte * 255 <= 0.5, 0.0, torch.where(matte * 255 >= 254.5, 1.0, matte))


def composite(person: Tensor, scene: Tensor, matte: Tensor) -> Tensor:
    """As `image.composite`, not rounded."""
    return scene + hardened(matte) * (person - scene)


def person_before(image: Tensor, scene: Tensor, matte: Tensor) -> Tensor:
    """As `image.person_before`, not rounded."""
    return composite(torch.where(hardened(matte) == 1, image, own_colors(image, matte)), scene, matte)


@lru_cache(16)
def own_places(size: Size, device: torch.device) -> Tensor:
    """Each pixel's own place (x, y), (1, 2, H, W)."""
    x, y = (torch.arange(length, dtype=torch.float32, device=device) for length in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def brought(image: Tensor, flow: Tensor) -> Tensor:
    """The values that were where a flow (1, 2, H, W), in pixels, points back to; of the border where that is outside.

    Places are cut off at the border, where zeros beyond it weigh nothing: not every device knows its repetition.
    """
    places = used(own_places(size_of(image), image.device)) + flow
    steps = [2 / max(1, length - 1) for length in size_of(image)]
    grid = torch.stack([places[:, axis] * steps[axis] - 1 for axis in (0, 1)], -1).clamp(-1, 1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def through(net: Net, image: Tensor) -> Tensor:
    """What a net of PyTorch's makes of a picture, float32, before its door."""
    module = cast(TorchNet, net).module
    images = (image / 255).to(next(module.parameters()).dtype)
    result: Tensor = module.net(images.contiguous(memory_format=torch.channels_last)).float()
    return result


def segmented(segmenter: CardSegmenter, image: Tensor) -> Tensor:
    """The matte, at the size that the net takes."""
    width, height = segmenter.size(size_of(image))
    scores = through(segmenter.net, padded(fit(image, (width, height)), segmenter.card.multiple))
    return torch.sigmoid(scores)[:, :1, :height, :width].contiguous()


def stylized(style: Stylizer, image: Tensor) -> Tensor:
    """The picture painted, in whole levels."""
    width, height = size_of(image)
    image = padded(image, style.multiple)
    image = image if min(image.shape[2:]) >= LEAST else padded(image, LEAST)
    return rounded(through(style.net, image)[..., :height, :width].clamp(0, 1) * 255)
