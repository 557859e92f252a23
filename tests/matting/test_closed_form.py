"""Hair solved for in stills, on pictures whose alpha is known."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cli import livestyle
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package
from livestyle.image.io import save_image
from livestyle.image.types import Image, Matte
from livestyle.matting import closed_form as matting
from livestyle.render.filter import Filter

pytestmark = pytest.mark.skipif(not has_package("pymatting"), reason="needs pymatting")

PERSON, ROOM = np.array((70.0, 40.0, 20.0)), np.array((150.0, 190.0, 210.0))


def hairy(width: int = 240, height: int = 200) -> tuple[Image, Matte, Matte]:
    """A dark head before a light wall, its true alpha with strands of hair, and a matte that knows of no hair."""
    alpha = np.zeros((height, width), np.uint8)
    middle, radius = (width // 2, int(height * 0.6)), height // 4
    cv2.circle(alpha, middle, radius, 255, -1, cv2.LINE_AA)
    rough = cv2.GaussianBlur(alpha, (0, 0), 1.5).astype(np.float32) / 255
    for angle in np.linspace(-2.6, -0.5, 24):
        ends = [np.add(middle, r * np.array((np.cos(angle), np.sin(angle)))) for r in (radius - 4, radius * 1.12)]
        line = np.round(np.array(ends) * 16).astype(np.int32)
        alpha = np.maximum(alpha, cv2.polylines(np.zeros_like(alpha), [line], False, 200, 1, cv2.LINE_AA, 4))
    truth = alpha.astype(np.float32) / 255
    mixed = truth[..., None] * PERSON + (1 - truth[..., None]) * ROOM
    noise = np.random.default_rng(0).normal(0, 1, mixed.shape)
    return np.clip(mixed + noise + 0.5, 0, 255).astype(np.uint8), truth, rough


def test_hair_that_the_matte_does_not_know_is_found_and_the_rest_stays_known() -> None:
    image, truth, rough = hairy()
    solved = matting.solve_matte(rough, image)
    strands = (truth > 0.3) & (rough < 0.02)
    assert strands.sum() > 60
    assert np.abs(solved - truth)[strands].mean() < 0.5 * np.abs(rough - truth)[strands].mean()
    assert np.abs(solved - truth).mean() < 0.5 * np.abs(rough - truth).mean()
    far = cv2.blur(truth, (41, 41))
    assert (solved[far == 0] == 0).all()
    assert (solved[far > 0.999] == 1).all()


def test_hair_has_its_own_colour() -> None:
    image, truth, _ = hairy()
    soft = (truth > 0.3) & (truth < 0.9)
    alone = matting.multilevel_foreground(image, truth)
    assert np.abs(alone[soft] - PERSON).mean() < 0.35 * np.abs(image[soft] - PERSON).mean()
    assert np.array_equal(alone[truth == 1], image[truth == 1])


def test_a_large_picture_is_solved_small_and_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth, rough = hairy(480, 400)
    seen = []
    solve = matting.closed_form
    monkeypatch.setattr(matting, "MAX_SOLVED_PIXELS", 20_000)
    monkeypatch.setattr(matting, "closed_form", lambda image, *rest: seen.append(image.shape) or solve(image, *rest))
    solved = matting.solve_matte(rough, image)
    assert solved.shape == truth.shape
    assert all(shape[0] * shape[1] < 20_500 for shape in seen)
    assert np.abs(solved - truth).mean() < np.abs(rough - truth).mean()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (30, 5), (64, 48)])
def test_nobody_everybody_and_nothing_known(value: float, size: tuple[int, int]) -> None:
    rough = np.full((size[1], size[0]), value, np.float32)
    assert np.abs(matting.solve_matte(rough, draw_card(*size)) - value).max() < 0.01


def test_it_is_for_stills_and_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="stills only"):
        Filter(Settings(refine="matting"))
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(UserError, match=r"pip install 'livestyle\[matting\]'"):
        Filter(Settings(refine="matting"), live=False)


def test_a_matte_from_the_command_line(tmp_path: Path, person: Image) -> None:
    save_image(tmp_path / "p.png", person)
    livestyle("matte", tmp_path / "p.png", tmp_path / "m.png", "--refine", "matting", "--cutout")
    cutout = cv2.imread(str(tmp_path / "m.png"), cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (360, 640, 4)
    assert cutout[150:200, 310:350, 3].min() == 255
    assert (cutout[:100, :150, 3] == 0).all()


def test_it_ends_when_it_ran_in_a_thread_beside_a_style(tmp_path: Path, person: Image) -> None:
    save_image(tmp_path / "p.png", person)
    look = ("--background", "great_wave", "--quality", "fast", "--refine", "matting")
    command = [sys.executable, "-m", "livestyle", "photo", str(tmp_path / "p.png"), str(tmp_path / "o.png"), *look]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
