"""Steadied paintings: what rests stays still, what changes shows at once, nothing trails behind."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.image.box import Box
from livestyle.image.types import Image
from livestyle.render.temporal import FADE_STEPS, MAX_GAP_S, STILL_S, MotionEstimator, PaintingHistory

SIZE = 192, 128
WHOLE = Box(0, 0, *SIZE)


def room(seed: int = 0, size: tuple[int, int] = SIZE) -> Image:
    """A smooth, colourful texture of full contrast."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.asarray(cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]


def noisy(image: Image, sigma: float, draw: np.random.Generator) -> Image:
    return np.clip(np.rint(image + draw.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


def even(value: int, size: tuple[int, int] = SIZE) -> Image:
    return np.full((*size[::-1], 3), value, np.uint8)


def mean_change(pictures: list[Image]) -> float:
    return float(np.mean([np.abs(b.astype(int) - a).mean() for a, b in pairwise(pictures)]))


def test_a_still_picture_painted_the_same_stays_exactly_the_same() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    outs = [memory(room(1), watcher(room(), n / 30), WHOLE) for n in range(5)]
    assert all((out == room(1)).all() for out in outs)


def test_strokes_that_change_before_a_still_picture_are_calmed() -> None:
    watcher, memory, draw = MotionEstimator(), PaintingHistory(), np.random.default_rng(0)
    painted = [noisy(room(1), 15, draw) for _ in range(30)]
    outs = [memory(p, watcher(room(), n / 30), WHOLE) for n, p in enumerate(painted)]
    assert mean_change(outs[10:]) < 0.25 * mean_change(painted[10:])


@pytest.mark.parametrize(("sigma", "left"), [(4, 0.8), (8, 0.5)])
def test_camera_noise_neither_passes_for_motion_nor_reaches_the_net(sigma: float, left: float) -> None:
    watcher, memory, draw = MotionEstimator(), PaintingHistory(), np.random.default_rng(0)
    seen = [noisy(room(), sigma, draw) for _ in range(30)]
    motions = [watcher(image, n / 30) for n, image in enumerate(seen)]
    outs = [memory(motion.denoised, motion, WHOLE) for motion in motions]
    assert mean_change([motion.denoised for motion in motions[10:]]) < left * mean_change(seen[10:])
    assert mean_change(outs[10:]) < 1.5
    assert (
        np.abs(motions[-1].denoised.astype(int) - room()).mean() < left * np.abs(seen[-1].astype(int) - room()).mean()
    )


def test_a_picture_without_noise_reaches_the_net_as_it_is() -> None:
    watcher = MotionEstimator()
    assert all((watcher(room(), n / 30).denoised == room()).all() for n in range(4))


def test_another_picture_shows_at_once(person: Image) -> None:
    watcher, memory, whole = MotionEstimator(), PaintingHistory(), Box(0, 0, 640, 360)
    for n in range(10):
        memory(even(10, (640, 360)), watcher(person, n / 30), whole)
    assert (memory(even(240, (640, 360)), watcher(person[::-1].copy(), 10 / 30), whole) == 240).all()


@pytest.mark.parametrize("evenly", [False, True])
def test_a_hand_leaves_no_trail(evenly: bool) -> None:
    """A square passes before a wall, painted in another colour than the wall; and one exactly as bright as its wall."""
    watcher, memory = MotionEstimator(), PaintingHistory()
    wall, skin = (even(128), (180, 105, 110)) if evenly else (room(), room(5, (32, 50)) // 2 + 100)
    for n in range(14):
        image, painted = wall.copy(), even(40)
        hand = Box(8 * n + 8, 40, 8 * n + 40, 90)
        hand.crop(image)[:], hand.crop(painted)[:] = skin, 220
        out = memory(painted, watcher(image, n / 30), WHOLE)
    behind = Box(0, 40, hand.left - 4, 90).crop(out).astype(int)
    assert np.abs(behind - 40).mean() < 4
    inside = Box(hand.left + 4, hand.top + 4, hand.right - 4, hand.bottom - 4).crop(out).astype(int)
    assert np.abs(inside - 220).mean() < 15


def test_strokes_move_with_the_picture() -> None:
    """A panning camera: the strokes are calmed, too, and stay where they belong."""
    watcher, memory, draw = MotionEstimator(), PaintingHistory(), np.random.default_rng(0)
    scene, strokes, errors, raw = room(0, (300, 128)), room(1, (300, 128)), [], []
    for n in range(12):
        view = Box(3 * n, 0, 3 * n + SIZE[0], SIZE[1])
        painted = noisy(view.crop(strokes), 12, draw)
        out = memory(painted, watcher(np.ascontiguousarray(view.crop(scene)), n / 30), WHOLE)
        errors.append(np.abs(out.astype(int) - view.crop(strokes)).mean())
        raw.append(np.abs(painted.astype(int) - view.crop(strokes)).mean())
    assert np.mean(errors[4:]) < 0.85 * np.mean(raw[4:])


@given(st.integers(0, 255), st.integers(1, 140), st.integers(1, 140))
def test_any_even_picture_of_any_size_stays(value: int, width: int, height: int) -> None:
    watcher, memory, size = MotionEstimator(), PaintingHistory(), (width, height)
    for n in range(3):
        motion = watcher(even(value, size), n / 30)
        out = memory(even(255 - value, size), motion, Box(0, 0, *size))
        assert (motion.denoised == value).all()
        assert (out == 255 - value).all()


def settled(rate: int) -> float:
    """Where a step of 100 has got to after 0.1 s before a still picture."""
    watcher, memory = MotionEstimator(), PaintingHistory()
    memory(even(100), watcher(room(), 0.0), WHOLE)
    for n in range(1, round(0.1 * rate) + 1):
        out = memory(even(200), watcher(room(), n / rate), WHOLE)
    return float(out.mean())


@pytest.mark.parametrize("rate", [10, 30, 60, 120])
def test_calm_is_independent_of_the_frame_rate(rate: int) -> None:
    assert settled(rate) == pytest.approx(200 - 100 * np.exp(-0.1 / STILL_S), abs=2)


@pytest.mark.parametrize(("size", "time"), [(SIZE, MAX_GAP_S + 1.1), (SIZE, 0.5), ((128, 192), 1.03)])
def test_a_gap_a_jump_back_and_a_new_size_start_anew(size: tuple[int, int], time: float) -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    memory(even(10), watcher(even(90), 1.0), WHOLE)
    assert (memory(even(250, size), watcher(even(90, size), time), Box(0, 0, *size)) == 250).all()


def test_a_style_that_paused_has_nothing_to_add() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    memory(even(10), watcher(room(), 0.0), WHOLE)
    watcher(room(), 0.03)
    assert (memory(even(250), watcher(room(), 0.06), WHOLE) == 250).all()


def test_reset_forgets() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    memory(even(10), watcher(room(), 0.0), WHOLE)
    watcher.reset()
    assert (memory(even(250), watcher(room(), 0.03), WHOLE) == 250).all()


def test_a_box_that_moves_keeps_what_both_hold() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    first, second = Box(0, 0, 96, 96), Box(32, 32, 160, 128)
    memory(even(100, (96, 96)), watcher(room(), 0.0), first)
    out = memory(even(200, (128, 96)), watcher(room(), 1 / 30), second)
    common = first.intersection(second).relative_to(second)
    kept = 200 - 100 * np.exp(-1 / 30 / STILL_S)
    assert np.abs(common.crop(out)[:-2, :-2] - kept).max() <= 1
    assert (out[:, common.right + 1 :] == 200).all()
    assert (out[common.bottom + 1 :] == 200).all()


def test_a_painting_is_carried_along_only_while_it_can_warp() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    first = watcher(room(), 0.0)
    assert not memory.can_warp(first, WHOLE, 9)
    memory(room(1), first, WHOLE)
    for n in (1, 2):
        motion = watcher(np.roll(room(), 2 * n, 1), n / 30)
        assert memory.can_warp(motion, WHOLE, 2)
        assert not memory.can_warp(motion, WHOLE, n - 1)
        assert not memory.can_warp(motion, Box(0, 0, 64, 64), 2)
        carried = memory.warp(motion)
        inner = np.roll(room(1), 2 * n, 1)[8:-8, 8:-8].astype(int)
        assert np.abs(carried[8:-8, 8:-8] - inner).mean() < 6 < np.abs(room(1)[8:-8, 8:-8] - inner).mean()
    assert not memory.can_warp(watcher(np.roll(room(), 6, 1), 3 / 30), WHOLE, 2)
    assert not memory.can_warp(watcher(room(5), 4 / 30), WHOLE, 9)  # another picture


def test_a_new_size_fades_over() -> None:
    watcher, memory, small = MotionEstimator(), PaintingHistory(), (144, 96)
    memory(even(40), watcher(room(), 0.0), WHOLE)
    seen = [
        memory(even(200, small), watcher(cv2.resize(room(), small), n / 30), Box(0, 0, *small)).mean()
        for n in range(1, 30)
    ]
    assert seen[0] < 120
    assert all(b >= a - 0.01 for a, b in pairwise(seen))
    assert seen[-1] > 190


def test_what_moves_is_told_for_the_picture_and_for_a_plane() -> None:
    """A patch that jumps on the left moves a part of that half, and nothing of the other; noise moves nothing."""
    watcher, draw, left = MotionEstimator(), np.random.default_rng(3), np.zeros((42, 64), np.float32)
    left[:, :32] = 1
    assert watcher(room(), 0.0).moving_share() == 1.0
    for n in range(1, 4):
        assert watcher(noisy(room(), 2, draw), n / 30).is_still
    moved = room()
    moved[40:80, 20:60] = 255 - moved[40:80, 20:60]
    motion = watcher(moved, 4 / 30)
    assert motion.moving_share(1 - left) == 0 < motion.moving_share() < motion.moving_share(left) < 0.6


def test_another_network_takes_over_softly_and_wholly() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    outs = []
    for n in range(FADE_STEPS + 10):
        if n == 5:
            memory.fade()
        outs.append(memory(even(40 if n < 5 else 200), watcher(room(), n / 30), WHOLE))
    levels = [int(out.mean()) for out in outs]
    assert levels[4] == 40
    assert levels == sorted(levels)
    assert max(b - a for a, b in pairwise(levels)) < 2.5 * 160 / FADE_STEPS
    assert levels[5 + FADE_STEPS] > 190
    assert levels[-1] > 196


def test_what_changes_shows_at_once_while_another_network_takes_over() -> None:
    watcher, memory = MotionEstimator(), PaintingHistory()
    for n in range(5):
        memory(even(40), watcher(room(), n / 30), WHOLE)
    memory.fade()
    assert (memory(even(200), watcher(room(7), 5 / 30), WHOLE) == 200).mean() > 0.95
