"""Read portrait datasets: pairs of picture and matte, and rooms without people."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image as Pil

from livestyle.errors import UserError
from livestyle.image.io import PILLOW_FORMATS, load_image
from livestyle.image.types import Gray, Image, Matte, size_of
from livestyle.types import Size

Warn = Callable[[str], None]  # takes a line for people

EXIF_ORIENTATION = 274
ROTATED = {5, 6, 7, 8}  # orientations for which width and height change places
READ_ERRORS = (
    OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError, UserError,
    zlib.error, cv2.error, Pil.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A picture and its true matte.

    Args:
        picture, matte: files.
        layout: the name in LAYOUTS that says how to read the matte.
    """

    picture: Path
    matte: Path
    layout: str = "pairs"

    @property
    def name(self) -> str:
        """The name of the picture's file."""
        return self.picture.name


Item = TypeVar("Item", Pair, Path)


@dataclass(frozen=True)
class Layout:
    """How a collection of portraits lies on disk: a row of LAYOUTS.

    Args:
        find: takes a folder, and whether the pictures held out from training are wanted, where the collection says
            which those are. Yields each picture with the file where its matte should be.
        size: returns the width and height of a matte, from the file's header. It may raise any of READ_ERRORS.
        read: returns a matte, uint8 (H, W), 255 is person. It may raise any of READ_ERRORS.
    """

    find: Callable[[Path, bool], Iterator[tuple[Path, Path]]]
    size: Callable[[Path], Size]
    read: Callable[[Path], Gray]


def find_aisegment(folder: Path, _: bool) -> Iterator[tuple[Path, Path]]:
    """Yield clip_img/X/clip_Y/NAME.jpg with matting/X/matting_Y/NAME.png."""
    for picture in folder.glob("clip_img/*/clip_*/*.jpg"):
        day, clip = picture.parts[-3:-1]
        yield picture, folder / "matting" / day / clip.replace("clip_", "matting_", 1) / f"{picture.stem}.png"


def find_eg1800(folder: Path, held_out: bool) -> Iterator[tuple[Path, Path]]:
    """Yield Images/NAME with Labels/NAME.png or NAME_mask.png.

    The pictures that eg1800_train.txt names are for training; without that list all are. Held out are those that
    eg1800_test.txt names; without that list all others are. Shen et al. 2016 published images_data_crop/, with GT_png/
    in copies of it. Zhang et al. 2019 published Images/ and Labels/.
    """
    train, test = (listed(folder, f"eg1800_{part}.txt") for part in ("train", "test"))
    for images, labels in (("Images", "Labels"), ("images_data_crop", "GT_png"), ("images_data_crop", "Labels")):
        for picture in folder.glob(f"{images}/*.[jp][pn]g") if (folder / labels).is_dir() else ():
            masked = folder / labels / f"{picture.stem}_mask.png"
            is_tested = picture.stem in test if test else picture.stem not in train
            if is_tested if held_out else (not train or picture.stem in train):
                yield picture, masked if masked.is_file() else folder / labels / f"{picture.stem}.png"


def listed(folder: Path, name: str) -> set[str]:
    """Return the names of pictures, without suffix, in a list of EG1800; none if there is no such file."""
    lists = [file for file in (folder / name, folder / name.replace("eg", "EG")) if file.is_file()]
    return {Path(line.strip()).stem for line in lists[0].read_text("utf-8-sig").splitlines()} if lists else set()


def find_supervisely(folder: Path, _: bool) -> Iterator[tuple[Path, Path]]:
    """Yield DATASET/img/NAME.EXT with DATASET/ann/NAME.EXT.json, or with NAME.json as in the first release."""
    for picture in folder.glob("*/img/*.*"):
        notes = picture.parent.parent / "ann"
        early = notes / f"{picture.stem}.json"
        yield picture, early if early.is_file() else notes / f"{picture.name}.json"


def find_plain(folder: Path, _: bool) -> Iterator[tuple[Path, Path]]:
    """Yield NAME.jpg with NAME.png."""
    return ((picture, picture.with_suffix(".png")) for picture in folder.glob("*.jpg"))


def png_size(path: Path) -> Size:
    """Return the width and height in a picture's header."""
    with Pil.open(path, formats=PILLOW_FORMATS) as file:
        return file.size


def read_gray(path: Path) -> Gray:
    """Read a grey picture, 255 is person. 16 bits are scaled down to 8."""
    with Pil.open(path, formats=PILLOW_FORMATS) as file:
        if file.mode.startswith("I"):  # which convert() would clip
            return np.ascontiguousarray(load_image(path)[..., 0])
        return np.array(file.convert("L"), np.uint8)


def read_alpha(path: Path) -> Gray:
    """Read the transparency of a picture as the matte."""
    with Pil.open(path, formats=PILLOW_FORMATS) as file:
        return np.array(file.getchannel("A"), np.uint8)


def read_mask(path: Path) -> Gray:
    """Read a mask of 0 and 1, or of 0 and 255."""
    with Pil.open(path, formats=PILLOW_FORMATS) as file:
        values = np.array(file if file.mode == "P" else file.convert("L"), np.uint8)
    return np.asarray(values * 255, np.uint8) if values.max() <= 1 else values


def notes_size(path: Path) -> Size:
    """Return the width and height in a Supervisely annotation."""
    size = json.loads(path.read_text("utf-8-sig"))["size"]
    return int(size["width"]), int(size["height"])


def read_notes(path: Path) -> Gray:
    """Draw all people of a Supervisely annotation: bitmaps and polygons whose class begins with "person"."""
    notes = json.loads(path.read_text("utf-8-sig"))
    matte = np.zeros((notes["size"]["height"], notes["size"]["width"]), np.uint8)
    for thing in notes["objects"]:
        if thing["classTitle"].lower().startswith("person"):
            shape = "bitmap" if thing.get("bitmap") else "polygon"
            matte = np.maximum(matte, SHAPES[shape](thing, size_of(matte[..., None])))
    return matte


def draw_bitmap(thing: dict[str, Any], size: Size) -> Gray:
    """Draw a base64 zlib PNG, opaque or not 0 on the object, at its origin (x, y)."""
    packed = zlib.decompress(base64.b64decode(thing["bitmap"]["data"]))
    pixels = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("a bitmap that cannot be decoded")
    mask = (pixels[..., -1] if pixels.ndim == 3 else pixels) > 0
    (x, y), canvas = thing["bitmap"]["origin"], np.zeros(size[::-1], np.uint8)
    part = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    part[mask[: part.shape[0], : part.shape[1]]] = 255
    return canvas


def draw_polygon(thing: dict[str, Any], size: Size) -> Gray:
    """Draw an outline without its holes."""
    canvas = np.zeros(size[::-1], np.uint8)
    outline, holes = thing["points"]["exterior"], thing["points"]["interior"]
    for points, value in ((outline, 255), *((hole, 0) for hole in holes)):
        cv2.fillPoly(canvas, [np.round(np.array(points, np.float64)).astype(np.int32).reshape(-1, 2)], value)
    return canvas


SHAPES: dict[str, Callable[[dict[str, Any], Size], Gray]] = {"bitmap": draw_bitmap, "polygon": draw_polygon}


# The first layout in which a folder holds pictures is taken. Plain pairs come last.
LAYOUTS = {
    "AISegment": Layout(find_aisegment, png_size, read_alpha),
    "EG1800": Layout(find_eg1800, png_size, read_mask),
    "Supervisely Person": Layout(find_supervisely, notes_size, read_notes),
    "pairs": Layout(find_plain, png_size, read_gray),
}


def list_pairs(folder: Path, warn: Warn = lambda line: None, held_out: bool = False) -> list[Pair]:
    """List the pairs of a folder in one of LAYOUTS, sorted. Pairs with a faulty header are left out.

    Args:
        folder: the collection.
        warn: takes a line for each kind of fault.
        held_out: whether the pairs held out from training are wanted, where the collection says which those are.

    Raises:
        UserError: there are no pairs.
    """
    for name, layout in LAYOUTS.items():
        found = sorted((p, m) for p, m in layout.find(folder, held_out) if not p.name.startswith("."))
        if found:
            pairs = leave_out([Pair(*paths, name) for paths in found], pair_fault, warn)
            if pairs:
                return pairs
    raise UserError(
        f"There are no pairs of NAME.jpg and NAME.png in {folder}.",
        f"Give a folder of such, or one of {', '.join(list(LAYOUTS)[:-1])} as published.",
    )


def list_rooms(pictures: list[Path], warn: Warn = lambda line: None) -> list[Path]:
    """Return the pictures without those with a faulty header.

    Args:
        pictures: files.
        warn: takes a line about what is left out.

    Raises:
        UserError: none is left.
    """
    rooms = leave_out(pictures, room_fault, warn)
    if not rooms:
        raise UserError("None of the rooms can be read.", "Give another folder of rooms.", "rooms")
    return rooms


def leave_out(items: list[Item], fault: Callable[[Item], str], warn: Warn) -> list[Item]:
    """Return the items without a fault. Each kind of fault is reported once, with the count and the first names.

    Args:
        items: pairs or pictures.
        fault: returns the fault of an item, or "".
        warn: takes a line for each kind of fault.
    """
    faults: dict[str, list[str]] = {}
    kinds = [fault(item) for item in items]
    for kind, item in zip(kinds, items, strict=True):
        faults.setdefault(kind, []).append(item.name)
    faults.pop("", None)
    for kind, names in faults.items():
        warn(fault_line(kind, names))
    return [item for kind, item in zip(kinds, items, strict=True) if not kind]


def fault_line(kind: str, names: list[str]) -> str:
    """Return a line about pictures that are left out."""
    return f"Left out, {kind}: {len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def pair_fault(pair: Pair) -> str:
    """Return what is wrong with a pair by its headers, or "". Decoding thousands of pictures would take minutes."""
    if not pair.matte.is_file():
        return "no matte"
    try:
        same = upright_size(pair.picture) == LAYOUTS[pair.layout].size(pair.matte)
    except READ_ERRORS:
        return "unreadable"
    return "" if same else "a matte of another size"


def room_fault(path: Path) -> str:
    """Return what is wrong with a picture by its header, or ""."""
    try:
        upright_size(path)
    except READ_ERRORS:
        return "unreadable"
    return ""


def upright_size(path: Path) -> Size:
    """Return the width and height of a picture after it is turned upright."""
    with Pil.open(path, formats=PILLOW_FORMATS) as file:
        turned = file.getexif().get(EXIF_ORIENTATION) in ROTATED
        return file.size[::-1] if turned else file.size


def read_pair(pair: Pair) -> tuple[Image, Gray]:
    """Read a picture, uint8 (H, W, 3), and its true matte, uint8 (H, W), 255 is person.

    Raises:
        UserError: one of them cannot be read to its end, or they differ in size.
    """
    image = load_image(pair.picture)
    try:
        matte = LAYOUTS[pair.layout].read(pair.matte)
    except READ_ERRORS as error:
        raise UserError(f"The matte {pair.matte} cannot be read: {error}.", "Remove the pair.") from None
    if matte.shape != image.shape[:2]:
        raise UserError(f"The matte {pair.matte} is not of its picture's size.", "Remove the pair.")
    return image, matte


def read_truth(pair: Pair) -> tuple[Image, Matte]:
    """Read a picture, uint8 (H, W, 3), and its true matte, float32 (H, W) in 0..1.

    Raises:
        UserError: as of `read_pair`.
    """
    image, gray = read_pair(pair)
    return image, gray.astype(np.float32) / np.float32(255)
