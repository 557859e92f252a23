"""Shared pictures, and `--update-golden`."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from livestyle.image.types import Image
from livestyle.video.sources.open import open_source

os.environ["LIVESTYLE_CONFIG"] = "none"  # whoever runs the tests may have a config of their own
if "PYTEST_XDIST_WORKER" in os.environ:  # one thread in each of several processes is faster than several in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden pictures anew")


@pytest.fixture(scope="session")
def person() -> Image:
    """A frame of the demo clip, 640x360, with a person in it."""
    with open_source("demo") as source:
        return next(iter(source)).image


class Held:
    """Threads and handles of this process: those of an earlier test may still end meanwhile, none may come."""

    _folder = Path("/proc/self/fd")

    def __init__(self) -> None:
        self._threads, self._handles = set(threading.enumerate()), self._count()

    def more(self) -> tuple[set[threading.Thread], int]:
        """Threads, and how many handles, there are now beyond those at the start."""
        return set(threading.enumerate()) - self._threads, max(0, self._count() - self._handles)

    def _count(self) -> int:
        return sum(1 for _ in self._folder.iterdir()) if self._folder.is_dir() else 0


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A small picture file."""
    from livestyle.image.io import save_image

    path = tmp_path / "card.png"
    save_image(path, test_card(64, 48))
    return path


def test_card(width: int, height: int, seed: int = 0) -> Image:
    """Coloured quadrants under a gradient, with a little noise: every channel and direction can be told apart."""
    image = np.zeros((height, width, 3), np.float64)
    for row, column, colour in (
        (0, 0, (220, 40, 30)),
        (0, 1, (30, 200, 60)),
        (1, 0, (40, 60, 210)),
        (1, 1, (230, 220, 60)),
    ):
        top, left = row * height // 2, column * width // 2
        image[top : top + (height + 1) // 2, left : left + (width + 1) // 2] = colour
    image *= np.linspace(0.6, 1.0, width)[None, :, None]
    image += np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


test_card.__test__ = False  # type: ignore[attr-defined]
