"""The filter with its pixels on a device of PyTorch's: a frame goes up once, its picture comes down once.

Beside them only small things travel: the matte at its net's size and a picture at a third of the size at which styles
paint come down, for optical flow, trust and smoothing, which stay on the CPU; what those find goes up.

The functions are twins of those of `image` and `segment`, to a level or two. Pictures are float32 (1, 3, H, W) RGB in
0..255, mattes (1, 1, H, W) in 0..1, of one device. Nets compute in half precision on a GPU, two styles one after the
other: each fills the device by itself. What must be CUDA is in `Link` and `Graph` alone.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from livestyle.engine import Net, TorchNet
from livestyle.image import LARGE, NEAR, RIM, Frame, Image, Matte
from livestyle.image import size_of as size_of_image
from livestyle.look import Look, Plane
from livestyle.meter import Meter
from livestyle.planes import painted_at
from livestyle.segment import GUIDED, RADIUS, SURE, CardSegmenter, Matting
from livestyle.settings import Quality, Size
from livestyle.steady import Glimpse, Watcher
from livestyle.stylize import Stylizer

KINDS = {"none", "color", "image", "blur", "style"}  # looks that are rendered here
KEPT = 4  # programs that stay ready
AFTER = 3  # frames of one program before it is recorded
Tensors = dict[str, Tensor]
Function = Callable[[Tensors], Tensors]


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
    image = image if min(image.shape[2:]) > 16 else padded(image, 32)
    return rounded(through(style.net, image)[..., :height, :width].clamp(0, 1) * 255)


class Link:
    """The way to a device and back; on CUDA through pinned memory, without waiting on the way up.

    Its owner waits for one frame (`down`) before it sends another one up, so that what is sent is never overwritten.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self._is_cuda = device, device.type == "cuda"
        self._sent: Tensors = {}

    def up(self, name: str, array: NDArray[Any]) -> Tensor:
        """An array on the device; good until another one of that name."""
        sent = self._sent.get(name)
        if sent is None or tuple(sent.shape) != array.shape:
            kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
            sent = self._sent[name] = torch.empty(array.shape, dtype=kind, pin_memory=self._is_cuda)
        np.copyto(sent.numpy(), array)
        return sent.to(self.device, non_blocking=self._is_cuda)

    def down(self, tensors: list[Tensor]) -> list[NDArray[Any]]:
        """Tensors as arrays of the caller's own, after all that was asked of the device before."""
        here = [torch.empty(t.shape, dtype=t.dtype, pin_memory=self._is_cuda) for t in tensors]
        for target, tensor in zip(here, tensors, strict=True):
            target.copy_(tensor, non_blocking=self._is_cuda)
        if self._is_cuda:
            torch.cuda.current_stream(self.device).synchronize()
        return [target.numpy() for target in here]


class Graph:
    """A function's kernels recorded once, then launched as one (CUDA graph); from any thread, one at a time.

    Args:
        function: of named tensors, with no choice that depends on their values; example: such tensors, kept.
    """

    _turn = threading.Lock()  # of recording: one at a time in a process

    def __init__(self, function: Function, example: Tensors, device: torch.device) -> None:
        self._given = example
        self._constants: list[Tensor] = []
        with self._turn, torch.inference_mode(), torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries choose their kernels and make their workspaces before it is recorded
                    function(example)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            # Frames go on meanwhile, from another thread: what that does must not spoil the recording.
            used.by = self._constants
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._made = function(example)
            used.by = None
            torch.cuda.synchronize()

    def takes(self, given: Tensors) -> bool:
        """Whether it was recorded for tensors of these names."""
        return given.keys() == self._given.keys()

    def __call__(self, given: Tensors) -> Tensors:
        """What the function makes of them; good until the next call."""
        for name, tensor in given.items():
            self._given[name].copy_(tensor, non_blocking=True)
        self._graph.replay()
        return dict(self._made)


class Recorded:
    """A function of named tensors; on CUDA recorded aside after its first runs, and launched as one from then on.

    Args:
        pool: where it is recorded. Where that fails, the function goes on as it was.
    """

    def __init__(self, function: Function, device: torch.device, pool: ThreadPoolExecutor) -> None:
        self._function, self._device, self._pool = function, device, pool
        self._names: frozenset[str] = frozenset()
        self._runs = 0
        self.graph: Future[Graph] | None = None

    def __call__(self, given: Tensors) -> Tensors:
        graph = self.graph.result() if self.is_recorded and self.graph else None
        if graph and graph.takes(given):
            return graph(given)
        made = self._function(given)
        if self._device.type == "cuda" and self.graph is None:
            self._count(given)
        return made

    @property
    def is_recorded(self) -> bool:
        """Whether a recording stands in for the function."""
        return self.graph is not None and self.graph.done() and self.graph.exception() is None

    def _count(self, given: Tensors) -> None:
        self._runs = self._runs + 1 if self._names == given.keys() else 1
        self._names = frozenset(given)
        if self._runs == AFTER:
            example = {name: tensor.clone() for name, tensor in given.items()}
            self.graph = self._pool.submit(Graph, self._function, example, self._device)


class Program:
    """How frames of one size become pictures of one look, in two parts: before and after the small things are known.

    Args:
        painted: the size at which styles paint; segmenter: None where the look needs no matte.
        styles: by name; pictures: of the look, by path, (1, 3, H, W) of the frames' size; steadied: over time.
        epsilon: of the guided filter.
    """

    def __init__(
        self, look: Look, painted: Size, segmenter: CardSegmenter | None, styles: dict[str, Stylizer],
        pictures: Tensors, steadied: bool, epsilon: float, record: Callable[[Function], Recorded],
    ) -> None:  # fmt: skip
        self._look, self.painted, self._segmenter, self._styles = look, painted, segmenter, styles
        self._pictures, self._steadied, self._epsilon = pictures, steadied, epsilon
        self.begin, self.finish = record(self._begin), record(self._finish)
        self.names = {"calm", *styles}  # of what it remembers from frame to frame

    def _begin(self, given: Tensors) -> Tensors:
        """From the "frame", uint8 (H, W, 3): "image", "feed" for styles; "third" of that; "gray", "small", "matte"."""
        image = as_picture(given["frame"])
        made = {"image": image}
        if self._styles:
            made["feed"] = fit(image, self.painted)
            if self._steadied:
                made["third"] = as_bytes(third(made["feed"]))
        if self._segmenter:
            made["gray"], made["matte"] = grayscale(image), segmented(self._segmenter, image)
            made["small"] = as_bytes(fit(made["gray"], size_of(made["matte"])))
        return made

    def _finish(self, given: Tensors) -> Tensors:
        """From that, the steadied "matte" and "maps" (1, 4, h, w), and what was remembered: the same anew, "picture"
        uint8 (H, W, 3), "cut" the matte at its size.

        Maps are the flow, in pixels of what is painted, trust, and how much of the pictures before is to be kept.
        """
        look, image, made = self._look, given["image"], self._paint(given) if self._styles else {}
        painted = {style: fit(rounded(made[style]), size_of(image)) for style in self._styles}
        if "matte" not in given:
            whole = self._render(look.background, look.background_strength, image, painted, image)
            return made | {"picture": as_bytes(whole)}
        matte = refine(given["matte"], given["gray"], as_picture(given["small"]), self._epsilon)
        scene = self._render(look.background, look.background_strength, image, painted, 1 - matte)
        person = self._render(look.person, look.person_strength, image, painted, matte)
        put = person_before if person is image and scene is not image else composite
        return made | {"picture": as_bytes(put(person, scene, matte)), "cut": matte}

    def _paint(self, given: Tensors) -> Tensors:
        """Each style's painting, steadied, and "calm", the picture without its noise."""
        feed = given["feed"]
        if "maps" not in given:
            return {name: stylized(style, feed) for name, style in self._styles.items()}
        maps = linear(given["maps"], self.painted)
        flow, trust, keep = maps[:, :2], maps[:, 2:3], maps[:, 3:]
        made = {"calm": feed + keep * (given.get("calm", feed) - feed)}
        for name, style in self._styles.items():
            now = stylized(style, rounded(made["calm"]))
            made[name] = now + trust * (brought(given[name], flow) - now) if name in given else now
        return made

    def _render(self, plane: Plane, strength: float, image: Tensor, painted: Tensors, feed: Tensor) -> Tensor:
        """One plane, over the whole frame; `feed` is 1 on the plane."""
        if plane.kind == "none":
            return image
        if plane.kind == "color":
            return torch.cat([torch.full_like(feed[:, :1], value) for value in plane.color], 1)
        if plane.kind == "image":
            return self._pictures[plane.path]
        if plane.kind == "blur":
            return mix(image, blur_plane(image, feed, plane.amount), strength)
        first, *others = (painted[style] for style, _ in plane.styles)
        styled = mix(first, others[0], plane.styles[1][1]) if others else first
        return mix(image, keep_colors(styled, image) if self._look.keep_colors else styled, strength)


class Resident:
    """Renders frames on a device; owns the programs of the last looks and sizes, and what was painted before.

    Args:
        styles: a style made ready; picture: of a path, at a size.
        steadied: over time; else each picture stands alone.

    Raises:
        RuntimeError: when called; of the device (torch.OutOfMemoryError is one), or of a matte that is none. Nothing
            of such a frame is remembered.
    """

    def __init__(
        self, device: str, styles: Callable[[str], Stylizer], picture: Callable[[str, Size], Image], meter: Meter,
        steadied: bool,
    ) -> None:  # fmt: skip
        self._link, self._styles, self._picture, self._meter = Link(torch.device(device)), styles, picture, meter
        self._watcher = Watcher() if steadied else None
        self._pool = ThreadPoolExecutor(1, "record")
        self._programs: OrderedDict[object, Program] = OrderedDict()
        self._step, self._last = 0, 0  # the number of this frame, and of the one that is remembered
        self._memory: Tensors = {}
        self._cut: tuple[Frame, Tensor] | None = None  # the frame rendered last, and its matte

    def takes(self, look: Look, matting: Matting) -> bool:
        """Whether it can render a look, with such mattes, and there is something to do."""
        kinds = {look.background.kind, look.person.kind}
        if look.bypass or kinds == {"none"} or not kinds <= KINDS:
            return False
        ours = isinstance(matting.segmenter, CardSegmenter) and matting.refinement is GUIDED
        return look.is_whole or ours

    @torch.inference_mode()
    def __call__(self, frame: Frame, look: Look, matting: Matting, quality: Quality) -> Image:
        """The finished picture, of the frame's size, its memory the caller's own."""
        self._cut, self._step = None, self._step + 1
        program = self._program(look, size_of_image(frame.image), matting, quality)
        with self._meter.stage("segment"):  # with the way up, and what else comes before the styles
            made = program.begin({"frame": self._link.up("frame", frame.image)})
            names = [name for name in ("third", "small", "matte") if name in made]
            small = dict(zip(names, self._link.down([made[name] for name in names]) if names else [], strict=True))
        with self._meter.stage("stylize"):  # with compositing behind it, and the way down
            made |= self._steadied(small, frame, matting, program)
            made = program.finish(made)
            (picture,) = self._link.down([made["picture"]])
        self._memory, self._last = {name: made[name] for name in program.names & made.keys()}, self._step
        self._cut = (frame, made["cut"]) if "cut" in made else None
        self._meter.runs["cut out"] += "cut" in made
        self._meter.runs["painted"] += bool(look.styled_planes)
        self._meter.areas.extend([1.0] * len(look.styled_planes))
        return cast(Image, picture)

    @torch.inference_mode()
    def matte(self, frame: Frame) -> Matte | None:
        """The matte of the frame rendered last, if this is that and it had one."""
        if self._cut is None or self._cut[0] is not frame:
            return None
        (matte,) = self._link.down([self._cut[1]])
        return cast(Matte, matte[0, 0])

    def settle(self) -> bool:
        """Wait for what is recorded aside; whether frames of the look and size rendered last are launched from CUDA
        graphs by now."""
        parts = [part for program in self._programs.values() for part in (program.begin, program.finish)]
        wait([part.graph for part in parts if part.graph])
        return bool(parts) and all(part.is_recorded for part in parts[-2:])

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    def _program(self, look: Look, size: Size, matting: Matting, quality: Quality) -> Program:
        key = look, size, painted_at(quality, size), quality.precision, id(matting.segmenter)
        if key not in self._programs:
            self._programs[key] = self._written(look, size, matting, quality)
            if len(self._programs) > KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]

    def _written(self, look: Look, size: Size, matting: Matting, quality: Quality) -> Program:
        paths = {plane.path for plane in (look.background, look.person) if plane.kind == "image"}
        pictures = {path: as_picture(self._link.up("picture", self._picture(path, size)).clone()) for path in paths}
        styles = {style: self._styles(style) for style in look.styled_planes}
        segmenter = None if look.is_whole else cast(CardSegmenter, matting.segmenter)
        return Program(
            look, painted_at(quality, size), segmenter, styles, pictures, self._watcher is not None, matting.epsilon,
            lambda function: Recorded(function, self._link.device, self._pool),
        )  # fmt: skip

    def _steadied(self, small: dict[str, NDArray[Any]], frame: Frame, matting: Matting, program: Program) -> Tensors:
        """What the small things tell, on the device, and what is remembered of the frame before."""
        found: Tensors = {}
        if "third" in small and self._watcher:
            seen, shape = self._watcher.glimpse(small["third"], frame.time), small["third"].shape[:2]
            maps = as_maps(seen, shape, program.painted)
            found["maps"] = self._link.up("maps", maps)
            if self._last == self._step - 1:
                found |= {
                    name: linear(self._memory[name], program.painted) for name in program.names & self._memory.keys()
                }
        if "matte" in small:
            matte = matting.steadied(small["matte"][0, 0], small["small"][..., 0], frame.time)
            found["matte"] = self._link.up("matte", matte[None, None])
        return found


def as_maps(seen: Glimpse | None, shape: tuple[int, int], painted: Size) -> NDArray[np.float32]:
    """A glimpse as maps (1, 4, h, w), all 0 where nothing is remembered."""
    maps = np.zeros((1, 4, *shape), np.float32)
    if seen:
        for axis in (0, 1):
            maps[0, axis] = seen.flow[..., axis] * (painted[axis] / shape[1 - axis])
        maps[0, 2] = seen.trust
        maps[0, 3] = 0 if seen.keep is None else seen.keep
    return maps
