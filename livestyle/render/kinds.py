"""How each kind of look is drawn. `register` adds a kind with its syntax and its drawing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from livestyle.config.look import LOOK_KINDS, Look, LookKind, Plane
from livestyle.config.quality import Quality
from livestyle.image import pixels
from livestyle.image.bokeh import bokeh_plane
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.render.backgrounds import Backgrounds
from livestyle.types import Size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """What a plane is drawn from on the CPU.

    Args:
        frame: the camera's frame.
        look: the look of both planes.
        quality: how finely styles are computed.
        matte: returns the matte of the plane, float32 (H, W), 1 on the plane. It may compute.
        paintings: by style, the frame as that style paints it, uint8 (H, W, 3). A style that shows nowhere is missing.
        backgrounds: pictures and clips by path.
    """

    frame: Frame
    look: Look
    quality: Quality
    matte: Callable[[], Matte]
    paintings: Mapping[str, Image]
    backgrounds: Backgrounds

    @property
    def size(self) -> Size:
        """The frame's width and height."""
        return size_of(self.frame.image)


@dataclass(frozen=True)
class GpuScene:
    """What a plane is drawn from on a GPU; pictures are float32 (1, 3, H, W) RGB in 0..255.

    Args:
        image: the camera's picture.
        look: the look of both planes.
        matte: the matte of the plane, float32 (1, 1, H, W), 1 on the plane. If the look needs none, it has no meaning.
        paintings: by style, the picture as that style paints it.
        picture: returns the picture of a path, scaled and cropped to fill the frame; it is uploaded once.
    """

    image: "Tensor"
    look: Look
    matte: "Tensor"
    paintings: Mapping[str, "Tensor"]
    picture: Callable[[str], "Tensor"]


Draw = Callable[[Plane, Scene], Image]  # the plane over the whole frame, uint8 (H, W, 3)
DrawOnGpu = Callable[[Plane, GpuScene], "Tensor"]  # the same, float32 (1, 3, H, W)
Load = Callable[[Plane, Size, Backgrounds], object]  # for frames of a size


@dataclass(frozen=True)
class Drawing:
    """How a kind of look is drawn at full strength.

    Args:
        draw: on the CPU.
        draw_on_gpu: on a GPU, with a fixed sequence of operations for each size. None renders such looks on the CPU.
        load: reads its file before it is drawn, on another thread; None where there is none.
    """

    draw: Draw
    draw_on_gpu: DrawOnGpu | None = None
    load: Load | None = None


def register(kind: LookKind, draw: Draw, draw_on_gpu: DrawOnGpu | None = None) -> None:
    """Add a kind of look. From then on it can be asked for by flags, config files and actions.

    Args:
        kind: its name, its syntax and what holds for it.
        draw: draws it on the CPU.
        draw_on_gpu: draws it on a GPU, or None.

    Raises:
        ValueError: there is a kind of that name.
    """
    if kind.name in LOOK_KINDS:
        raise ValueError(f"There is a look '{kind.name}' already.")
    LOOK_KINDS[kind.name], DRAWINGS[kind.name] = kind, Drawing(draw, draw_on_gpu)


def unregister(name: str) -> None:
    """Take a kind of look away.

    Raises:
        KeyError: there is none of that name.
    """
    del LOOK_KINDS[name], DRAWINGS[name]


def draw_camera(plane: Plane, scene: Scene) -> Image:
    """Return the camera's own picture."""
    return scene.frame.image


def draw_color(plane: Plane, scene: Scene) -> Image:
    """Return one colour."""
    return np.full_like(scene.frame.image, plane.color)


def draw_picture(plane: Plane, scene: Scene) -> Image:
    """Return a picture that fills the frame."""
    return scene.backgrounds.picture(plane.path, scene.size)


def draw_clip(plane: Plane, scene: Scene) -> Image:
    """Return the frame of a looping clip at the time of the camera's frame."""
    return scene.backgrounds.clip_frame(plane.path, scene.frame.time, scene.size)


def load_picture(plane: Plane, size: Size, backgrounds: Backgrounds) -> None:
    """Read a picture that is to fill frames of a size."""
    backgrounds.picture(plane.path, size)


def load_clip(plane: Plane, size: Size, backgrounds: Backgrounds) -> None:
    """Open a clip."""
    backgrounds.open_clip(plane.path)


def draw_blur(plane: Plane, scene: Scene) -> Image:
    """Return the plane blurred."""
    return pixels.blur_plane(scene.frame.image, scene.matte(), plane.amount)


def draw_bokeh(plane: Plane, scene: Scene) -> Image:
    """Return the plane out of focus, as a lens with a wide aperture shows it."""
    return bokeh_plane(scene.frame.image, scene.matte(), plane.amount, scene.quality.pixels(scene.size))


def draw_style(plane: Plane, scene: Scene) -> Image:
    """Return the painting of a style or of two, or the camera's picture where the plane shows nowhere."""
    image, paintings = scene.frame.image, scene.paintings
    if not paintings.keys() >= {style for style, _ in plane.styles}:
        return image
    first, *others = (paintings[style] for style, _ in plane.styles)
    styled = pixels.mix(first, others[0], plane.styles[1][1]) if others else first
    return pixels.recolor(styled, image) if scene.look.keep_colors else styled


def draw_camera_on_gpu(plane: Plane, scene: GpuScene) -> "Tensor":
    """Return the camera's own picture."""
    return scene.image


def draw_color_on_gpu(plane: Plane, scene: GpuScene) -> "Tensor":
    """Return one colour."""
    from livestyle.render.gpu_pixels import filled

    return filled(scene.image, plane.color)


def draw_picture_on_gpu(plane: Plane, scene: GpuScene) -> "Tensor":
    """Return a picture that fills the frame."""
    return scene.picture(plane.path)


def draw_blur_on_gpu(plane: Plane, scene: GpuScene) -> "Tensor":
    """Return the plane blurred."""
    from livestyle.render.gpu_pixels import blur_plane

    return blur_plane(scene.image, scene.matte, plane.amount)


def draw_style_on_gpu(plane: Plane, scene: GpuScene) -> "Tensor":
    """Return the painting of a style or of two."""
    from livestyle.render.gpu_pixels import mix, recolor

    first, *others = (scene.paintings[style] for style, _ in plane.styles)
    styled = mix(first, others[0], plane.styles[1][1]) if others else first
    return recolor(styled, scene.image) if scene.look.keep_colors else styled


DRAWINGS = {  # by the names of LOOK_KINDS
    "none": Drawing(draw_camera, draw_camera_on_gpu),
    "style": Drawing(draw_style, draw_style_on_gpu),
    "picture": Drawing(draw_style, draw_style_on_gpu),
    "blur": Drawing(draw_blur, draw_blur_on_gpu),
    "bokeh": Drawing(draw_bokeh),
    "color": Drawing(draw_color, draw_color_on_gpu),
    "image": Drawing(draw_picture, draw_picture_on_gpu, load_picture),
    "video": Drawing(draw_clip, load=load_clip),
}
