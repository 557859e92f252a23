"""What files of the user's own become: a picture is painted in, a clip is shown."""

import mimetypes
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from livestyle.config.look import PICTURE, Plane, parse_plane
from livestyle.config.picture import paths_in, pictures_in
from livestyle.errors import UserError
from livestyle.nets.library import check_style_name

ENOUGH_PX = 768  # a short side that a style is read at


def plane_of_files(text: str) -> Plane:
    """Return the look of files that were named or dropped: the first picture, or else that of a folder, or a clip.

    Args:
        text: their paths, one a line. With several pictures of one folder, keys step through that folder.

    Raises:
        UserError: there is no such file, or no picture in the folder.
    """
    path, pictures = chosen(text), [line for line in text.splitlines() if is_still(line)]
    if not (is_still(path) or Path(path).is_dir()):
        return parse_plane(f"video:{path}")
    plane = parse_plane(f"{PICTURE}:{path}")
    folders = {str(Path(one).parent) for one in pictures}
    return replace(plane, folder=folders.pop()) if len(pictures) > 1 == len(folders) else plane


def backdrop_of_files(text: str) -> Plane:
    """Return the look that shows a file as it is. The arguments and errors are those of `plane_of_files`."""
    path = chosen(text)
    path = pictures_in(path)[0] if Path(path).is_dir() else path
    return parse_plane(f"{'image' if is_still(path) else 'video'}:{path}")


def chosen(text: str) -> str:
    """Return the path that counts of some, one a line: of the first picture, or else folder, or file.

    Raises:
        UserError: it is an address of another computer.
    """
    paths = text.splitlines()
    pictures = [path for path in paths if is_still(path)]
    path = (pictures or [path for path in paths if Path(path).is_dir()] or paths)[0]
    if "://" in path:
        raise UserError(f"{path} is not on this computer.", "Save it first, and open the file.")
    return path


def is_still(path: str) -> bool:
    """Return whether a path is that of a picture that does not move. Most GIFs do."""
    from livestyle.image.io import READABLE_SUFFIXES  # which the table of actions does not need

    name = path.lower()
    is_picture = name.endswith(READABLE_SUFFIXES) or "image" in (mimetypes.guess_type(path)[0] or "")
    return is_picture and not name.endswith(".gif") and not Path(path).is_dir()


def check_pictures(plane: Plane) -> None:
    """Refuse a look `picture:...` with a file that does not begin as a picture does. It is read later.

    Raises:
        UserError: there is such a file.
    """
    from livestyle.image.io import check_picture

    for path in paths_in(plane.text) if plane.kind == PICTURE else []:
        check_picture(Path(path), ENOUGH_PX)


def neighbor(plane: Plane, by: int, refused: Collection[str] = ()) -> Plane:
    """Return the look of the picture `by` places after that of a look, in the folder that it was chosen from.

    Args:
        plane: has a folder.
        refused: texts of looks that could not be painted. They are left out.

    Raises:
        UserError: the folder cannot be read, or has no pictures any more.
    """
    paths = [path for path in pictures_in(plane.folder) if f"{PICTURE}:{path}" not in refused or path == plane.path]
    index = paths.index(plane.path) + by if plane.path in paths else 0
    return replace(parse_plane(f"{PICTURE}:{paths[index % len(paths)]}"), folder=plane.folder)


def style_of_picture(planes: Iterable[Plane]) -> str:
    """Return the style of the first look that is a picture, `picture:...`.

    Raises:
        UserError: there is none.
    """
    found = next((style for plane in planes for style, _ in plane.styles if plane.kind == PICTURE), "")
    if not found:
        raise UserError("Only the style of a picture can be kept.", "Show one first: a look picture:FILE.")
    return found


def new_name(name: str, known: Collection[str]) -> str:
    """Return a name once it can be that of a new style; "" stands for one that is made.

    Args:
        name: as typed; known: the names that styles have.

    Raises:
        UserError: it cannot.
    """
    if name:
        check_style_name(name)
    if name in known:
        raise UserError(f"There is a style {name} already.", "Give another name.")
    return name
