"""Keep the style of a picture: as a style of the user's own, with a name, a card and a thumbnail."""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from livestyle.config.picture import PREFIX, WHOLE, read_mix
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import move_folder, sha256, write_error
from livestyle.image.io import save_image
from livestyle.image.types import Image
from livestyle.live.better_process import Step
from livestyle.live.controls import Controls
from livestyle.live.gallery import open_gallery
from livestyle.live.pictures import new_name
from livestyle.live.saver import Saver
from livestyle.nets.card import KIND_FOLDERS, ROW, Card, save_card
from livestyle.nets.engine import choose_engine
from livestyle.nets.gallery_rows import save_row
from livestyle.nets.library import find_cards, user_folder
from livestyle.render.picture_rows import open_predictor
from livestyle.render.stylizer import PREDICTOR, digest_of, load_card_style, thumbnail_of
from livestyle.video.sources.clip import DEMO, ClipSource

MAX_WAITING = 2  # styles that wait to be written
MAX_NAME = 40  # letters of a name made from a file's


@dataclass(frozen=True)
class Kept:
    """A style to keep.

    Args:
        name: for it; "" makes one from the picture's file.
        style: `picture:...`.
        card: of its better network; step: that saved it. None keeps the style as it was at once.
    """

    name: str
    style: str
    card: Card | None = None
    step: Step | None = None


class Keeper(Saver):
    """Keep styles in the user's folder of models, on a thread of its own.

    Args:
        settings: of the run, for its models.
        folder: of models to write to; None is the user's own.
    """

    def __init__(self, settings: Settings, folder: Path | None = None) -> None:
        self._models = settings.models
        super().__init__("style", "keep", folder or user_folder(), room=MAX_WAITING)

    def take(self, kept: Kept, controls: Controls) -> Iterator[str]:
        """Have a style kept, and then listed among those of the controls. This never waits. Yield lines for people."""
        if not self._worker.put((kept, controls)):
            yield "The last style is still being kept."

    def _save(self, order: tuple[Kept, Controls]) -> None:
        kept, controls = order
        target = keep_style(kept, self._folder, self._models)
        controls.gallery = replace(open_gallery(self._models), only=controls.gallery.only)
        self._messages.append(f"Kept as the style {target.name}, in {target}")


def free_name(style: str, models: Path | None) -> str:
    """Return a name for the style of a picture that no other style has."""
    first = read_mix(style.removeprefix(PREFIX))[0]
    stem = re.sub(r"\W+", "_", Path(first.path or first.style).stem.lower())[:MAX_NAME].strip("_")
    stem = stem if stem and not stem.isdecimal() else f"picture_{stem}".strip("_")
    known = find_cards("style", models)
    for name in chain([stem], (f"{stem}_{number}" for number in count(2))):
        try:
            return new_name(name, known)
        except UserError:
            continue
    raise AssertionError


def keep_style(kept: Kept, folder: Path, models: Path | None) -> Path:
    """Write a style with its card and its thumbnail, whole or not at all, and return its folder.

    Args:
        kept: the style; folder: of models to write to; models: a folder of models that goes before all others.

    Raises:
        UserError: it cannot be written, or the picture cannot be read any more.
    """
    name = new_name(kept.name, find_cards("style", models)) or free_name(kept.style, models)
    target = folder / KIND_FOLDERS["style"] / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".keep-", dir=folder) as place:  # no style is looked for there
            part = Path(place) / name
            part.mkdir()
            try:
                write_style(kept, part, models)
            except UserError as error:
                raise UserError(error.problem.replace(str(part), str(target)), error.step) from None
            move_folder(part, target)
    except OSError as error:
        raise write_error(target, error) from None
    return target


def write_style(kept: Kept, folder: Path, models: Path | None) -> None:
    """Write the files of a style into its folder, whose name is the style's.

    Raises:
        OSError, UserError: a file cannot be written or read.
    """
    made = better_network(kept.card, folder) if kept.card else predicted_row(kept.style, folder, models)
    facts = {} if kept.step is None else {
        "seconds": round(kept.step.seconds, 1), "images": kept.step.images,
        "loss": round(kept.step.loss, 4), "start_loss": round(kept.step.start_loss, 4),
    }  # fmt: skip
    source, digest = origin_of(kept.style)
    card = replace(
        made, name=folder.name, title=title_of(kept.style), source=source, painting_sha256=digest, license="yours",
        command=f"livestyle live --background {shlex.quote(kept.style)}", figures={**made.figures, **facts},
    )  # fmt: skip
    save_image(
        folder / "thumbnail.png",
        thumbnail_of(load_card_style(card, choose_engine("cpu"), sys.maxsize, models), demo_frame()),
    )
    save_card(card, folder)


def better_network(card: Card, folder: Path) -> Card:
    """Copy the files of a better network into a folder, and return its card there."""
    for file in card.files:
        shutil.copyfile(card.path(file), folder / f"{folder.name}{Path(file).suffix}")
    files = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    return replace(card, files=files, folder=folder, data="the last frames of a camera, which were in memory only")


def predicted_row(style: str, folder: Path, models: Path | None) -> Card:
    """Write the row of a style as it was at once into a folder, and return its card."""
    predictor, file = open_predictor(models), folder / f"{folder.name}.safetensors"
    save_row(predictor.mix(style), file)
    figures: dict[str, float | int | str] = {PREDICTOR: digest_of(predictor.card)}
    return Card(
        folder.name, "style", style, ROW, {file.name: sha256(file)}, "yours", style, predictor.card.data, "", figures,
        multiple=predictor.card.multiple, folder=folder,
    )  # fmt: skip


def origin_of(style: str) -> tuple[str, str]:
    """Return where a style comes from, and the SHA-256 of its picture; "" where that is not one whole picture."""
    first, *others = read_mix(style.removeprefix(PREFIX))
    if others or first.region != WHOLE or not first.path:
        return style, ""
    path = Path(first.path).absolute()
    return str(path), sha256(path)


def title_of(style: str) -> str:
    """Return a title for the style of a picture, from the names of files and styles."""
    return " and ".join(
        Path(one.path or one.style).stem.replace("_", " ") for one in read_mix(style.removeprefix(PREFIX))
    )


def demo_frame() -> Image:
    """Return the first frame of the demo clip, uint8 (H, W, 3) RGB: no camera's picture is in a thumbnail."""
    with ClipSource(str(DEMO)) as clip:
        return next(iter(clip)).image
