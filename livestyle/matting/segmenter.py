"""Choose and load a segmenter; add one; run those of model cards."""

import math

import numpy as np

from livestyle.config.settings import TRAINABLE, Settings
from livestyle.errors import UserError
from livestyle.image.pixels import fit, pad_to
from livestyle.image.synthetic import seed_of
from livestyle.image.types import Image, Matte, Segmenter, size_of
from livestyle.matting.faults import FaultySegmenter, segmenter_faults
from livestyle.matting.published import (
    SEGMENTERS,
    OtherSegmenter,
    class_numbers,
    load_other_segmenter,
    people,
    refuse_model_file,
    segmenter_name,
)
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine
from livestyle.nets.fetch import silent_progress
from livestyle.nets.library import find_card, find_cards
from livestyle.types import OpenProgress, Size

MAX_STRETCH = 1.04  # of a picture to the multiple that a network takes, so that a webcam's 16:9 needs no margin


class CardSegmenter:
    """A segmenter of a model card. It scales its input to the card's area, and reflects a margin where one is left.

    Args:
        card: the model card; engine: what runs the network.
    """

    def __init__(self, card: Card, engine: Engine) -> None:
        self.card, self.net = card, engine.load(card)

    def __call__(self, image: Image) -> Matte:
        width, height = self.size(size_of(image))
        matte = self.net(pad_to(fit(image, (width, height)), self.card.multiple)[None])[0]
        return np.ascontiguousarray(matte[:height, :width], np.float32)

    def size(self, size: Size) -> Size:
        """Return the width and height of the matte of a picture."""
        return scaled_size(size, self.card.pixels, self.card.multiple)


def scaled_size(size: Size, pixels: int, multiple: int) -> Size:
    """Return the largest size for a network's input.

    The height is a multiple. The width is one too if the picture need not be stretched by more than MAX_STRETCH. Else a
    margin is left beside it, because portraits stretched by 7 % were segmented worse (docs/measurements.md). No margin
    is left below: people are cut off there, and a mirrored person would have two bodies.

    Args:
        size: of the picture; its shape is kept, up to 3:1.
        pixels: the most that the padded input may have.
        multiple: that the padded sides are of.

    Returns:
        The width and height that the picture is scaled to, before it is padded.
    """
    shape = min(3.0, max(1 / 3, size[0] / size[1]))

    def width(height: int) -> int:
        wide = math.ceil(height * shape / multiple - 1e-6) * multiple
        return wide if wide <= height * shape * MAX_STRETCH else max(1, int(height * shape))

    def area(height: int) -> int:
        return math.ceil(width(height) / multiple) * multiple * height

    height = max(height for height in range(multiple, 4 * multiple + math.isqrt(3 * pixels), multiple)
                 if height == multiple or area(height) <= pixels)  # fmt: skip
    return width(height), height


def register_segmenter(
    name: str, segment: Segmenter, title: str = "", license: str = "", source: str = "", data: str = ""
) -> None:
    """Add a segmenter. From then on flags and config files can ask for it by name, and lists show it.

    Args:
        name: as typed.
        segment: takes an image, uint8 (H, W, 3) RGB of any size. It returns the matte, float32 in 0..1 where 1 is
            person, of the same size or a smaller one of the same shape. It is called from one thread at a time.
        title, license, source, data: what lists show.

    Raises:
        ValueError: there is a segmenter of that name.
    """
    if name in SEGMENTERS or name in TRAINABLE:
        raise ValueError(f"There is a segmenter '{name}' already.")
    SEGMENTERS[name] = OtherSegmenter(title or name, license, source, data, lambda file, engine, kept: segment)


def unregister_segmenter(name: str) -> None:
    """Take a segmenter away.

    Raises:
        KeyError: there is none of that name.
    """
    del SEGMENTERS[name]


def load_segmenter(
    settings: Settings, engine: Engine, progress: OpenProgress = silent_progress
) -> tuple[str, Segmenter]:
    """Load the segmenter that the settings name, or the default one. A model card goes before a row of SEGMENTERS.

    Args:
        settings: segmenter, models, classes to keep, file of weights.
        engine: what runs its network.
        progress: shows the download of published weights that are not here yet.

    Returns:
        The name, and the segmenter.

    Raises:
        UserError: there is none of that name, it lacks something, or `keep` names a class that it does not know.
    """
    name = segmenter_name(settings)
    if name and name.startswith("faults:"):  # for tests, and in no list
        return name, FaultySegmenter(segmenter_faults(seed_of(name)))
    if name is not None and name not in find_cards("segmenter", settings.models):
        if name in SEGMENTERS:
            return name, load_other_segmenter(name, engine, settings, progress)
        if name in TRAINABLE:
            command = f"livestyle train segmenter {name} --data PAIRS --rooms ROOMS --perceptual NETS"
            raise UserError(f"The segmenter '{name}' is not trained here.", f"Run: {command}")
    card = find_card("segmenter", name, settings.models, [*SEGMENTERS, *TRAINABLE])
    class_numbers(card.name, settings.keep, people())
    refuse_model_file(card.name, settings)
    return card.name, CardSegmenter(card, engine)
