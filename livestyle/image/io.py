"""Picture files: read with orientation, colour profile and notes; written whole or not at all."""

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError, pip_install
from livestyle.files import atomic_write
from livestyle.image import deep, profiles
from livestyle.image.types import WHITE, Image
from livestyle.types import Color

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # that can be written
OPAQUE_SUFFIXES = (".jpg", ".jpeg", ".bmp")
HEIF_SUFFIXES = (".heic", ".heif")
READABLE_SUFFIXES = (*PICTURE_SUFFIXES, *HEIF_SUFFIXES, ".avif")
KEPT_TAGS = {  # of EXIF: about the picture, not about the layout of its file
    "ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime",
    "Artist", "Copyright", "Rating", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject",
}  # fmt: skip
DROPPED_TAGS = {0x927C, 0xA005, 0xA002, 0xA003}  # of EXIF: offsets into the file, and the size before rotation
PILLOW_ERRORS = (  # that Pillow raises for a damaged file
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError,
    RuntimeError, struct.error,
)  # fmt: skip
# That can be read. Pillow knows many more; one of them, EPS, runs another program.
PILLOW_FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF"]
MAX_PIXELS = 150_000_000


@dataclass(frozen=True)
class PictureNotes:
    """What a picture's file holds beside its pixels.

    Args:
        exif: when, where and with what it was taken, upright.
        icc: the colour profile of its RGB values.
        own: these values, uint8 (H, W, 3), where they differ from sRGB.
        notes: text by name that livestyle wrote; PNG and JPEG hold it.
    """

    exif: bytes = b""
    icc: bytes = b""
    notes: Mapping[str, str] = field(default_factory=dict)
    own: Image | None = field(default=None, repr=False, compare=False)

    def without_place(self) -> "PictureNotes":
        """Return them without the place where it was taken."""
        from PIL import ExifTags
        from PIL import Image as Pil

        found = Pil.Exif()
        found.load(self.exif)
        if ExifTags.IFD.GPSInfo not in found:
            return self
        del found[ExifTags.IFD.GPSInfo]
        return replace(self, exif=found.tobytes())


NO_NOTES = PictureNotes()


def load_image(path: Path, short: int | None = None) -> Image:
    """Return the pixels alone of `load_picture`."""
    return load_picture(path, short)[0]


def load_picture(path: Path, short: int | None = None, backdrop: Color = WHITE) -> tuple[Image, PictureNotes]:
    """Read a picture of any kind in sRGB.

    It is turned upright. Other colours are converted by the file's profile.

    Args:
        path: of the file.
        short: a short side in pixels that is enough. A larger JPEG is decoded at half, a quarter or an eighth of its
            size, which takes as much less time and memory.
        backdrop: what shows through where it is transparent, RGB in 0..255.

    Returns:
        uint8 (H, W, 3) RGB, and what else the file holds.

    Raises:
        UserError: the file is missing, no picture, cut short or over MAX_PIXELS as decoded, or it is HEIC without its
            library.
    """
    from PIL import ImageOps

    with _opened(path, short) as file:
        exif, profile = _exif(file), file.info.get("icc_profile") or b""  # before rotation, which loses those of a TIFF
        opaque = laid_on(backdrop, ImageOps.exif_transpose(file))
        is_rgb = profile[16:20] == b"RGB "
        own = np.array(opaque.convert("RGB"), np.uint8) if is_rgb and profiles.differs(profile) else None
        return profiles.to_srgb(opaque, profile), PictureNotes(exif, profile if is_rgb else b"", own=own)


def check_picture(path: Path, short: int | None = None) -> None:
    """Check that a file begins as a picture does. Nothing is decoded.

    Raises:
        UserError: as `load_picture` does, if that shows so early.
    """
    with _opened(path, short):
        pass


@contextmanager
def _opened(path: Path, short: int | None) -> "Iterator[PilImage]":
    """Open a picture, of which nothing is decoded yet; see `load_picture`."""
    is_heif = path.suffix.lower() in HEIF_SUFFIXES and path.is_file()
    if is_heif:
        _know_heif(path)
    with _reading(path), _open(path, [*PILLOW_FORMATS, "HEIF"] if is_heif else PILLOW_FORMATS) as file:
        if short:
            file.draft(None, (short, short))
        if file.width * file.height > MAX_PIXELS:
            raise UserError(f"{path} has {file.width}x{file.height} pixels.", "Scale it down first.")
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of a picture's file into UserError."""
    from PIL import Image as Pil

    try:
        yield
    except UserError:
        raise
    except Pil.DecompressionBombError:
        raise UserError(f"{path} has too many pixels.", "Scale it down first.") from None
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "Check the name.") from None
    except MemoryError:
        raise UserError(f"{path} needs more memory than there is.", "Scale it down first.") from None
    except PILLOW_ERRORS as error:
        reason = "is cut short" if "truncated" in str(error) else "is not a picture that can be read"
        raise UserError(f"{path} {reason}.", f"Give a whole picture ({', '.join(PICTURE_SUFFIXES)}).") from None


def _open(path: Path, kinds: Iterable[str]) -> "PilImage":
    """Open a picture as `PIL.Image.open` does, but without its limit of pixels, which holds for the whole process.

    Raises:
        One of PILLOW_ERRORS: it is of none of these kinds.
    """
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    with path.open("rb") as file:
        prefix = file.read(16)
    for kind in kinds:
        if kind not in Pil.OPEN:
            Pil.init()
        make, accepts = Pil.OPEN[kind]
        accepted = accepts is None or accepts(prefix)
        if accepted and not isinstance(accepted, str):  # a text names a missing library
            try:
                return make(str(path), "")  # type: ignore[arg-type]  # it takes a path, too, and closes the file
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    if "TIFF" in kinds and prefix[:2] in (b"II", b"MM"):
        return deep.open_tiff(path, MAX_PIXELS)
    raise UnidentifiedImageError(str(path))


def _know_heif(path: Path) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise UserError(f"{path} needs the package pillow-heif.", f"Run: {pip_install('heif')}") from None
    register_heif_opener()


def laid_on(backdrop: Color, picture: "PilImage") -> "PilImage":
    """Return a picture of 8 bits a value, laid on a colour, RGB in 0..255, where it is transparent."""
    from PIL import Image as Pil

    if picture.mode.startswith(("I", "F")):
        return deep.to_grey(picture)
    if not picture.has_transparency_data:
        return picture
    paper = Pil.new("RGBA", picture.size, backdrop)
    is_grey = picture.mode.startswith("L") and len({*backdrop}) == 1
    return Pil.alpha_composite(paper, picture.convert("RGBA")).convert("L" if is_grey else "RGB")


def _exif(picture: "PilImage") -> bytes:
    from PIL import ExifTags
    from PIL import Image as Pil

    kept = Pil.Exif()
    try:
        found = picture.getexif()
        kept.update({tag: found[tag] for tag in found if ExifTags.TAGS.get(tag) in KEPT_TAGS})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            inner = {tag: value for tag, value in found.get_ifd(part).items() if tag not in DROPPED_TAGS}
            kept.update({part: inner} if inner else {})
        return kept.tobytes() if kept else b""
    except PILLOW_ERRORS:
        return b""  # they are damaged, the picture is not


def save_image(path: Path, image: NDArray[np.uint8], facts: PictureNotes = NO_NOTES) -> None:
    """Write a picture whose suffix names the kind.

    Args:
        path: of the file.
        image: uint8 (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, in sRGB.
        facts: written, too, of the picture that it was made from. It is converted to the profile of that, whose pixels
            return as they were. A grey picture has no use for a profile of RGB.

    Raises:
        UserError: the suffix is unknown, or the file cannot be written.
    """
    from PIL import Image as Pil
    from PIL.PngImagePlugin import PngInfo

    if path.suffix.lower() not in PICTURE_SUFFIXES:
        names = ", ".join(PICTURE_SUFFIXES)
        raise UserError(f"{path} does not say what kind of picture to write.", f"End it in {names}.")
    options: dict[str, Any] = {"quality": 95} if path.suffix.lower() in {".jpg", ".jpeg", ".webp"} else {}
    if facts.exif:
        options["exif"] = facts.exif
    if image.ndim == 3:
        image, options["icc_profile"] = _in_own_profile(image, facts)
    if facts.notes and path.suffix.lower() == ".png":
        options["pnginfo"] = PngInfo()
        for name, text in facts.notes.items():
            options["pnginfo"].add_text(name, text)
    elif facts.notes and path.suffix.lower() in {".jpg", ".jpeg"}:
        options["comment"] = json.dumps(dict(facts.notes))
    with atomic_write(path) as part:
        Pil.fromarray(image).save(part, **options)


def _in_own_profile(image: NDArray[np.uint8], facts: PictureNotes) -> tuple[NDArray[np.uint8], bytes | None]:
    """Return the values to write, and the profile that they are of. sRGB needs none."""
    if facts.own is None:
        return image, facts.icc or None
    try:
        return profiles.in_profile(image, facts.own, facts.icc), facts.icc
    except ValueError:  # it can only be read
        return image, None


def load_notes(path: Path) -> dict[str, str]:
    """Return the notes that `save_image` wrote into a picture; none where there is no such file, or nothing in it."""
    try:
        with _open(path, ("PNG", "JPEG")) as file:
            if file.format == "JPEG":
                return dict(json.loads(file.info.get("comment", b"{}")))
            return {name: text for name, text in file.info.items() if isinstance(name, str) and isinstance(text, str)}
    except (*PILLOW_ERRORS, MemoryError):
        return {}


MAX_FOUND = 5000  # pictures of a folder with its subfolders


def list_pictures(folder: Path, deep: bool = False) -> list[Path]:
    """Return every picture of a folder, sorted.

    Args:
        folder: to search.
        deep: search its folders, too, without hidden ones, up to MAX_FOUND pictures.

    Raises:
        UserError: there is no folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Give a folder of JPEG or PNG photos.")
    found = (p for p in (visible_files(folder) if deep else folder.glob("*")) if p.suffix.lower() in PICTURE_SUFFIXES)
    pictures = sorted(islice(found, MAX_FOUND if deep else None))
    if not pictures:
        raise UserError(f"There are no pictures in {folder}.", "Give a folder of JPEG or PNG photos.")
    return pictures


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, without those in hidden folders, such as thumbnails."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))
