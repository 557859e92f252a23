"""Make the pictures of README and docs from the clip inside the package.

python scripts/assets/make_pictures.py docs/pictures
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from livestyle.config.look import NONE, Look, look_of, parse_plane
from livestyle.config.settings import Settings
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import fit, to_gray
from livestyle.image.types import Frame, Image
from livestyle.live.actions import make_controls, open_controls
from livestyle.live.preview import scene_of
from livestyle.live.shown import Shown
from livestyle.nets.library import find_nets, find_painting
from livestyle.render.filter import Filter
from livestyle.video.sources.open import open_source
from livestyle.video.window.layout import first_size
from livestyle.video.window.overlay import Overlay
from livestyle.video.window.preview import HOVER_WORDS

LOOKS = {
    "great_wave": Settings(background="great_wave"),
    "person": Settings(background="none", person="street_berlin"),
    "both": Settings(background="wheat_field_cypresses", person="bayeux_tapestry"),
    "blur": Settings(background="blur:0.7"),
}
WARM = 10  # frames for the matte to settle
TURNS = (  # of the moving picture
    Settings(background="none"),
    Settings(background="great_wave"),
    Settings(background="starry_night"),
    Settings(background="seine_at_grande_jatte"),
    Settings(background="none", person="street_berlin"),
    Settings(background="wheat_field_cypresses", person="bayeux_tapestry"),
)
TILE, WORDS, COLUMNS = (240, 135), 26, 5  # of the gallery: a thumbnail, the height of its name, how many in a row
TURN, MOVING, PACE = 28, (400, 225), 2  # frames of each, the size, and one frame in so many

DROPPED, DRAGGED_PX = "wheat_field_cypresses", 220  # a painting, and its width
SHEET_PX, GAP = 1400, 16  # of two windows, and what is between them


def main() -> None:
    """Write before, matte and each look."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with open_source("demo") as source:
        frames = [frame for frame, _ in zip(source, range(WARM), strict=False)]
    save_image(folder / "before.jpg", frames[-1].image)
    for name, settings in LOOKS.items():
        with Filter(settings) as filter:
            pictures = [filter(frame, look_of(settings, "")) for frame in frames]
            save_image(folder / f"{name}.jpg", pictures[-1])
    save_image(folder / "window.jpg", preview(frames))
    save_image(folder / "dropped.jpg", dropped(frames, find_painting(DROPPED)))
    save_moving(folder / "moving.webp")
    save_gallery(folder / "gallery.jpg")
    with Filter(Settings()) as filter:
        mattes = [filter.matte(frame) for frame in frames]
        save_image(folder / "matte.jpg", np.repeat(to_gray(mattes[-1])[..., None], 3, axis=2))


def save_moving(path: Path) -> None:
    """Six looks one after the other, as a moving picture."""
    pictures, looks = [], [look_of(settings, "") for settings in TURNS]
    with open_source("demo") as source, Filter(Settings()) as filter:
        for number, frame in zip(range(TURN * len(looks)), source, strict=False):
            picture = filter(frame, looks[number // TURN])
            if number % PACE == 0:
                pictures.append(Pil.fromarray(fit(picture, MOVING)))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40 * PACE, loop=0, quality=60, method=6)


def save_gallery(path: Path) -> None:
    """The thumbnails of all styles with their names."""
    cards = list(find_nets("style").values())
    width, height = TILE[0], TILE[1] + WORDS
    sheet = Pil.new("RGB", (COLUMNS * width, -(-len(cards) // COLUMNS) * height), "white")
    pen, face = ImageDraw.Draw(sheet), ImageFont.load_default(WORDS - 10)
    for at, card in enumerate(cards):
        left, top = at % COLUMNS * width, at // COLUMNS * height
        sheet.paste(Pil.open((card.folder or Path()) / "thumbnail.png").convert("RGB"), (left, top))
        pen.text((left + width // 2, top + TILE[1] + WORDS // 2), card.name, "black", face, anchor="mm")
    sheet.save(path, quality=88)


def preview(frames: list[Frame]) -> Image:
    """The window: HUD, styles, and a line between before and after."""
    controls = open_controls(Settings(background="starry_night"))
    controls.pace = {"fps": 30, "latency_ms": 31, "dropped": 0, "quality": "480x270"}
    for action in ("strip", "split"):
        controls.press(action)
    with Filter(Settings()) as filter:
        picture = [filter(frame, controls.look) for frame in frames][-1]
        scene = scene_of(controls, Shown(frames[-1], picture, controls.look), filter.segmenter, filter.matte)
    return Overlay(is_below=True).draw(picture, scene, first_size((960, 540), True, (1920, 1080)))


def dropped(frames: list[Frame], painting: Path) -> Image:
    """The window while a painting is dragged onto it, and then."""
    size, picture = first_size((640, 360), True, (1280, 720)), load_image(painting)
    picture = fit(picture, (DRAGGED_PX, round(DRAGGED_PX * picture.shape[0] / picture.shape[1])))
    views = []
    with Filter(Settings(quality="best")) as filter:
        for look in (Look(NONE), Look(parse_plane(f"picture:{painting}"))):
            controls = make_controls(look)
            controls.pace = {"fps": 30, "latency_ms": 31, "dropped": 0, "quality": "640x360"}
            painted = [filter(frame, look) for frame in frames][-1]
            overlay = Overlay(is_below=True)
            if look.background == NONE:
                overlay.notice(HOVER_WORDS)
            scene = scene_of(controls, Shown(frames[-1], painted, look), filter.segmenter, filter.matte)
            views.append(Pil.fromarray(overlay.draw(painted, scene, size)))
    sheet = Pil.new("RGB", (2 * size[0] + GAP, size[1]), "white")
    sheet.paste(views[0], (0, 0))
    sheet.paste(views[1], (size[0] + GAP, 0))
    left, top = size[0] // 2 + 100, size[1] // 3
    sheet.paste(Pil.fromarray(np.pad(picture, ((3, 3), (3, 3), (0, 0)), constant_values=255)), (left, top))
    tip = left + DRAGGED_PX // 2, top + picture.shape[0] // 2
    arrow = [(tip[0] + x, tip[1] + y) for x, y in ((0, 0), (0, 33), (8, 26), (14, 38), (20, 35), (14, 23), (24, 23))]
    ImageDraw.Draw(sheet).polygon(arrow, "black", "white", 2)
    return fit(np.asarray(sheet, np.uint8), (SHEET_PX, round(SHEET_PX * sheet.height / sheet.width)))


if __name__ == "__main__":
    main()
