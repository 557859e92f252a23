"""Training scenes: portraits before rooms, without end."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.image.io import load_image
from livestyle.image.types import Image, Matte
from livestyle.matting.datasets import Item, Pair, read_pair
from livestyle.train.augment import Picture, degrade, reframe, relight, seat, to_bytes
from livestyle.types import Size

Loaded = TypeVar("Loaded")


load_pair = lru_cache(4096)(read_pair)  # about 1 GB; decoding costs as much as all other work on a sample
load_room = lru_cache(1024)(load_image)


@dataclass(frozen=True)
class Scenes:
    """Make training pictures.

    Args:
        pairs: portraits with mattes.
        rooms: pictures without people.
        pasted: share of samples with a person pasted before another room, in 0..1.
        empty: share of samples without people.
        clean: share of samples that are not degraded.
        dropped: names of files that could not be read.
    """

    pairs: list[Pair]
    rooms: list[Path]
    pasted: float = 0.33
    empty: float = 0.03
    clean: float = 0.0
    dropped: list[str] = field(default_factory=list)

    def sample(self, size: Size) -> tuple[Image, Matte]:
        """Draw one picture as a webcam could have taken it, and its matte.

        Args:
            size: (width, height) in pixels.

        Returns:
            uint8 (H, W, 3) RGB and float32 (H, W) in 0..1, where 1 is person.

        Raises:
            UserError: no file can be read.
        """
        draw = random.random()
        if draw < self.empty:
            image, matte = self._room(size), np.zeros(size[::-1], np.float32)
        elif draw < self.empty + self.pasted:
            image, matte = self._paste(size)
        else:
            least = random.choice((0.5, 0.8, 0.95))
            image, matte = reframe(*self._draw(self.pairs, load_pair), size, least)
        return to_bytes(image) if random.random() < self.clean else degrade(image), matte

    def _draw(self, items: list[Item], load: Callable[[Item], Loaded]) -> Loaded:
        while items:
            item = random.choice(items)
            try:
                return load(item)
            except UserError:
                items.remove(item)
                self.dropped.append(item.name)
        raise UserError("None of the training pictures can be read.", "Give other folders of pairs and rooms.", "data")

    def _room(self, size: Size) -> Picture:
        image = self._draw(self.rooms, load_room)
        room, _ = reframe(image, np.zeros(image.shape[:2], np.uint8), size, least=0.3)
        if random.random() < 0.4:  # a room out of focus
            room = cv2.GaussianBlur(room, (0, 0), random.uniform(0.5, 4)).astype(np.float32)
        return relight(room)

    def _paste(self, size: Size) -> tuple[Picture, Matte]:
        canvas, total = self._room(size), np.zeros(size[::-1], np.float32)
        for _ in range(2 if random.random() < 0.15 else 1):
            person, matte = seat(*self._draw(self.pairs, load_pair), size)
            soft = cv2.GaussianBlur(matte, (0, 0), random.uniform(0.3, 0.9)).astype(np.float32)
            # Shrink by half a pixel: the rim of a hand-drawn matte shows the old background.
            soft = np.clip(soft * 1.5 - 0.5 * random.random(), 0, 1).astype(np.float32)
            canvas = soft[..., None] * relight(person) + (1 - soft[..., None]) * canvas
            total = np.maximum(total, soft)
        return canvas, total
