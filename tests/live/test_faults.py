"""Whatever fails, and in whatever order: no pixel of the room reaches a sink while the look hides it."""

import math
import os
from collections import Counter
from itertools import islice
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.faults import FPS, LOOKS, SIZE, Audience, Clock, Painted, perform, session_of, shows_room

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.synthetic import is_room, scene
from livestyle.image.types import Frame
from livestyle.live import guard
from livestyle.live.actions import make_controls
from livestyle.live.driver import Limits
from livestyle.live.privacy import Privacy
from livestyle.live.shown import placeholder
from livestyle.matting.faults import ERRORS, SEGMENTER_FAULTS, STALLS, FaultySegmenter, segmenter_faults
from livestyle.matting.matte import Matting
from livestyle.matting.segmenter import load_segmenter
from livestyle.matting.smoother import Smoother
from livestyle.render.filter import Filter
from livestyle.video.sources.faults import CAMERA_FAULTS, Fault, Faults, camera_faults
from livestyle.video.sources.open import open_source


def runs_of(kinds: tuple[str, ...], most: int) -> st.SearchStrategy[list[str]]:
    """Draw runs of faults, with frames between them on which all works."""
    run = st.tuples(st.sampled_from(kinds), st.integers(1, 20), st.integers(0, 12))
    return st.lists(run, max_size=most).map(
        lambda runs: [k for kind, n, ok in runs for k in [kind] * n + ["works"] * ok]
    )


CAMERAS = st.lists(
    st.builds(
        Fault, st.sampled_from([*CAMERA_FAULTS, "works", "works"]), st.sampled_from([0.1, 0.4, 1.0]),
        st.sampled_from([0.5, 0.7, 1.3]),
    ) | st.just(Fault("stalls", 3600.0)),
    max_size=6,
).map(lambda faults: [Fault("works", 1.0), *faults, Fault("works", 1.0)])  # fmt: skip
PAINTER_FAULTS = (*ERRORS, STALLS)
KEYS: st.SearchStrategy[dict[int, str]] = st.dictionaries(
    st.integers(1, 60),
    st.sampled_from(
        ["o", "enter", "p", "space", "background color:#204020", "background none", "background great_wave"]
    ),
    max_size=6,
) | st.just({})


EXAMPLES = int(os.environ.get("SCHEDULES", "0"))  # for longer runs, with other faults each time


def test_no_pixel_of_the_room_is_shown_while_the_look_hides_it() -> None:
    happened = Counter[str]()

    @settings(
        max_examples=EXAMPLES or 60, deadline=None, derandomize=not EXAMPLES, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from([*LOOKS]), CAMERAS, runs_of(SEGMENTER_FAULTS, 6), runs_of(PAINTER_FAULTS, 4), KEYS)
    def check(name: str, camera: list[Fault], segmenter: list[str], painter: list[str], keys: dict[int, str]) -> None:
        painter_faults = iter(painter)
        audience, _ = perform(LOOKS[name], camera, segmenter, painter_faults, keys)
        happened.update(painter[: len(painter) - len([*painter_faults])])
        for image, hides, index in audience.seen:
            assert image.shape == (*SIZE[::-1], 3)
            assert not (hides and shows_room(image)), f"frame {index}"

    check()
    assert set(PAINTER_FAULTS) <= set(happened)  # else nothing was tested


@pytest.mark.parametrize("kind", PAINTER_FAULTS)
def test_while_the_painter_fails_the_placeholder_or_the_last_picture_is_shown(kind: str) -> None:
    faults = iter(["works"] * 3 + [kind] * 6)
    audience, _ = perform(LOOKS["style"], [Fault("works", 9.0)], painter=faults)
    assert not [*faults]  # all happened
    first = audience.seen[0][0]
    assert not (first == placeholder(SIZE)).all()
    stood_in = [bool((image == placeholder(SIZE)).all()) for image, _, _ in audience.seen]
    if kind == STALLS:
        assert not any(stood_in)
    else:
        assert 1 <= sum(stood_in) <= 6
    assert not any(shows_room(image) for image, _, _ in audience.seen)


def test_without_faults_the_person_is_shown_on_every_frame() -> None:
    """A run that always shows the placeholder would keep the promise, too. And a bare look does show the room."""
    for look in (look for name, look in LOOKS.items() if name != "bare"):
        audience, report = perform(look, [Fault("works", 2.0)])
        assert report.frames >= 39
        assert not any((image == placeholder(SIZE)).all() for image, _, _ in audience.seen)
    bare, _ = perform(LOOKS["bare"], [Fault("works", 2.0)])
    assert all(is_room(image).mean() > 0.3 for image, _, _ in bare.seen)


def test_a_picture_is_sent_at_least_every_third_of_a_second_while_the_filter_is_stuck() -> None:
    clock = Clock()
    times = []

    class Timed(Audience):
        def send(self, frame: Frame) -> None:
            times.append(clock.now)
            super().send(frame)

    controls = make_controls(LOOKS["colour"], privacy=Privacy(is_call=True))
    source = Faults([Fault("works", 6.0)], SIZE, FPS, clock, clock.pass_by)
    with patch.object(guard, "is_done", clock.is_done), Painted(iter(()), clock) as filter:
        filter.matting = Matting(FaultySegmenter(iter([*["works"] * 9, STALLS] * 4), clock.sleep), Smoother())
        session_of(source, filter, Timed(controls, {}), controls, Limits()).run()
        clock.pass_by(math.inf)
    assert max(np.diff(times)) <= guard.STUCK_TIMEOUT_S + 1 / FPS + 1e-6
    assert len(times) > 45


def test_a_frozen_picture_does_not_show_what_the_look_hides_by_now() -> None:
    """Frozen while bypassed, then painted again: the camera's own picture is not shown any longer."""
    keys = {3: "o", 4: "enter", 6: "space", 9: "o"}
    audience, _ = perform(LOOKS["colour"], [Fault("works", 1.0)], keys=keys)
    raw = [shows_room(image) for image, _, _ in audience.seen]
    assert raw[:12] == [False] * 4 + [True] * 5 + [False] * 3
    assert (audience.seen[-1][0] == audience.seen[10][0]).all()


@pytest.mark.parametrize("kind", SEGMENTER_FAULTS)
def test_a_faulty_segmenter_has_the_given_faults(kind: str) -> None:
    naps: list[float] = []
    image, truth = scene(SIZE, 1.0)
    segment = FaultySegmenter(iter([kind]), naps.append)
    if kind in ERRORS:
        with pytest.raises(ERRORS[kind]):
            segment(image)
    else:
        assert (segment(image) == truth).all() == (kind in ("works", STALLS))
    assert (segment(image) == truth).all()
    assert bool(naps) == (kind == STALLS)


def test_a_seed_determines_the_faults_and_all_kinds_occur() -> None:
    assert list(islice(camera_faults(3), 50)) == list(islice(camera_faults(3), 50))
    assert {fault.kind for fault in islice(camera_faults(3), 200)} == set(CAMERA_FAULTS)
    assert list(islice(segmenter_faults(3), 900)) == list(islice(segmenter_faults(3), 900))
    assert set(islice(segmenter_faults(3), 9000)) == set(SEGMENTER_FAULTS)


def test_faulty_sources_and_segmenters_are_opened_by_name() -> None:
    with open_source("faults:7", SIZE, 30) as source, Filter(Settings(segmenter="faults:7")) as filter:
        image = next(iter(source)).image
        assert filter.segmenter == "faults:7"
        assert image.shape == (*SIZE[::-1], 3)
        assert (load_segmenter(Settings(segmenter="faults:7"), filter.engine)[1](image) == ~is_room(image)).all()
    for text in ("faults:", "faults:x", "faults:-1"):
        with pytest.raises(UserError, match=r"faults:1"):
            open_source(text)
        with pytest.raises(UserError, match=r"faults:1"):
            load_segmenter(Settings(segmenter=text), filter.engine)
