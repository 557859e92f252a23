"""The light of a new scene: gentle, bounded, steady."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.config.look import look_of
from livestyle.config.settings import Settings
from livestyle.image.io import save_image
from livestyle.image.relight import MAX_LOG_GAINS, AutoLight, Light, light_of
from livestyle.image.types import Frame, Image
from livestyle.render.filter import Filter

ONES = np.ones((60, 80), np.float32)


def lit(image: Image, exposure: float = 1.0, red: float = 1.0, blue: float = 1.0) -> Image:
    """The same in another light."""
    light = (image / 255.0) ** 2.2 * exposure * (red, 1.0, blue)
    return np.asarray(255 * np.clip(light, 0, 1) ** (1 / 2.2), np.uint8)


def test_the_same_scene_changes_little() -> None:
    card = draw_card(80, 60)
    assert np.abs(light_of(card, ONES, card, card)(card).astype(int) - card).max() <= 1


def test_a_darker_scene_makes_darker_and_a_warmer_one_warmer() -> None:
    card = draw_card(80, 60) // 4 + np.uint8(90)
    dark = light_of(card, ONES, card, lit(card, 0.3))(card).astype(int)
    assert card.mean() - 60 < dark.mean() < card.mean() - 8
    warm = light_of(card, ONES, card, lit(card, 0.8, red=1.2, blue=0.6))
    assert warm.red > 0.02 > -0.02 > warm.blue
    change = warm(card).astype(int) - light_of(card, ONES, card, lit(card, 0.8))(card)
    assert change[..., 0].mean() > 1
    assert change[..., 2].mean() < -1


def test_a_red_person_before_a_blue_night_comes_much_nearer_to_it() -> None:
    card = draw_card(80, 60) // 3 + np.uint8(120)
    person, night = lit(card, red=1.6, blue=0.5), lit(card, 0.25, red=0.35, blue=1.5)
    shown = light_of(person, ONES, person, night)(person)
    chroma, aim = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3)[:, 1:].mean(0) for image in (shown, night))
    before = cv2.cvtColor(person, cv2.COLOR_RGB2LAB).reshape(-1, 3)[:, 1:].mean(0)
    assert np.linalg.norm(chroma - aim) < 0.65 * np.linalg.norm(before - aim)
    assert shown.mean() < person.mean() - 15


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 30))
def test_no_scene_moves_a_person_far_and_order_is_kept(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    person, before, scene = (
        rng.integers(0, 256, (height, width, 3), np.uint8) // np.uint8(rng.integers(1, 9)) for _ in range(3)
    )
    light = light_of(person, rng.random((height, width), np.float32), before, scene)
    assert abs(light.exposure) <= MAX_LOG_GAINS["exposure"]
    assert abs(light.contrast) <= MAX_LOG_GAINS["contrast"]
    assert np.abs([light.red, light.green, light.blue]).max() <= 2 * MAX_LOG_GAINS["white"]
    curves = light.curves[0].astype(int)
    assert (np.diff(curves, axis=0) >= 0).all()  # what is brighter stays brighter
    assert np.abs(curves - np.arange(256)[:, None]).max() < 90


def test_nobody_needs_no_light() -> None:
    card = draw_card(80, 60)
    assert light_of(card, 0 * ONES, card, 255 - card) == Light()


def test_light_comes_slowly_and_starts_anew_after_a_gap() -> None:
    card, dark = draw_card(80, 60), lit(draw_card(80, 60), 0.2)
    light = AutoLight()
    start = light(card, ONES, card, card, 0.0).mean()
    steps = [light(card, ONES, card, dark, n / 10).mean() for n in range(1, 40)]
    assert (np.diff([start, *steps]) <= 0.1).all()
    assert steps[0] > start - 0.3 * (start - steps[-1])
    assert abs(steps[-1] - light_of(card, ONES, card, dark)(card).mean()) < 1
    assert abs(light(card, ONES, card, card, 60.0).mean() - start) < 0.5


def test_a_new_background_changes_the_person_only_where_asked(person: Image, tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_image(tmp_path / "dusk.png", lit(draw_card(64, 36), 0.1, red=1.5))
    shown = {}
    for text in (f"image:{tmp_path / 'dusk.png'}", "blur", "color:#101010"):
        for asked in (False, True):
            settings = Settings(background=text, segmenter="kmeans", auto_light=asked)
            with Filter(settings, live=False) as filter:
                shown[asked] = filter(Frame(person, 0, 0.0), look_of(settings, ""))
                matte = filter.matte(Frame(person, 0, 0.0))
        change = shown[True][matte == 1].astype(int).mean() - shown[False][matte == 1].mean()
        assert change == pytest.approx(0) if not text.startswith("image") else change < -8
        assert np.array_equal(shown[True][matte == 0], shown[False][matte == 0])
