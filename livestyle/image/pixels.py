"""Image, Matte, Frame, and the pure functions on their pixels. RGB everywhere; BGR exists at the doors only."""

import json
import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.settings import Size
from livestyle.errors import UserError
from livestyle.files import written_aside

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Matte = NDArray[np.float32]  # (H, W), 0 is background and 1 is person
Colors = NDArray[np.float32]  # (H, W, 3) in 0..255

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # that are written
OPAQUE = (".jpg", ".jpeg", ".bmp")
HEIF = (".heic", ".heif")
READABLE = PICTURES + HEIF
KEPT_TAGS = {  # of EXIF: what tells of the picture, rather than of how its file was laid out
    "ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime",
    "Artist", "Copyright", "Rating", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject",
}  # fmt: skip
LEFT_TAGS = {0x927C, 0xA005, 0xA002, 0xA003}  # of EXIF: offsets into the file, and the size before it was turned
BROKEN = (  # what Pillow raises at a damaged file
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError,
    RuntimeError, struct.error,
)  # fmt: skip
# As Pillow calls the kinds that are read; it knows many more, one of which (EPS) runs another program.
KINDS = ["PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF"]
MOST_PIXELS = 150_000_000
LARGE = 540  # rows from which on an eighth of the size tells the colours near a rim as well as a quarter
THREADS = max(1, (os.cpu_count() or 1) // 4)  # of OpenCV: as much work is done side by side as there are stages
SOFT = 0.02  # mattes nearer than this to 0 and 1 are not soft
RIM = 1 / 64  # of the height: from how far around a soft pixel takes the colours of its planes
NEAR = 0.01  # share of the person around a pixel with which a colour can be told

cv2.setNumThreads(THREADS)


@dataclass(frozen=True)
class Frame:
    """A picture of a source; gaps in `index` are frames that were dropped.

    Args:
        image: the pixels.
        index: number of the frame since the start.
        time: seconds since the first frame.
        captured: reading of `time.monotonic` when it was taken, for the latency.
        is_blank: nothing was captured, the image is black: the source is away for a while.
    """

    image: Image
    index: int
    time: float
    captured: float = field(default_factory=monotonic)
    is_blank: bool = False


def size_of(image: Image | Matte) -> Size:
    """Width and height."""
    return image.shape[1], image.shape[0]


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


@dataclass(frozen=True)
class Facts:
    """What a picture's file says beside its pixels.

    Args:
        exif: when, where and with what it was taken, upright; icc: the colour profile of its RGB values.
        notes: text by name, of what was made here: PNG and JPEG hold it.
    """

    exif: bytes = b""
    icc: bytes = b""
    notes: Mapping[str, str] = field(default_factory=dict)


NO_FACTS = Facts()


def load_image(path: Path, short: int | None = None) -> Image:
    """The pixels alone of `load_picture`."""
    return load_picture(path, short)[0]


def load_srgb(path: Path) -> Image:
    """A picture in sRGB, to be put together with another one.

    Raises:
        UserError: as `load_picture`.
    """
    from PIL import Image as Pil
    from PIL import ImageCms

    image, facts = load_picture(path)
    if not facts.icc:
        return image
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(facts.icc))
        shown = ImageCms.profileToProfile(Pil.fromarray(image), own, ImageCms.createProfile("sRGB"))
        return np.asarray(shown, np.uint8)
    except (ImageCms.PyCMSError, OSError):
        return image


def load_picture(path: Path, short: int | None = None) -> tuple[Image, Facts]:
    """Read a picture of any kind as RGB: turned upright, grey, CMYK and 16-bit converted, transparency laid on white.

    Args:
        short: a short side that is enough: a larger JPEG is decoded at half, a quarter or an eighth of its size, as far
            as it stays above that, in as much less time and memory.

    Raises:
        UserError: missing, not a picture, truncated, over 150 megapixels as decoded, or HEIC without its library.
    """
    from PIL import Image as Pil
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures: the limit here is our own
            Pil.MAX_IMAGE_PIXELS = None
            is_heif = path.suffix.lower() in HEIF and path.is_file()
            if is_heif:
                _know_heif(path)
            with Pil.open(path, formats=[*KINDS, "HEIF"] if is_heif else KINDS) as file:
                if short:
                    file.draft(None, (short, short))
                if file.width * file.height > MOST_PIXELS:
                    raise UserError(f"{path} has {file.width}x{file.height} pixels.", "Scale it down first.")
                facts = Facts(_exif(file), _profile(file))  # before a TIFF is turned, which loses them
                return _to_rgb(ImageOps.exif_transpose(file)), facts
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "Check the name.") from None
    except MemoryError:
        raise UserError(f"{path} needs more memory than there is.", "Scale it down first.") from None
    except BROKEN as error:
        reason = "is cut short" if "truncated" in str(error) else "is not a picture that can be read"
        raise UserError(f"{path} {reason}.", f"Give a whole picture ({', '.join(PICTURES)}).") from None


def _know_heif(path: Path) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise UserError(f"{path} needs the package pillow-heif.", "Run: pip install 'livestyle[heif]'") from None
    register_heif_opener()


def _to_rgb(picture: "Pil.Image") -> Image:  # type: ignore[name-defined]  # noqa: F821
    from PIL import Image as Pil

    if picture.mode.startswith(("I", "F")):  # 16 bits and more of grey, which convert() would clip
        deep = np.asarray(picture, np.float64)
        top = 65535 if deep.max() > 255 or picture.mode.startswith("I;16") else 255
        gray = np.clip(deep * (255 / top) + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(gray[..., None], 3, axis=2))
    if picture.mode == "CMYK":
        picture = _printed(picture)
    if "A" in picture.mode or "transparency" in picture.info:
        paper = Pil.new("RGBA", picture.size, "white")
        picture = Pil.alpha_composite(paper, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"), np.uint8)


def _printed(picture: "Pil.Image") -> "Pil.Image":  # type: ignore[name-defined]  # noqa: F821
    """CMYK as it looks in sRGB, where the file tells of its inks."""
    from PIL import ImageCms

    try:
        inks = ImageCms.ImageCmsProfile(BytesIO(picture.info.get("icc_profile") or b""))
        return ImageCms.profileToProfile(picture, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture


def _profile(picture: "Pil.Image") -> bytes:  # type: ignore[name-defined]  # noqa: F821
    """The colour profile, where it is one of RGB values."""
    profile = picture.info.get("icc_profile") or b""
    return profile if profile[16:20] == b"RGB " else b""


def _exif(picture: "Pil.Image") -> bytes:  # type: ignore[name-defined]  # noqa: F821
    from PIL import ExifTags
    from PIL import Image as Pil

    kept = Pil.Exif()
    try:
        found = picture.getexif()
        kept.update({tag: found[tag] for tag in found if ExifTags.TAGS.get(tag) in KEPT_TAGS})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            inner = {tag: value for tag, value in found.get_ifd(part).items() if tag not in LEFT_TAGS}
            kept.update({part: inner} if inner else {})
        return kept.tobytes() if kept else b""
    except BROKEN:
        return b""  # damaged: the picture itself is not


def save_image(path: Path, image: NDArray[np.uint8], facts: Facts = NO_FACTS) -> None:
    """Write (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA under a name whose suffix names the kind.

    Args:
        facts: are written, too; grey has no use for a profile of RGB.

    Raises:
        UserError: an unknown suffix, or the file cannot be written.
    """
    from PIL import Image as Pil
    from PIL.PngImagePlugin import PngInfo

    if path.suffix.lower() not in PICTURES:
        raise UserError(f"{path} does not say what kind of picture to write.", f"End it in {', '.join(PICTURES)}.")
    options: dict[str, Any] = {"quality": 95} if path.suffix.lower() in {".jpg", ".jpeg", ".webp"} else {}
    if facts.exif:
        options["exif"] = facts.exif
    if facts.icc and image.ndim == 3:
        options["icc_profile"] = facts.icc
    if facts.notes and path.suffix.lower() == ".png":
        options["pnginfo"] = PngInfo()
        for name, text in facts.notes.items():
            options["pnginfo"].add_text(name, text)
    elif facts.notes and path.suffix.lower() in {".jpg", ".jpeg"}:
        options["comment"] = json.dumps(dict(facts.notes))
    with written_aside(path) as part:
        Pil.fromarray(image).save(part, **options)


def load_notes(path: Path) -> dict[str, str]:
    """The notes that `save_image` wrote into a picture; none where there is no such file, or nothing in it."""
    from PIL import Image as Pil

    try:
        with Pil.open(path, formats=("PNG", "JPEG")) as file:
            if file.format == "JPEG":
                return dict(json.loads(file.info.get("comment", b"{}")))
            return {name: text for name, text in file.info.items() if isinstance(name, str) and isinstance(text, str)}
    except (*BROKEN, MemoryError):
        return {}
