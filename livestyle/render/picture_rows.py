"""Rows of pictures and of styles that have one: predicted from a picture, kept in a cache, mixed."""

import hashlib
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from livestyle.config.picture import PREFIX, WHOLE, Ingredient, Region, existing, read_mix
from livestyle.errors import UserError
from livestyle.files import atomic_write, sha256
from livestyle.image.types import Image
from livestyle.nets.card import ROW, Card
from livestyle.nets.engine import Engine
from livestyle.nets.gallery_rows import read_row
from livestyle.nets.library import cache_folder, find_card, find_painting
from livestyle.nets.load import prepare_rows
from livestyle.nets.picture_reader import PictureReader
from livestyle.nets.row_net import Row, RowPainter
from livestyle.nets.style_reader import FLAT_SHARE, edge_share, load_style_picture
from livestyle.types import Size

MAX_PICTURE_MB = 256  # of a file
MAX_CACHED = 1000  # pictures, of 4 kB
MAX_MIXED = 32
DIGEST_BYTES = 32  # of SHA-256
SMALL_SIZE: Size = 256, 144  # of small pictures: smaller ones have no room for strokes
MAX_SMALL_ROWS = 32  # that are kept for them


@dataclass(frozen=True)
class Reading:
    """What was read of a picture.

    Args:
        row: of its style; edges: see `edge_share`.
    """

    row: Row
    edges: float


@lru_cache(2)
def open_predictor(models: Path | None) -> "Predictor":
    """Return the predictor of rows. It is loaded once.

    Args:
        models: a folder of models that goes before all others, or None.

    Raises:
        UserError: there is none, or a file is damaged.
    """
    return Predictor(find_card("predictor", None, models), models)


class Predictor:
    """Give the rows of pictures and styles.

    Args:
        card: of the predictor; models: a folder of models that goes before all others, or None.
    """

    def __init__(self, card: Card, models: Path | None) -> None:
        self.card, self._models = card, models
        self._reader: PictureReader | None = None
        self._mixed: dict[str, Row] = {}  # rows of the last looks

    def mix(self, text: str) -> Row:
        """Return the row of a look `picture:...`, mixed of its ingredients.

        Raises:
            UserError: a picture cannot be read, or a style has no painting here.
        """
        try:
            rows = [one.share * self.ingredient(one) for one in read_mix(text.removeprefix(PREFIX))]
        except UserError:
            if text not in self._mixed:
                raise
            return self._mixed[text]  # what is painted goes on, whatever becomes of its file
        self._mixed[text] = np.asarray(sum(rows[1:], rows[0]), np.float32)
        for old in list(self._mixed)[:-MAX_MIXED]:
            del self._mixed[old]
        return self._mixed[text]

    def note(self, text: str) -> str:
        """Return what people should know about the pictures of a look `picture:...`, or ""."""
        with suppress(UserError):
            pictures = [one for one in read_mix(text.removeprefix(PREFIX)) if one.path]
            flat = [one.words for one in pictures if self.picture(Path(one.path), one.region).edges < FLAT_SHARE]
            if flat:
                return f"{flat[0]} is almost flat: it gives its colours, and hardly any strokes."
        return ""

    def ingredient(self, one: Ingredient) -> Row:
        """Return the row of a picture, or of a style's painting.

        Raises:
            UserError: the picture cannot be read, or the style has no painting here.
        """
        if not one.style:
            return self.picture(Path(one.path), one.region).row
        card = find_card("style", one.style, self._models)
        return read_row(card) if card.net == ROW else self.picture(find_painting(one.style, self._models)).row

    def picture(self, path: Path, region: Region = WHOLE) -> Reading:
        """Read a picture, from the cache where it is there.

        Args:
            path: of the picture; region: of it.

        Raises:
            UserError: it cannot be read.
        """
        kept = cache_folder() / "pictures" / self._digest(path, region)
        reading = kept_reading(kept)
        if reading is None:
            picture = load_style_picture(path, region)
            reading = Reading(self.read(picture), edge_share(picture))
            keep_reading(kept, reading)
        return reading

    def _digest(self, path: Path, region: Region) -> str:
        try:
            existing(str(path))  # it may have become a pipe, which might be read forever
            if path.stat().st_size > MAX_PICTURE_MB << 20:
                raise UserError(f"{path} has more than {MAX_PICTURE_MB} MB.", "Give a smaller picture.")
            parts = [sha256(path), *map(str, region), *sorted(self.card.files.values())]
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.", "Check the file.") from None
        return hashlib.sha256("/".join(parts).encode()).hexdigest()[:40]

    def prepare(self, engine: Engine) -> None:
        """Load what the first picture needs, so that it is painted sooner.

        Args:
            engine: that will run its network.

        Raises:
            UserError: a file is missing or damaged.
        """
        self._opened()
        prepare_rows(engine, self.card)

    def read(self, picture: Image) -> Row:
        """Return the row of a picture, uint8 (H, W, 3) RGB, as `load_style_picture` returns it.

        Raises:
            UserError: a file of the models is missing or damaged.
        """
        return self._opened()(picture)

    def _opened(self) -> PictureReader:
        if self._reader is None:
            network = find_card("loss-network", "compact", self._models).path(".safetensors")
            self._reader = PictureReader(network, self.card.path(".safetensors"))
        return self._reader


class SmallPainter:
    """Paint small pictures in looks `picture:...`, all by one network.

    Args:
        models: a folder of models that goes before all others, or None.

    Raises:
        UserError: there is no predictor, or a file is damaged.
    """

    def __init__(self, models: Path | None) -> None:
        self._predictor, self._rows = open_predictor(models), OrderedDict[str, Row]()
        self._paint = RowPainter(self._predictor.card.path(".onnx"), SMALL_SIZE)

    def __call__(self, image: Image, text: str) -> Image:
        """Return a picture of SMALL_SIZE, uint8 (H, W, 3), painted in a look.

        Raises:
            UserError: the look's picture cannot be read.
        """
        if text not in self._rows:
            self._rows[text] = self._predictor.mix(text)
            if len(self._rows) > MAX_SMALL_ROWS:
                self._rows.popitem(last=False)
        return self._paint(image, self._rows[text])


def kept_reading(file: Path) -> Reading | None:
    """Return what was kept of a picture; None where nothing is there, or not what was written."""
    with suppress(OSError):
        content = file.read_bytes()
        values, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if values and hashlib.sha256(values).digest() == digest:
            with suppress(OSError):
                os.utime(file)  # the least recently used go first
            numbers = np.frombuffer(values, np.float32)
            return Reading(numbers[:-1], float(numbers[-1]))
    return None


def keep_reading(file: Path, reading: Reading) -> None:
    """Write into the cache, if that can be written, and remove the least recently used of too many."""
    values = np.append(reading.row, np.float32(reading.edges)).tobytes()
    with suppress(OSError, UserError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_bytes(values + hashlib.sha256(values).digest())
        kept = [one for one in file.parent.iterdir() if len(one.name) == len(file.name)]
        for old in sorted(kept, key=lambda one: one.stat().st_mtime)[:-MAX_CACHED]:
            old.unlink(missing_ok=True)
