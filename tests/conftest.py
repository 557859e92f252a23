"""Shared pictures, and `--update-golden`."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.pictures import draw_card
from support.server import server as server  # a fixture of several tests

from livestyle.errors import has_package
from livestyle.image.types import Image
from livestyle.video.sources.open import open_source

settings.register_profile("suite", deadline=None, max_examples=40)  # on a slow machine nothing fails for its time
settings.load_profile("suite")
# Whoever runs the tests may have a config, a last look, jobs and running filters of their own.
OWN = tempfile.TemporaryDirectory(prefix="livestyle-", ignore_cleanup_errors=True)
os.environ |= {"LIVESTYLE_CONFIG": "none", "XDG_RUNTIME_DIR": OWN.name, "XDG_STATE_HOME": f"{OWN.name}/state"}
if "PYTEST_XDIST_WORKER" in os.environ:  # one thread in each of several processes is faster than several in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden pictures anew")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files that are all about PyTorch, which they import, where it is missing or not wanted."""
    if collection_path.suffix != ".py" or (has_package("torch") and "not torch" not in config.option.markexpr):
        return None
    return "pytestmark = pytest.mark.torch" in collection_path.read_text("utf-8") or None


def pytest_unconfigure() -> None:
    OWN.cleanup()


@pytest.fixture(scope="session")
def person() -> Image:
    """A frame of the demo clip, 640x360, with a person in it."""
    with open_source("demo") as source:
        return next(iter(source)).image


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A small picture file."""
    from livestyle.image.io import save_image

    path = tmp_path / "card.png"
    save_image(path, draw_card(64, 48))
    return path


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start processes that do not outlive their test, even if it fails."""
    started = list["subprocess.Popen[str]"]()

    def begin(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        started.append(subprocess.Popen(command, text=True, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()
