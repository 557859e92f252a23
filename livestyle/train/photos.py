"""Photos to train a style on: found, decoded once, cropped at random; synthetic ones where there are none."""

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
from livestyle.image.pixels import crop_middle, fit_matte, fit_short, to_gray
from livestyle.image.types import Gray, Image, Segmenter, size_of
from livestyle.matting.segmenter import load_segmenter
from livestyle.nets.engine import choose_engine
from livestyle.types import Size
from livestyle.video.sources.clip import DEMO, ClipSource

MAX_SHORT_SIDE_PX = 480  # larger photos are scaled down
MIN_SIDE_PX = 48  # smaller photos show nothing when they are scaled up
MATTE_REDUCTION = 4  # mattes are kept at a quarter of the photo's sides
MAX_ASPECT = 4  # of longer pictures, only the middle is used
MAX_CACHE_BYTES = 400_000_000  # of decoded photos
DEMO_FRAMES, SYNTHETIC_PICTURES = 16, 112  # the built-in set
LEAF_COUNT = 300  # shapes of a synthetic picture
LEAF_RADII_PX = 12.0, 320.0  # smallest and largest


Source = tuple[str, Callable[[], Image]]  # a photo's name, and its loader, which may raise UserError


class Sample(NamedTuple):
    """A square crop of a photo.

    Args:
        image: uint8 (H, W, 3) RGB.
        people: uint8 (H, W), 255 is person.
        seed: of all other chance that goes with the sample.
    """

    image: Image
    people: Gray
    seed: int


class Photos:
    """Photos by number, with the most recently used ones in memory.

    Args:
        sources: names and loaders.
        origin: where they come from, in words.
        find_people: makes a matte of a photo; None takes every photo for one without people.
    """

    def __init__(self, sources: list[Source], origin: str, find_people: Segmenter | None = None) -> None:
        self.sources, self.origin, self._find = sources, origin, find_people
        self.dropped: dict[int, str] = {}  # names of unreadable photos, by number
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._people: dict[int, Gray] = {}  # reduced mattes of all photos that were ever read
        self._free_bytes = MAX_CACHE_BYTES

    def pick(self, chance: random.Random) -> NDArray[np.uint8]:
        """Return a random photo; drop those that cannot be read.

        Returns:
            uint8 (H, W, 4): RGB and the people's matte, where 255 is person.

        Raises:
            UserError: none of the photos can be read.
        """
        while len(self.dropped) < len(self.sources):
            number = chance.randrange(len(self.sources))
            if number in self.dropped:
                continue
            try:
                return self._load(number)
            except UserError:
                self.dropped[number] = self.sources[number][0]
        raise UserError(f"None of the pictures in {self.origin} can be read.", "Give other photos.", "photos")

    def _load(self, number: int) -> NDArray[np.uint8]:
        if number not in self._kept:
            image = self.sources[number][1]()
            photo = self._kept[number] = np.dstack([image, self._people_on(number, image)])
            self._free_bytes -= photo.nbytes
            while self._free_bytes < 0 and len(self._kept) > 1:
                self._free_bytes += self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(number)
        return self._kept[number]

    def _people_on(self, number: int, image: Image) -> Gray:
        w, h = size_of(image)
        if self._find is None:
            return np.zeros((h, w), np.uint8)
        if number not in self._people:
            self._people[number] = to_gray(fit_matte(self._find(image), (w // MATTE_REDUCTION, h // MATTE_REDUCTION)))
        return np.asarray(cv2.resize(self._people[number], (w, h)), np.uint8)


class Feed:
    """Samples by number. The next samples are made in a thread meanwhile.

    Each sample has a seed of its own, so it is the same after any interruption and in any process.

    Args:
        photos: to crop.
        seed: of all samples.
        stride: from the numbers of one step to those of the next, over all processes.
    """

    def __init__(self, photos: Photos, seed: int, stride: int = 1) -> None:
        self.photos, self._seed, self._stride = photos, seed, stride
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[tuple[range, int], Future[list[Sample]]] | None = None

    def take(self, numbers: range, side: int) -> list[Sample]:
        """Return the samples of these numbers, and prefetch those a stride later.

        Args:
            numbers: of the samples; side: of the squares, in pixels.

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

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def make(self, numbers: range, side: int) -> list[Sample]:
        """Return the samples of these numbers, made in this thread."""
        return [self._sample(number, side) for number in numbers]

    def _sample(self, number: int, side: int) -> Sample:
        chance = random.Random(f"{self._seed}/{number}")
        cut = random_crop(self.photos.pick(chance), side, chance)
        return Sample(np.ascontiguousarray(cut[..., :3]), cut[..., 3], chance.getrandbits(32))


def random_crop(image: NDArray[np.uint8], side: int, chance: random.Random | None = None) -> NDArray[np.uint8]:
    """Return a square at a random scale, mirrored half of the time.

    Args:
        image: uint8 (H, W, C); side: of the square, in pixels; chance: None takes the global `random`.
    """
    rng = chance or random.Random(random.getrandbits(64))
    image = fit_short(image, rng.randint(side, MAX_SHORT_SIDE_PX))
    h, w = image.shape[:2]
    y, x = rng.randint(0, h - side), rng.randint(0, w - side)
    crop = image[y : y + side, x : x + side]
    return cv2.flip(crop, 1).astype(np.uint8) if rng.random() < 0.5 else crop


def people_finder() -> Segmenter:
    """Return the default segmenter, on the CPU."""
    return load_segmenter(Settings(), choose_engine("cpu"))[1]


def photos_of(folder: Path | None, my_photos: bool = False, find_people: Segmenter | None = None) -> Photos:
    """Return the photos of a folder, of the user's pictures folder, or the built-in ones.

    Args:
        folder: of photos.
        my_photos: take the user's pictures folder where no folder is given.
        find_people: as of `Photos`.

    Raises:
        UserError: there are no photos.
    """
    if folder is None and not my_photos:
        return builtin_photos(find_people)
    place = folder or Path(platformdirs.user_pictures_dir())
    paths = list_pictures(place, deep=my_photos)
    return Photos([(path.name, partial(load_photo, path)) for path in paths], str(place), find_people)


def load_photo(path: Path) -> Image:
    """Load a photo with a short side of at most MAX_SHORT_SIDE_PX; of a long photo, the middle.

    Raises:
        UserError: it cannot be read, or is too small.
    """
    image = crop_middle(load_image(path, MAX_SHORT_SIDE_PX), MAX_ASPECT)
    w, h = size_of(image)
    if min(w, h) < MIN_SIDE_PX:
        raise UserError(f"{path} is {w}x{h} pixels.", f"Give photos of at least {MIN_SIDE_PX}x{MIN_SIDE_PX}.")
    return fit_short(image, MAX_SHORT_SIDE_PX) if min(w, h) > MAX_SHORT_SIDE_PX else image


def builtin_photos(find_people: Segmenter | None = None) -> Photos:
    """Return frames of the demo clip and synthetic pictures, which are better than nothing."""
    frames = [(f"frame {n}", partial(demo_frame, n)) for n in range(DEMO_FRAMES)]
    made_up = [(f"made-up picture {n}", partial(dead_leaves, n)) for n in range(SYNTHETIC_PICTURES)]
    origin = f"the built-in set ({DEMO_FRAMES} frames of the demo clip, {SYNTHETIC_PICTURES} made-up ones)"
    return Photos([*frames, *made_up], origin, find_people)


def demo_frame(number: int = 0) -> Image:
    """Return one of DEMO_FRAMES frames, evenly spread over the demo clip: uint8 (360, 640, 3) RGB."""
    return demo_frames()[number]


@cache
def demo_frames() -> list[Image]:
    """Return DEMO_FRAMES frames, evenly spread over the demo clip."""
    with ClipSource(str(DEMO)) as clip:
        every = max(1, (clip.info.total or DEMO_FRAMES) // DEMO_FRAMES)
        return [frame.image for frame in islice(clip, 0, DEMO_FRAMES * every, every)]


def dead_leaves(seed: int, size: Size = (640, MAX_SHORT_SIDE_PX)) -> Image:
    """Draw a synthetic picture with the statistics of photographs: shaded, textured shapes that occlude one another.

    The dead-leaves model (Lee, Mumford and Huang 2001) has radii distributed as r^-3. Networks learn from such pictures
    much of what they learn from photos (Baradad et al. 2021).

    Args:
        seed: of the picture; size: (width, height) in pixels.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rng = np.random.default_rng(seed)
    low, high = (radius**-2.0 for radius in LEAF_RADII_PX)
    image, texture = clouds(rng, size), clouds(rng, size)
    palette = rng.uniform(10, 245, (6, 1)) + rng.normal(0, 35, (6, 3))  # photos are not fully saturated
    for share in rng.uniform(0, 1, LEAF_COUNT):
        radius = (low + share * (high - low)) ** -0.5
        outline = leaf(rng, radius) + rng.uniform((0, 0), size)
        left, top, width, height = cv2.boundingRect(outline.astype(np.int32))
        part = slice(max(0, top), top + height), slice(max(0, left), left + width)
        patch = image[part]
        if patch.size:
            mask = np.zeros(patch.shape[:2], np.uint8)
            corner = np.array((part[1].start, part[0].start))
            cv2.fillPoly(mask, [np.round(outline - corner).astype(np.int32)], 255)
            colour = palette[rng.integers(len(palette))] + rng.normal(0, 12, 3)
            grain = np.roll(texture, tuple(rng.integers(0, MAX_SHORT_SIDE_PX, 2)), (0, 1))[part] - 128
            slope = np.linspace(-1, 1, patch.shape[1])[:, None] * rng.normal(0, 25)
            filled = colour + slope + grain * rng.uniform(0, 0.8)
            np.copyto(patch, filled.astype(np.float32), where=mask[..., None] > 0)
    return np.asarray(np.clip(cv2.GaussianBlur(image, (0, 0), 0.6), 0, 255), np.uint8)


def leaf(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """Draw the outline of a shape around 0: an ellipse, or a polygon of 3 to 6 corners.

    Args:
        dice: draws it; radius: in pixels.

    Returns:
        float64 (N, 2), in pixels.
    """
    corners = rng.choice([3, 4, 4, 5, 6, 32, 32])
    turn = rng.uniform(0, 2 * np.pi)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    stretched = np.stack([np.cos(angles), rng.uniform(0.3, 1) * np.sin(angles)], 1) * radius
    cos, sin = np.cos(turn), np.sin(turn)
    return np.asarray(stretched @ np.array([[cos, sin], [-sin, cos]]))


def clouds(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Draw noise with an amplitude of 1 / frequency, as photographs have.

    Returns:
        float32 (H, W, 3) around 128.
    """
    noise = np.zeros((size[1], size[0], 3), np.float32)
    for octave in range(1, 7):
        cells = rng.normal(0, 90 / octave, (2**octave * 3 // 4 + 1, 2**octave + 1, 3)).astype(np.float32)
        grey = cells.mean(2, keepdims=True)
        noise += cv2.resize(grey + 0.25 * (cells - grey), size, interpolation=cv2.INTER_CUBIC)
    return noise + 128
