"""Photos to train a style on: found, decoded once, cut at random; made up where there are none."""

import random
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import platformdirs
from numpy.typing import NDArray

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.io import list_pictures, load_image
from livestyle.image.pixels import fit_matte, fit_short, to_gray
from livestyle.image.types import Image, Matte, size_of
from livestyle.matting.segmenter import load_segmenter
from livestyle.nets.engine import choose_engine
from livestyle.types import Size
from livestyle.video.sources.clip import DEMO, ClipSource

MOST = 480  # short side that a photo is scaled to, at most
LEAST = 48  # pixels to a side; what is smaller shows nothing once it is scaled up
COARSE = 4  # times smaller than a photo are the mattes that are kept
LONGEST = 4  # times the short side: of longer pictures the middle is taken
MEMORY = 400_000_000  # bytes of decoded photos that are kept
FRAMES, MADE_UP = 16, 112  # the built-in set: frames of the demo clip, and made-up pictures
LEAVES = 300  # shapes of a made-up picture
RADII = 12.0, 320.0  # of its shapes, in pixels


Source = tuple[str, Callable[[], Image]]  # a photo's name, and what loads it; that may raise UserError
FindPeople = Callable[[Image], Matte]
Levels = NDArray[np.uint8]  # of a matte: 255 is person


class Sample(NamedTuple):
    """A square cut from a photo, where people are on it, and the seed of all other chance that goes with it."""

    image: Image
    people: Levels
    seed: int


class Photos:
    """Photos by number; the last ones used stay in memory.

    Args:
        sources: what there is.
        where: for people: where they come from.
        find_people: tells where people are on one; without, they are nowhere.
    """

    def __init__(self, sources: list[Source], where: str, find_people: FindPeople | None = None) -> None:
        self.sources, self.where, self._find = sources, where, find_people
        self.dropped: dict[int, str] = {}  # what could not be read: number to name
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._people: dict[int, Levels] = {}  # at a quarter of the size, of all that were ever read
        self._room = MEMORY

    def pick(self, chance: random.Random) -> NDArray[np.uint8]:
        """One at random: (H, W, 4), RGB and the levels of people's matte.

        Raises:
            UserError: none of them can be read.
        """
        while len(self.dropped) < len(self.sources):
            number = chance.randrange(len(self.sources))
            if number in self.dropped:
                continue
            try:
                return self._load(number)
            except UserError:
                self.dropped[number] = self.sources[number][0]
        raise UserError(f"None of the pictures in {self.where} can be read.", "Give other photos with --photos.")

    def _load(self, number: int) -> NDArray[np.uint8]:
        if number not in self._kept:
            image = self.sources[number][1]()
            photo = self._kept[number] = np.dstack([image, self._people_on(number, image)])
            self._room -= photo.nbytes
            while self._room < 0 and len(self._kept) > 1:
                self._room += self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(number)
        return self._kept[number]

    def _people_on(self, number: int, image: Image) -> Levels:
        w, h = size_of(image)
        if self._find is None:
            return np.zeros((h, w), np.uint8)
        if number not in self._people:
            self._people[number] = to_gray(fit_matte(self._find(image), (w // COARSE, h // COARSE)))
        return np.asarray(cv2.resize(self._people[number], (w, h)), np.uint8)


class Feed:
    """Samples by number: each has a seed of its own, so that it is the same after any stop and in any process.

    The next ones are made on a thread while these are trained on.

    Args:
        stride: of how many numbers the samples are that are trained on at once, in all processes.
    """

    def __init__(self, photos: Photos, seed: int, stride: int = 1) -> None:
        self.photos, self._seed, self._stride = photos, seed, stride
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[tuple[range, int], Future[list[Sample]]] | None = None

    def take(self, numbers: range, side: int) -> list[Sample]:
        """The samples of these numbers, squares of `side`; those a stride further are begun.

        Raises:
            UserError: no photo can be read.
        """
        wanted, ahead = (numbers, side), self._ahead
        samples = ahead[1].result() if ahead else []
        if not ahead or ahead[0] != wanted:
            samples = self.make(*wanted)
        following = range(numbers.start + self._stride, numbers.stop + self._stride), side
        self._ahead = following, self._thread.submit(self.make, *following)
        return samples

    def make(self, numbers: range, side: int) -> list[Sample]:
        """The samples of these numbers."""
        return [self._sample(number, side) for number in numbers]

    def _sample(self, number: int, side: int) -> Sample:
        chance = random.Random(f"{self._seed}/{number}")
        cut = random_crop(self.photos.pick(chance), side, chance)
        return Sample(np.ascontiguousarray(cut[..., :3]), cut[..., 3], chance.getrandbits(32))


def random_crop(image: NDArray[np.uint8], side: int, chance: random.Random | None = None) -> NDArray[np.uint8]:
    """A square at a random scale, mirrored half of the time."""
    dice = chance or random.Random(random.getrandbits(64))
    image = fit_short(image, dice.randint(side, MOST))
    h, w = image.shape[:2]
    y, x = dice.randint(0, h - side), dice.randint(0, w - side)
    crop = image[y : y + side, x : x + side]
    return cv2.flip(crop, 1).astype(np.uint8) if dice.random() < 0.5 else crop


def people_finder() -> FindPeople:
    """The default segmenter, on the CPU."""
    return load_segmenter(Settings(), choose_engine("cpu"))[1]


def photos_of(folder: Path | None, mine: bool = False, find_people: FindPeople | None = None) -> Photos:
    """The photos of a folder; those of the user's pictures folder where `mine`; else the built-in set.

    Raises:
        UserError: there are none.
    """
    if folder is None and not mine:
        return built_in(find_people)
    place = folder or Path(platformdirs.user_pictures_dir())
    paths = list_pictures(place, deep=mine)
    return Photos([(path.name, partial(load_photo, path)) for path in paths], str(place), find_people)


def load_photo(path: Path) -> Image:
    """A photo with a short side of at most MOST, and of a long one the middle.

    Raises:
        UserError: it cannot be read, or is too small.
    """
    image = middle(load_image(path, MOST), LONGEST)
    w, h = size_of(image)
    if min(w, h) < LEAST:
        raise UserError(f"{path} is {w}x{h} pixels.", f"Give photos of at least {LEAST}x{LEAST}.")
    return fit_short(image, MOST) if min(w, h) > MOST else image


def middle(image: Image, times: int) -> Image:
    """A picture itself, or the middle of one whose long side is more than so many times the short one."""
    h, w = image.shape[:2]
    top, left = (max(0, side - times * min(h, w)) // 2 for side in (h, w))
    return np.ascontiguousarray(image[top : h - top, left : w - left])


def built_in(find_people: FindPeople | None = None) -> Photos:
    """Frames of the demo clip, and made-up pictures: better than nothing."""
    frames = [(f"frame {n}", partial(demo_frame, n)) for n in range(FRAMES)]
    made_up = [(f"made-up picture {n}", partial(dead_leaves, n)) for n in range(MADE_UP)]
    where = f"the built-in set ({FRAMES} frames of the demo clip, {MADE_UP} made-up ones)"
    return Photos([*frames, *made_up], where, find_people)


def demo_frame(number: int = 0) -> Image:
    """One of FRAMES frames, evenly spread over the demo clip: 640x360."""
    return demo_frames()[number]


@cache
def demo_frames() -> list[Image]:
    """FRAMES of the demo clip's."""
    with ClipSource(str(DEMO)) as clip:
        every = max(1, (clip.info.total or FRAMES) // FRAMES)
        return [frame.image for frame in islice(clip, 0, FRAMES * every, every)]


def dead_leaves(seed: int, size: Size = (640, MOST)) -> Image:
    """A made-up picture with the statistics of photographs: shapes that hide one another, shaded, and with texture.

    Dead leaves (Lee, Mumford and Huang 2001), whose radii are distributed as r^-3; nets learn from such pictures much
    of what they learn from photos (Baradad et al. 2021).
    """
    dice = np.random.default_rng(seed)
    low, high = (radius**-2.0 for radius in RADII)
    image, texture = clouds(dice, size), clouds(dice, size)
    palette = dice.uniform(10, 245, (6, 1)) + dice.normal(0, 35, (6, 3))  # photos are far from full colours
    for share in dice.uniform(0, 1, LEAVES):
        radius = (low + share * (high - low)) ** -0.5
        outline = leaf(dice, radius) + dice.uniform((0, 0), size)
        left, top, width, height = cv2.boundingRect(outline.astype(np.int32))
        part = slice(max(0, top), top + height), slice(max(0, left), left + width)
        patch = image[part]
        if patch.size:
            mask = np.zeros(patch.shape[:2], np.uint8)
            corner = np.array((part[1].start, part[0].start))
            cv2.fillPoly(mask, [np.round(outline - corner).astype(np.int32)], 255)
            colour = palette[dice.integers(len(palette))] + dice.normal(0, 12, 3)
            grain = np.roll(texture, tuple(dice.integers(0, MOST, 2)), (0, 1))[part] - 128
            slope = np.linspace(-1, 1, patch.shape[1])[:, None] * dice.normal(0, 25)
            filled = colour + slope + grain * dice.uniform(0, 0.8)
            np.copyto(patch, filled.astype(np.float32), where=mask[..., None] > 0)
    return np.asarray(np.clip(cv2.GaussianBlur(image, (0, 0), 0.6), 0, 255), np.uint8)


def leaf(dice: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """The outline of a shape around 0, (N, 2): an ellipse, or a polygon of 3 to 6 corners."""
    corners = dice.choice([3, 4, 4, 5, 6, 32, 32])
    turn = dice.uniform(0, 2 * np.pi)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    stretched = np.stack([np.cos(angles), dice.uniform(0.3, 1) * np.sin(angles)], 1) * radius
    cos, sin = np.cos(turn), np.sin(turn)
    return np.asarray(stretched @ np.array([[cos, sin], [-sin, cos]]))


def clouds(dice: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Noise whose amplitude falls as one over the frequency, as that of photographs does: (H, W, 3) around 128."""
    noise = np.zeros((size[1], size[0], 3), np.float32)
    for octave in range(1, 7):
        cells = dice.normal(0, 90 / octave, (2**octave * 3 // 4 + 1, 2**octave + 1, 3)).astype(np.float32)
        grey = cells.mean(2, keepdims=True)
        noise += cv2.resize(grey + 0.25 * (cells - grey), size, interpolation=cv2.INTER_CUBIC)
    return noise + 128
