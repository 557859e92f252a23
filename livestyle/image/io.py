"""Picture files: read with their orientation, colour profile and notes; written whole or not at all."""

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.image.types import Image

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


@dataclass(frozen=True)
class PictureNotes:
    """What a picture's file says beside its pixels.

    Args:
        exif: when, where and with what it was taken, upright; icc: the colour profile of its RGB values.
        notes: text by name, of what was made here: PNG and JPEG hold it.
    """

    exif: bytes = b""
    icc: bytes = b""
    notes: Mapping[str, str] = field(default_factory=dict)


NO_NOTES = PictureNotes()


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


def load_picture(path: Path, short: int | None = None) -> tuple[Image, PictureNotes]:
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
        is_heif = path.suffix.lower() in HEIF and path.is_file()
        if is_heif:
            _know_heif(path)
        with _open(path, [*KINDS, "HEIF"] if is_heif else KINDS) as file:
            if short:
                file.draft(None, (short, short))
            if file.width * file.height > MOST_PIXELS:
                raise UserError(f"{path} has {file.width}x{file.height} pixels.", "Scale it down first.")
            facts = PictureNotes(_exif(file), _profile(file))  # before a TIFF is turned, which loses them
            return _to_rgb(ImageOps.exif_transpose(file)), facts
    except UserError:
        raise
    except Pil.DecompressionBombError:
        raise UserError(f"{path} has too many pixels.", "Scale it down first.") from None
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "Check the name.") from None
    except MemoryError:
        raise UserError(f"{path} needs more memory than there is.", "Scale it down first.") from None
    except BROKEN as error:
        reason = "is cut short" if "truncated" in str(error) else "is not a picture that can be read"
        raise UserError(f"{path} {reason}.", f"Give a whole picture ({', '.join(PICTURES)}).") from None


def _open(path: Path, kinds: Iterable[str]) -> "ImageFile.ImageFile":  # type: ignore[name-defined]  # noqa: F821
    """Open a picture as `PIL.Image.open` does, without its limit of pixels, which is one for the whole process.

    Raises:
        One of BROKEN: it is of none of these kinds.
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
        if accepted and not isinstance(accepted, str):  # else the words are about a library that is missing
            try:
                return make(str(path), "")  # type: ignore[arg-type]  # it takes a path, too, and closes the file
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise UnidentifiedImageError(str(path))


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


def save_image(path: Path, image: NDArray[np.uint8], facts: PictureNotes = NO_NOTES) -> None:
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
    with atomic_write(path) as part:
        Pil.fromarray(image).save(part, **options)


def load_notes(path: Path) -> dict[str, str]:
    """The notes that `save_image` wrote into a picture; none where there is no such file, or nothing in it."""
    try:
        with _open(path, ("PNG", "JPEG")) as file:
            if file.format == "JPEG":
                return dict(json.loads(file.info.get("comment", b"{}")))
            return {name: text for name, text in file.info.items() if isinstance(name, str) and isinstance(text, str)}
    except (*BROKEN, MemoryError):
        return {}


FOUND = 5000  # photos that are looked for at most


def list_pictures(folder: Path, deep: bool = False) -> list[Path]:
    """Every picture of a folder, sorted; where `deep`, the first of its folders too, the hidden ones left out.

    Raises:
        UserError: there is no folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Give a folder of JPEG or PNG photos.")
    found = (p for p in (visible(folder) if deep else folder.glob("*")) if p.suffix.lower() in PICTURES)
    pictures = sorted(islice(found, FOUND if deep else None))
    if not pictures:
        raise UserError(f"There are no pictures in {folder}.", "Give a folder of JPEG or PNG photos.")
    return pictures


def visible(folder: Path) -> Iterator[Path]:
    """Every file below a folder, but for those in hidden folders, such as thumbnails."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))
