"""Looks that are pictures: a picture, a part of one, and mixes with other pictures and styles, as text."""

import mimetypes
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from livestyle.config.names import find_name, unknown
from livestyle.errors import UserError

PREFIX = "picture:"
WHOLE = (0.0, 0.0, 1.0, 1.0)
NUMBER = r"(?:\d+\.?\d*|\.\d+)"
REGION_FORM = re.compile(rf"(.+)#({NUMBER}),({NUMBER}),({NUMBER}),({NUMBER})")
HERE = Path()

Region = tuple[float, float, float, float]  # x, y, width and height in shares of a picture


class RowTitle(str):
    """The title of a style that is a row of numbers: two such styles are mixed as one row, for the cost of one."""

    __slots__ = ()


@dataclass(frozen=True)
class Ingredient:
    """A picture or a style in a mix.

    Args:
        share: of the mix, in 0..1.
        path: of the picture; "" for a style.
        region: of the picture.
        style: name of the style; "" for a picture.
    """

    share: float
    path: str = ""
    region: Region = WHOLE
    style: str = ""

    @property
    def text(self) -> str:
        """Return the ingredient as it is written, without its share."""
        where = "" if self.region == WHOLE else "#" + ",".join(f"{number:g}" for number in self.region)
        return self.style or f"{self.path}{where}"

    @property
    def words(self) -> str:
        """Return what to call it."""
        return self.style or Path(self.path).name


def read_mix(text: str, base: Path = HERE) -> tuple[Ingredient, ...]:
    """Read what stands behind `picture:`: one picture, two, or a picture and a style.

    A file of the whole text's name wins, and a part of one. Else it is split at the last `@`, then at a `+`. `#` counts
    only before four numbers.

    Args:
        text: as typed; base: the folder that its paths are relative to.

    Raises:
        UserError: no picture of that name is there, or the text cannot be read.
    """
    if "+" not in text or is_there(text, base):
        return (read_ingredient(text, 1.0, base),)
    mix, _, number = text.rpartition("@")
    other = share_of(number, text) if "+" in mix else 0.5
    mix = mix if "+" in mix else text
    halves = [
        (mix[:cut].strip(), mix[cut + 1 :].strip().removeprefix(PREFIX)) for cut in range(len(mix)) if mix[cut] == "+"
    ]
    fitting = [half for half in halves if all(is_there(part, base) or is_name(part) for part in half)]
    first, second = (fitting or halves)[0]
    return read_ingredient(first, 1 - other, base), read_ingredient(second, other, base)


def read_ingredient(text: str, share: float, base: Path) -> Ingredient:
    """Read a picture's path, with a region of it or without, or a style's name.

    Args:
        text: as typed; share: of the mix; base: the folder that its path is relative to.

    Raises:
        UserError: there is no such file, or the region is not inside the picture.
    """
    found, path = REGION_FORM.fullmatch(text), located(text, base)
    if found and not os.path.exists(path):
        path, (x, y, w, h) = located(found[1], base), (float(number) for number in found.groups()[1:])
        if not (w > 0 and h > 0 and x + w <= 1.0001 and y + h <= 1.0001):
            raise UserError(f"The part {x:g},{y:g},{w:g},{h:g} is not inside {path}.", "Give x,y,w,h in shares of 1.")
        return Ingredient(share, existing(path), (x, y, w, h))
    if is_name(text) and not (os.path.isfile(path) or (share == 1 and os.path.isdir(path))):
        return Ingredient(share, style=text)
    return Ingredient(share, existing(path))


def located(path: str, base: Path) -> str:
    """Return the path of a file that is named relative to a folder or to the user's home."""
    with suppress(RuntimeError, ValueError):  # an unknown home
        path = str(Path(path).expanduser()) if path.startswith("~") else path
    return str(base / path) if base != HERE else path


def existing(path: str) -> str:
    """Return a path at which there is a file.

    Raises:
        UserError: there is none, or something else.
    """
    if "://" in path:
        raise UserError(f"{path} is not on this computer.", "Save it first, and give its file.")
    if not path or not os.path.exists(path):
        raise UserError(f"There is no file {path or 'without a name'}.", "Check the name.")
    if not os.path.isfile(path):  # a folder in a mix, a pipe or a device, which might be read forever
        raise UserError(f"{path} is not the file of a picture.", "Give one.")
    return path


def is_there(text: str, base: Path) -> bool:
    """Return whether a text names a file, or a part of a picture's file."""
    found = REGION_FORM.fullmatch(text)
    return any(os.path.exists(located(path, base)) for path in (text, *([found[1]] if found else [])))


def is_name(text: str) -> bool:
    """Return whether a text may be the name of a style."""
    return bool(re.fullmatch(r"[^+@:#/\\.]+", text))


def share_of(number: str, text: str) -> float:
    """Return a share in 0..1.

    Raises:
        UserError: it is none.
    """
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"In the look '{text}', '{number}' is no share.", "Write a number from 0 to 1 behind the @.")
    return value


def anchored_mix(text: str, base: Path) -> str:
    """Return a picture's look with absolute paths; a text that cannot be read, as one path.

    Args:
        text: what stands behind `picture:`; base: the folder that its paths are relative to.
    """
    try:
        return mix_text(read_mix(text, base))
    except UserError:
        return f"{PREFIX}{located(text, base)}"


def mix_text(mix: tuple[Ingredient, ...]) -> str:
    """Return the text of a mix, as `read_mix` reads it."""
    first, *others = mix
    return PREFIX + "".join([first.text, *(f"+{other.text}@{other.share:g}" for other in others)])


def mix_words(mix: tuple[Ingredient, ...]) -> str:
    """Return what to call a mix, with the names of files in place of their paths."""
    first, *others = mix
    return PREFIX + "".join([first.words, *(f"+{other.words}@{other.share:g}" for other in others)])


def mix_stems(look: str) -> str:
    """Return the text of a picture's look with the stems of its files in place of their paths, for a file's name."""
    try:
        mix = read_mix(look.removeprefix(PREFIX))
    except UserError:  # a folder, or a file that has gone
        return Path(look.removeprefix(PREFIX)).stem
    return mix_text(tuple(replace(one, path=Path(one.path).stem) for one in mix)).removeprefix(PREFIX)


def paths_in(look: str) -> list[str]:
    """Return the paths of the files in a picture's look; none of a text that is no such look."""
    with suppress(UserError, ValueError):
        return [one.path for one in read_mix(look.removeprefix(PREFIX)) if one.path]
    return []


def mixed_rows(found: list[tuple[str, float]], styles: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
    """Return styles with their shares; two that are rows as the one style of their mix.

    Args:
        found: names and shares; styles: titles of the styles that there are, by name.
    """
    if len(found) > 1 and all(isinstance(styles[name], RowTitle) for name, _ in found):
        return ((mix_text(tuple(Ingredient(share, style=name) for name, share in found)), 1.0),)
    return tuple(found)


def with_exact_names(mix: tuple[Ingredient, ...], styles: Mapping[str, str]) -> tuple[Ingredient, ...]:
    """Return a mix with the exact names of its styles.

    Args:
        mix: the mix; styles: titles of the styles that there are, by name.

    Raises:
        UserError: there is no such style.
    """
    found = []
    for one in mix:
        name = find_name(one.style, styles) if one.style else ""
        if name is None:
            raise unknown("style", one.style, list(styles), "All: livestyle list styles.")
        found.append(replace(one, style=name))
    return tuple(found)


def pictures_in(folder: str) -> list[str]:
    """Return the paths of the pictures in a folder, sorted.

    Raises:
        UserError: there are none, or the folder cannot be read.
    """
    try:
        names = sorted(e.name for e in os.scandir(folder) if os.path.isfile(e.path) and e.name[0] != ".")
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read: {error.strerror}.", "Check its rights.") from None
    found = [str(Path(folder, name)) for name in names if media_type(name) == "image"]
    if not found:
        raise UserError(f"There is no picture in the folder {folder}.", "Give another folder.")
    return found


def is_picture(text: str, base: Path = HERE) -> bool:
    """Return whether a look without a kind names a picture that is there, a part of one, or a mix with one.

    Args:
        text: the look; base: the folder that its paths are relative to.
    """
    if os.path.isfile(located(text, base)):
        return media_type(text) == "image"
    try:
        mix = read_mix(text, base)
    except UserError:  # which is told where one of its files is there
        parts = (text.rpartition("@")[0] or text).split("+")
        return any(media_type(part) == "image" and os.path.isfile(located(part, base)) for part in parts)
    return any(os.path.isfile(one.path) and media_type(one.path) == "image" for one in mix)


def media_type(path: str) -> str:
    """Return "image" or "video" for a name that ends as one of a picture or clip does, else ""."""
    if path.lower().endswith((".heic", ".heif", ".webp", ".avif")):  # which older Pythons do not know
        return "image"
    kind = (mimetypes.guess_type(path)[0] or "").partition("/")[0]
    return kind if kind in ("image", "video") else ""
