"""The filter with its pixels on a PyTorch device: a frame is uploaded once, its picture is downloaded once.

Besides these, only small arrays travel. The coarse matte, and the picture at a third of the size at which styles paint,
are downloaded. Optical flow, trust and smoothing stay on the CPU, and what they find is uploaded.

Networks compute in half precision on a GPU. Two styles run one after the other, because each fills the device. Only
`DeviceLink` and `CudaGraph` need CUDA.
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
from livestyle.render.cuda_graph import DeviceLink, Function, Recorded, Tensors
from livestyle.render.gpu_pixels import (
    as_bytes,
    as_picture,
    composite,
    composite_foreground,
    fit,
    grayscale,
    linear,
    mix,
    refine,
    rounded,
    segment,
    size_of,
    stylize,
    third,
    warp,
)
from livestyle.render.kinds import DRAWINGS, GpuScene
from livestyle.render.meter import Meter
from livestyle.render.planes import style_size
from livestyle.render.stylizer import Stylizer
from livestyle.render.temporal import MotionEstimator, MotionField
from livestyle.types import Size

MAX_PROGRAMS = 4


def key_of(style: str) -> str:
    """Return the name of a style's painting among the tensors of a program."""
    return f"painting of {style}"


class Program:
    """Turn frames of one size into pictures of one look, in two parts: before and after the CPU's part is known.

    Args:
        look: of both planes.
        painted: the size at which styles paint, (width, height).
        segmenter: None where the look needs no matte.
        styles: by name.
        upload: returns the picture of a path, float32 (1, 3, H, W) of the frames' size.
        is_live: whether paintings are smoothed over time.
        epsilon: of the guided filter.
        record: returns a function that may be recorded as a CUDA graph.
    """

    def __init__(
        self, look: Look, painted: Size, segmenter: CardSegmenter | None, styles: dict[str, Stylizer],
        upload: Callable[[str], Tensor], is_live: bool, epsilon: float, record: Callable[[Function], Recorded],
    ) -> None:  # fmt: skip
        self._look, self.painted, self._segmenter, self._styles = look, painted, segmenter, styles
        self._upload, self._is_live, self._epsilon = upload, is_live, epsilon
        self._pictures: Tensors = {}  # by path; a recording needs them for as long as it is launched
        self.begin, self.finish = record(self._begin), record(self._finish)
        self.remembered = {"denoised", *map(key_of, styles)}  # names of what is kept for the next frame

    def _begin(self, given: Tensors) -> Tensors:
        """Compute what the CPU needs.

        Args:
            given: "frame", uint8 (H, W, 3).

        Returns:
            "image" at full size and "reduced" for styles, float32 (1, 3, H, W). "third" for the motion, uint8 (h, w,
            3). "gray" at full size, float32 (1, 1, H, W). "coarse matte", float32 (1, 1, h, w), and "small gray" of its
            size, uint8 (h, w, 1).
        """
        image = as_picture(given["frame"])
        made = {"image": image}
        if self._styles:
            made["reduced"] = fit(image, self.painted)
            if self._is_live:
                made["third"] = as_bytes(third(made["reduced"]))
        if self._segmenter:
            made["gray"], made["coarse matte"] = grayscale(image), segment(self._segmenter, image)
            made["small gray"] = as_bytes(fit(made["gray"], size_of(made["coarse matte"])))
        return made

    def _finish(self, given: Tensors) -> Tensors:
        """Compute the picture.

        Args:
            given: what `_begin` returned, with the coarse matte smoothed; "maps" of `motion_maps`; and what is
                remembered of the frame before.

        Returns:
            "picture", uint8 (H, W, 3); "matte", float32 (1, 1, H, W); and what is to be remembered.
        """
        look, image, made = self._look, given["image"], self._paint(given) if self._styles else {}
        paintings = {style: fit(rounded(made[key_of(style)]), size_of(image)) for style in self._styles}
        if "coarse matte" not in given:
            whole = self._draw(look.background, look.background_strength, image, paintings, image)
            return made | {"picture": as_bytes(whole)}
        matte = refine(given["coarse matte"], given["gray"], as_picture(given["small gray"]), self._epsilon)
        scene = self._draw(look.background, look.background_strength, image, paintings, 1 - matte)
        person = self._draw(look.person, look.person_strength, image, paintings, matte)
        put = composite_foreground if person is image and scene is not image else composite
        return made | {"picture": as_bytes(put(person, scene, matte)), "matte": matte}

    def _paint(self, given: Tensors) -> Tensors:
        """Return each style's painting, smoothed, and "denoised", the picture with its noise averaged out."""
        now = given["reduced"]
        if "maps" not in given:
            return {key_of(name): stylize(style, now) for name, style in self._styles.items()}
        maps = linear(given["maps"], self.painted)
        flow, trust, denoise = maps[:, :2], maps[:, 2:3], maps[:, 3:]
        made = {"denoised": now + denoise * (given.get("denoised", now) - now)}
        for name, style in self._styles.items():
            key, new = key_of(name), stylize(style, rounded(made["denoised"]))
            made[key] = new + trust * (warp(given[key], flow) - new) if key in given else new
        return made

    def _draw(self, plane: Plane, strength: float, image: Tensor, paintings: Tensors, matte: Tensor) -> Tensor:
        """Draw one plane over the whole frame; `matte` is 1 on the plane."""
        draw = DRAWINGS[plane.kind].draw_on_gpu
        assert draw is not None
        drawn = draw(plane, GpuScene(image, self._look, matte, paintings, self._picture))
        return mix(image, drawn, strength) if LOOK_KINDS[plane.kind].is_mixed else drawn

    def _picture(self, path: str) -> Tensor:
        if path not in self._pictures:
            self._pictures[path] = self._upload(path)
        return self._pictures[path]


class GpuFilter:
    """Render frames on a device. Own the programs of the last looks and sizes, and what was painted before.

    Args:
        device: as PyTorch names it.
        style: returns a style by name.
        backgrounds: pictures by path.
        meter: takes the times.
        is_live: whether paintings are smoothed over time; else each picture stands alone.
    """

    def __init__(
        self, device: str, style: Callable[[str], Stylizer], backgrounds: Backgrounds, meter: Meter, is_live: bool
    ) -> None:
        self._link, self._style, self._meter = DeviceLink(torch.device(device)), style, meter
        self._backgrounds = backgrounds
        self._estimator = MotionEstimator() if is_live else None
        self._pool = ThreadPoolExecutor(1, "record")
        self._programs: OrderedDict[object, Program] = OrderedDict()
        self._step, self._remembered_step = 0, 0  # the number of this frame, and of the one that is remembered
        self._memory: Tensors = {}
        self._matte: tuple[Frame, Tensor] | None = None  # the frame rendered last, and its matte

    def takes(self, look: Look, matting: Matting) -> bool:
        """Return whether it can render a look with such mattes, and there is something to do."""
        planes = look.background, look.person
        if look.bypass or planes == (NONE, NONE) or not all(DRAWINGS[plane.kind].draw_on_gpu for plane in planes):
            return False
        can_segment = isinstance(matting.segmenter, CardSegmenter) and matting.refinement == GUIDED
        return look.is_whole or can_segment

    @torch.inference_mode()
    def __call__(self, frame: Frame, look: Look, matting: Matting, quality: Quality) -> Image:
        """Return the finished picture of a frame, uint8 (H, W, 3), its memory the caller's own.

        Raises:
            RuntimeError: of the device (torch.OutOfMemoryError is one), or of an invalid matte. Then nothing of the
                frame is remembered.
        """
        self._matte, self._step = None, self._step + 1
        program = self._program(look, size_of_image(frame.image), matting, quality)
        with self._meter.stage("segment"):  # with the upload, and what else comes before the styles
            made = program.begin({"frame": self._link.upload("frame", frame.image)})
            names = [name for name in ("third", "small gray", "coarse matte") if name in made]
            arrays = self._link.download([made[name] for name in names]) if names else []
        with self._meter.stage("stylize"):  # with compositing behind it, and the download
            made |= self._smoothed(dict(zip(names, arrays, strict=True)), frame, matting, program)
            made = program.finish(made)
            (picture,) = self._link.download([made["picture"]])
        self._memory = {name: made[name] for name in program.remembered & made.keys()}
        self._remembered_step = self._step
        self._matte = (frame, made["matte"]) if "matte" in made else None
        self._meter.segmented += "matte" in made
        self._meter.stylized += bool(look.styled_planes)
        self._meter.areas.extend([1.0] * len(look.styled_planes))
        return cast(Image, picture)

    @torch.inference_mode()
    def matte(self, frame: Frame) -> Matte | None:
        """Return the matte of the frame rendered last, float32 (H, W); None if this is another, or had none."""
        if self._matte is None or self._matte[0] is not frame:
            return None
        (matte,) = self._link.download([self._matte[1]])
        return cast(Matte, matte[0, 0])

    def wait_for_graphs(self) -> bool:
        """Wait for CUDA graphs that are being recorded.

        Returns:
            Whether frames of the look and size rendered last are launched from graphs by now.
        """
        parts = [part for program in self._programs.values() for part in (program.begin, program.finish)]
        wait([part.graph for part in parts if part.graph])
        return bool(parts) and all(part.is_recorded for part in parts[-2:])

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    def _program(self, look: Look, size: Size, matting: Matting, quality: Quality) -> Program:
        styles = {style: self._style(style) for style in look.styled_planes}  # which may have been replaced
        key = look, size, style_size(quality, size), *map(id, styles.values()), id(matting.segmenter)
        if key not in self._programs:
            self._programs[key] = self._new_program(look, size, matting, quality, styles)
            if len(self._programs) > MAX_PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]

    def _new_program(
        self, look: Look, size: Size, matting: Matting, quality: Quality, styles: dict[str, Stylizer]
    ) -> Program:
        def upload(path: str) -> Tensor:
            return as_picture(torch.from_numpy(self._backgrounds.picture(path, size)).to(self._link.device))

        segmenter = None if look.is_whole else cast(CardSegmenter, matting.segmenter)
        return Program(
            look, style_size(quality, size), segmenter, styles, upload, self._estimator is not None, matting.epsilon,
            lambda function: Recorded(function, self._link.device, self._pool),
        )  # fmt: skip

    def _smoothed(self, small: dict[str, NDArray[Any]], frame: Frame, matting: Matting, program: Program) -> Tensors:
        """Return what the CPU finds from small arrays, on the device, and what is remembered of the frame before."""
        found: Tensors = {}
        if "third" in small and self._estimator:
            field, shape = self._estimator.estimate(small["third"], frame.time), small["third"].shape[:2]
            found["maps"] = self._link.upload("maps", motion_maps(field, shape, program.painted))
            if self._remembered_step == self._step - 1:
                known = program.remembered & self._memory.keys()
                found |= {name: linear(self._memory[name], program.painted) for name in known}
        if "coarse matte" in small:
            matte = matting.smoothed(small["coarse matte"][0, 0], small["small gray"][..., 0], frame.time)
            found["coarse matte"] = self._link.upload("coarse matte", matte[None, None])
        return found


def motion_maps(field: MotionField | None, shape: tuple[int, int], painted: Size) -> NDArray[np.float32]:
    """Return a motion as maps, float32 (1, 4, h, w), all 0 if none is known.

    The maps are the flow (x, y) in pixels of what is painted, the trust, and the weight that removes noise.

    Args:
        field: the motion; shape: (h, w) of the maps.
        painted: the size at which styles paint.
    """
    maps = np.zeros((1, 4, *shape), np.float32)
    if field:
        for axis in (0, 1):
            maps[0, axis] = field.flow[..., axis] * (painted[axis] / shape[1 - axis])
        maps[0, 2] = field.trust
        maps[0, 3] = 0 if field.denoise is None else field.denoise
    return maps
