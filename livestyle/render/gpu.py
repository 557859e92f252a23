"""The filter with its pixels on a device of PyTorch's: a frame goes up once, its picture comes down once.

Beside them only small things travel: the matte at its net's size and a picture at a third of the size at which styles
paint come down, for optical flow, trust and smoothing, which stay on the CPU; what those find goes up.

Nets compute in half precision on a GPU, two styles one after the other: each fills the device by itself. What must be
CUDA is in `Link` and `Graph` alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livestyle.config.look import LOOK_KINDS, NONE, Look, Plane
from livestyle.config.quality import Quality
from livestyle.image.types import Frame, Image, Matte
from livestyle.image.types import size_of as size_of_image
from livestyle.matting.matte import Matting
from livestyle.matting.refine import GUIDED
from livestyle.matting.segmenter import CardSegmenter
from livestyle.render.backgrounds import Backgrounds
from livestyle.render.cuda_graph import Function, Link, Recorded, Tensors
from livestyle.render.gpu_pixels import (
    as_bytes,
    as_picture,
    brought,
    composite,
    fit,
    grayscale,
    linear,
    mix,
    person_before,
    refine,
    rounded,
    segmented,
    size_of,
    stylized,
    third,
)
from livestyle.render.kinds import DRAWINGS, GpuScene
from livestyle.render.meter import Meter
from livestyle.render.planes import painted_at
from livestyle.render.stylizer import Stylizer
from livestyle.render.temporal import MotionEstimator, MotionField
from livestyle.types import Size

KEPT = 4  # programs that stay ready


class Program:
    """How frames of one size become pictures of one look, in two parts: before and after the small things are known.

    Args:
        painted: the size at which styles paint; segmenter: None where the look needs no matte.
        styles: by name; picture: of a path, (1, 3, H, W) of the frames' size; steadied: over time.
        epsilon: of the guided filter.
    """

    def __init__(
        self, look: Look, painted: Size, segmenter: CardSegmenter | None, styles: dict[str, Stylizer],
        picture: Callable[[str], Tensor], steadied: bool, epsilon: float, record: Callable[[Function], Recorded],
    ) -> None:  # fmt: skip
        self._look, self.painted, self._segmenter, self._styles = look, painted, segmenter, styles
        self._upload, self._steadied, self._epsilon = picture, steadied, epsilon
        self._pictures: Tensors = {}  # by path: a recording needs them for as long as it is played
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
            whole = self._draw(look.background, look.background_strength, image, painted, image)
            return made | {"picture": as_bytes(whole)}
        matte = refine(given["matte"], given["gray"], as_picture(given["small"]), self._epsilon)
        scene = self._draw(look.background, look.background_strength, image, painted, 1 - matte)
        person = self._draw(look.person, look.person_strength, image, painted, matte)
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

    def _draw(self, plane: Plane, strength: float, image: Tensor, painted: Tensors, matte: Tensor) -> Tensor:
        """One plane, over the whole frame; `matte` is 1 on the plane."""
        draw = DRAWINGS[plane.kind].draw_on_gpu
        assert draw is not None
        drawn = draw(plane, GpuScene(image, self._look, matte, painted, self._picture))
        return mix(image, drawn, strength) if LOOK_KINDS[plane.kind].is_mixed else drawn

    def _picture(self, path: str) -> Tensor:
        if path not in self._pictures:
            self._pictures[path] = self._upload(path)
        return self._pictures[path]


class GpuFilter:
    """Renders frames on a device; owns the programs of the last looks and sizes, and what was painted before.

    Args:
        styles: a style made ready; backgrounds: pictures by path.
        steadied: over time; else each picture stands alone.

    Raises:
        RuntimeError: when called; of the device (torch.OutOfMemoryError is one), or of a matte that is none. Nothing
            of such a frame is remembered.
    """

    def __init__(
        self, device: str, styles: Callable[[str], Stylizer], backgrounds: Backgrounds, meter: Meter,
        steadied: bool,
    ) -> None:  # fmt: skip
        self._link, self._styles, self._meter = Link(torch.device(device)), styles, meter
        self._backgrounds = backgrounds
        self._watcher = MotionEstimator() if steadied else None
        self._pool = ThreadPoolExecutor(1, "record")
        self._programs: OrderedDict[object, Program] = OrderedDict()
        self._step, self._last = 0, 0  # the number of this frame, and of the one that is remembered
        self._memory: Tensors = {}
        self._cut: tuple[Frame, Tensor] | None = None  # the frame rendered last, and its matte

    def takes(self, look: Look, matting: Matting) -> bool:
        """Whether it can render a look, with such mattes, and there is something to do."""
        planes = look.background, look.person
        if look.bypass or planes == (NONE, NONE) or not all(DRAWINGS[plane.kind].draw_on_gpu for plane in planes):
            return False
        ours = isinstance(matting.segmenter, CardSegmenter) and matting.refinement == GUIDED
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
        def picture(path: str) -> Tensor:
            return as_picture(torch.from_numpy(self._backgrounds.picture(path, size)).to(self._link.device))

        styles = {style: self._styles(style) for style in look.styled_planes}
        segmenter = None if look.is_whole else cast(CardSegmenter, matting.segmenter)
        return Program(
            look, painted_at(quality, size), segmenter, styles, picture, self._watcher is not None, matting.epsilon,
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


def as_maps(seen: MotionField | None, shape: tuple[int, int], painted: Size) -> NDArray[np.float32]:
    """A glimpse as maps (1, 4, h, w), all 0 where nothing is remembered."""
    maps = np.zeros((1, 4, *shape), np.float32)
    if seen:
        for axis in (0, 1):
            maps[0, axis] = seen.flow[..., axis] * (painted[axis] / shape[1 - axis])
        maps[0, 2] = seen.trust
        maps[0, 3] = 0 if seen.keep is None else seen.keep
    return maps
