"""The driver: limits, keys, faults, and the report."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from support.cameras import write_clip
from support.cli import run_here
from support.driver import COLOUR, QUICK, Cards, Collect, go
from support.pictures import draw_card

from livestyle.config.look import NONE, Look, look_of, parse_plane
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import LiveSettings, Settings
from livestyle.image.io import load_image
from livestyle.image.types import Frame, Image
from livestyle.live.actions import make_controls
from livestyle.live.driver import Limits, Lookahead, loops, run_live
from livestyle.live.guard import Guard
from livestyle.live.jobs import Jobs
from livestyle.live.privacy import Privacy
from livestyle.live.renderer import MAX_FAILED_FRAMES
from livestyle.live.shown import placeholder
from livestyle.live.snapshots import Snapshots
from livestyle.matting.matte import Matting
from livestyle.nets.library import find_cards
from livestyle.render.filter import Filter, NextFrame, no_next_frame
from livestyle.render.meter import Meter
from livestyle.video.sinks.open import SINKS, parse_sinks
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream, Tee
from livestyle.video.window.preview import Preview


class Faulty(Filter):
    """A filter that fails on some frames."""

    def __init__(self, bad: range) -> None:
        super().__init__(QUICK)
        self.bad = bad

    def __call__(self, frame: Frame, look: Look, next_frame: NextFrame = no_next_frame) -> Image:
        if frame.index in self.bad:
            raise RuntimeError("the segmenter broke")
        return super().__call__(frame, look, next_frame)


def test_every_frame_of_a_clip_is_sent_in_order_with_its_time() -> None:
    sink = Collect()
    result, _ = go(Cards(7), sink)
    assert [frame.index for frame in sink.frames] == list(range(7))
    assert [frame.time for frame in sink.frames] == [n / 30 for n in range(7)]
    assert result.frames == 7


def test_limits_end_a_run() -> None:
    assert go(Cards(), Collect(), Limits(frames=3))[0].frames == 3
    assert go(Cards(), Collect(), Limits(seconds=0.1))[0].frames == 3


def test_no_seconds_at_all_end_a_run_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = run_here(
        "live", "--source", "demo", "--sink", f"file:{out}", "--background", "blur", "--seconds", "0", "--json"
    )
    assert json.loads(done.stdout)["frames"] == 0
    assert not out.exists()


def test_keys_change_the_look_and_quit_ends() -> None:
    sink, controls = Collect({2: "o", 4: "o", 6: "q"}), make_controls(COLOUR)
    go(Cards(), sink, controls=controls)
    assert len(sink.frames) == 6
    raw = [bool((frame.image == draw_card(64, 48, seed=frame.index)).all()) for frame in sink.frames]
    assert raw == [False, False, True, True, False, False]


@pytest.mark.parametrize("broken", [False, True])
def test_a_still_is_of_the_frame_that_was_shown(tmp_path: Path, broken: bool) -> None:
    """If the segmenter fails in a call, there is no still, and the run goes on."""
    sink = Collect({3: "s"}, is_call=True)
    with (
        Snapshots(Settings(), tmp_path / "stills", jobs=Jobs(tmp_path / "jobs")) as snapshots,
        Faulty(range(0)) as filter,
    ):
        if broken:
            filter.matting = Matting(lambda image: 1 / 0)  # type: ignore[arg-type, return-value]
        result, said = go(Cards(6), sink, filter=filter, snapshots=snapshots)
    said += snapshots.messages()
    assert result.frames == 6
    if broken:
        assert any("No still" in line for line in said)
        assert not (tmp_path / "stills").exists()
        return
    saved = {path.stem.rpartition("-")[2]: load_image(path) for path in (tmp_path / "stills").iterdir()}
    assert (saved["original"] == draw_card(64, 48, seed=2)).all()
    assert (saved["styled"] == sink.frames[2].image).all()
    assert any("original.png" in line for line in said)


def test_frames_of_another_size_are_fitted() -> None:
    sink = Collect()
    go(Cards(6, ((64, 48), (80, 60), (33, 77))), sink)
    assert {frame.image.shape for frame in sink.frames} == {(48, 64, 3)}


@pytest.mark.parametrize(("private", "is_call"), [(True, False), (False, True)])
def test_in_a_call_a_fault_shows_a_placeholder_never_the_raw_picture(private: bool, is_call: bool) -> None:
    sink = Collect(is_call=is_call)
    result, said = go(Cards(10), sink, private=private, filter=Faulty(range(3, 6)))
    assert result.frames == 10
    assert any("broke" in line for line in said)
    for frame in sink.frames:
        hidden = bool((frame.image == placeholder((64, 48))).all())
        assert hidden == (frame.index in range(3, 6))
        assert not (frame.image == draw_card(64, 48, seed=frame.index)).all()


class AwayCamera(Cards):
    """A camera that is away on frames 3 to 5."""

    info = replace(Cards.info, name="camera")

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield replace(frame, is_blank=frame.index in range(3, 6))


def test_while_the_camera_is_away_a_placeholder_is_shown_and_the_run_goes_on() -> None:
    sink = Collect()
    result, said = go(AwayCamera(9), sink)
    assert result.frames == 9
    for frame in sink.frames:
        assert bool((frame.image == placeholder((64, 48))).all()) == (frame.index in range(3, 6))
    assert [line.rpartition("camera ")[2] for line in said] == ["sends nothing: a placeholder is shown.", "is back."]


class RestingCamera(Cards):
    """A camera that is blank while it rests."""

    resting = False

    def rest(self, resting: bool) -> None:
        self.resting = resting

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield replace(frame, is_blank=self.resting)


class Audience(Collect):
    """A sink that is watched from the fourth frame to the sixth."""

    def is_watched(self) -> bool:
        return 4 <= len(self.frames) <= 6


@pytest.mark.parametrize("recording", [False, True])
def test_on_demand_the_camera_is_on_while_somebody_watches_or_records(tmp_path: Path, recording: bool) -> None:
    watched, controls = Audience(), make_controls(COLOUR)
    controls.recording = recording
    with Recorder(tmp_path, Stream((64, 48), 30), controls) as recorder:
        _, said = go(RestingCamera(10), Tee([watched, recorder]), Limits(on_demand=True), controls)
    off = [bool((frame.image == placeholder((64, 48))).all()) for frame in watched.frames]
    wanted = [not recording and n in (1, 2, 3, 7, 8, 9) for n in range(10)]
    # The next frame may have been taken from the camera already.
    assert all(is_off in known for is_off, *known in zip(off, wanted, [False, *wanted], strict=False))
    assert any(off) is not recording
    assert any("off: nobody watches" in line for line in said) is not recording


def test_a_lasting_fault_ends_the_call() -> None:
    with pytest.raises(RuntimeError, match="segmenter broke"):
        go(Cards(), Collect(is_call=True), filter=Faulty(range(5, 10**9)))


def test_outside_a_call_a_fault_ends_the_run_at_once() -> None:
    sink = Collect()
    with pytest.raises(RuntimeError, match="segmenter broke"):
        go(Cards(), sink, filter=Faulty(range(5, 10**9)))
    assert len(sink.frames) == 5 < MAX_FAILED_FRAMES


def test_the_report_says_on_which_frames_the_nets_ran() -> None:
    """A style on the person, and nobody there: only the first frame is painted, since its matte is not known yet."""
    with Filter(QUICK) as filter:
        filter.matting = Matting(lambda image: np.zeros(image.shape[:2], np.float32))
        look = Look(NONE, parse_plane(next(iter(find_cards("style")))))
        facts = go(Cards(5), Collect(), controls=make_controls(look), filter=filter)[0]
    assert facts.segment_share == 1
    assert facts.stylize_share == 0.2
    assert facts.stylize_area == 1


def test_the_report_has_the_contracts_fields() -> None:
    facts = asdict(go(Cards(5), Collect())[0])
    assert list(facts) == [
        "frames", "seconds", "fps", "size", "device", "engine", "segmenter", "background", "person", "dropped",
        "first_frame_s", "latency_ms", "stages_ms", "cpu_ms_per_frame", "rss_mb", "style_size", "matte_size",
        "segment_share", "stylize_share", "stylize_area",
    ]  # fmt: skip
    assert list(facts["latency_ms"]) == ["p50", "p95", "p99"]
    assert list(facts["stages_ms"]) == ["read", "segment", "stylize", "composite", "write"]
    assert facts["segment_share"] == 1
    assert facts["stylize_share"] == 0
    assert facts["first_frame_s"] > 0
    assert facts["rss_mb"] > 10
    assert (facts["background"], facts["person"], facts["size"]) == ("color:#804020", "none", (64, 48))


@pytest.mark.parametrize("is_call", [False, True])
def test_panic_hides_everything_at_once_until_confirm(is_call: bool) -> None:
    """Whatever else is pressed, and although the picture was frozen before."""
    sink = Collect({2: "space", 4: "p", 5: "o", 6: "space", 7: "p", 8: "c", 10: "enter"}, is_call=is_call)
    controls = make_controls(COLOUR, privacy=Privacy(is_call))
    with Faulty(range(4, 10)) as filter:  # it is not called meanwhile
        go(Cards(13), sink, controls=controls, filter=filter)
    hidden = [bool((frame.image == placeholder((64, 48))).all()) for frame in sink.frames]
    assert [n for n, h in enumerate(hidden) if h] == list(range(4, 10))


def test_panic_while_a_frame_is_rendered_hides_that_frame() -> None:
    """A sink that can hides at once, before the frame is rendered."""
    controls, sink = make_controls(COLOUR), Collect()

    class Slow(Faulty):
        def __call__(self, frame: Frame, look: Look, next_frame: NextFrame = no_next_frame) -> Image:
            if frame.index == 3:
                controls.press("panic")  # as another thread would
                assert sink.hidden[0] == 3
                assert (sink.hidden[1] == placeholder((64, 48))).all()
            return super().__call__(frame, look, next_frame)

    with Slow(range(0)) as filter:
        go(Cards(5), sink, controls=controls, filter=filter)
    assert [bool((f.image == placeholder((64, 48))).all()) for f in sink.frames] == [False, False, False, True, True]


def test_a_still_of_a_frozen_picture_is_that_picture(tmp_path: Path) -> None:
    sink = Collect({3: "space", 5: "s", 7: "space"})
    with Snapshots(Settings(), tmp_path, jobs=Jobs(tmp_path / "jobs")) as snapshots, Filter(QUICK) as filter:
        controls = make_controls(look_of(Settings(person="color:#804020", background="none"), ""))
        go(Cards(9), sink, controls=controls, filter=filter, snapshots=snapshots)
    same = [bool((frame.image == sink.frames[2].image).all()) for frame in sink.frames]
    assert same == [False, False, True, True, True, True, True, False, False]
    assert [frame.time for frame in sink.frames] == [n / 30 for n in range(9)]  # the clock goes on
    (original,) = tmp_path.glob("*-original.png")
    assert (load_image(original) == draw_card(64, 48, seed=2)).all()


def test_bypass_in_a_call_has_to_be_confirmed() -> None:
    sink = Collect({2: "o", 4: "enter"}, is_call=True)
    go(Cards(6), sink, controls=make_controls(COLOUR, privacy=Privacy(is_call=True)))
    raw = [bool((frame.image == draw_card(64, 48, seed=frame.index)).all()) for frame in sink.frames]
    assert raw == [False, False, False, False, True, True]


def test_the_quality_can_be_changed_while_it_runs() -> None:
    controls = make_controls(COLOUR, quality="fast")
    with Filter(Settings(quality="fast")) as filter:
        go(Cards(4), Collect({2: "y"}), controls=controls, filter=filter)
        assert controls.quality == "balanced"
        assert filter.quality == QUALITIES["balanced"]


def test_the_controls_have_the_pace_of_the_run() -> None:
    controls = make_controls(COLOUR)
    go(Cards(5), Collect(), controls=controls)
    assert controls.pace["frames"] == 5
    assert controls.pace["fps"] > 0  # type: ignore[operator]
    assert controls.pace["latency_ms"] >= 0  # type: ignore[operator]


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (1920, 1080)])
def test_a_placeholder_fits_any_size(size: tuple[int, int]) -> None:
    assert placeholder(size).shape == (size[1], size[0], 3)
    assert placeholder(size).dtype == np.uint8


@pytest.mark.parametrize("is_call", [False, True])
def test_a_look_that_cannot_be_rendered_leaves_the_one_before(tmp_path: Path, is_call: bool) -> None:
    """A damaged style is reported, and no frame shows anything else."""
    (tmp_path / "bad.onnx").write_bytes(b"no net")
    sink, controls = (
        Collect({3: f"background {tmp_path / 'bad.onnx'}"}, is_call=is_call),
        make_controls(COLOUR, privacy=Privacy(is_call)),
    )
    with Filter(QUICK) as filter:
        filter.matting = Matting(lambda image: np.zeros(image.shape[:2], np.float32))  # nobody is there
        result, _ = go(Cards(6), sink, controls=controls, filter=filter)
    assert (result.frames, controls.look) == (6, COLOUR)
    assert len(sink.frames) == 6
    assert all((frame.image == (128, 64, 32)).all() for frame in sink.frames)
    assert any("bad.onnx" in line for line in sink.notices)


def test_if_the_look_that_should_hide_the_room_fails_the_placeholder_is_shown(tmp_path: Path) -> None:
    """A call shows the room, and a damaged style is chosen. The room is not shown again until that is confirmed."""
    (tmp_path / "bad.onnx").write_bytes(b"no net")
    sink = Collect({3: f"background {tmp_path / 'bad.onnx'}"}, is_call=True)
    controls = make_controls(Look(NONE), privacy=Privacy(is_call=True))
    go(Cards(6), sink, controls=controls)
    shown = [bool((frame.image == draw_card(64, 48, seed=frame.index)).all()) for frame in sink.frames]
    assert shown == [True] * 3 + [False] * 3
    assert controls.panicked


def test_a_look_that_fails_is_replaced_by_the_one_chosen_before_it(tmp_path: Path) -> None:
    """Even if that was not shown yet, but not if it fails, too."""
    (tmp_path / "bad.onnx").write_bytes(b"no net")
    (tmp_path / "worse.onnx").write_bytes(b"no net")
    for first in ("color:#102030", str(tmp_path / "worse.onnx")):
        controls = make_controls(COLOUR)
        with Filter(QUICK) as filter:
            render = Guard(filter, (64, 48), controls, print)
            controls.press(f"background {first}")
            controls.press(f"background {tmp_path / 'bad.onnx'}")
            frame = next(iter(Cards()))
            render(frame)
            shown = render(frame)
        assert controls.look.background.text == (first if first.startswith("color") else "color:#804020")
        assert shown.look == controls.look


def test_frames_can_be_read_ahead_and_none_is_lost() -> None:
    frames = Lookahead(Cards(4), Meter())
    first = frames.take()
    assert first is not None
    second = frames.after(first)
    assert frames.after(first) is second is frames.take()
    assert frames.after(first) is second  # though it was taken meanwhile
    third, fourth = frames.take(), frames.take()
    assert third is not None
    assert fourth is not None
    assert [frame.index for frame in (third, fourth)] == [2, 3]
    assert frames.after(fourth) is None is frames.take()


def test_an_error_of_a_frame_ahead_is_raised_at_its_turn() -> None:
    class Broken(Cards):
        def __iter__(self) -> Iterator[Frame]:
            yield from Cards(1)
            raise RuntimeError("unplugged")

    frames = Lookahead(Broken(), Meter())
    first = frames.take()
    assert first is not None
    assert frames.after(first) is None
    with pytest.raises(RuntimeError, match="unplugged"):
        frames.take()


@pytest.mark.parametrize(("sinks", "loop", "does"), [
    (("window",), None, True), (("window", "virtual-camera"), None, True), (("window", "file:a.mp4"), None, False),
    (("null",), None, False), (("virtual-camera",), None, False), (("null",), True, True), (("window",), False, False),
])  # fmt: skip
def test_a_clip_loops_where_a_window_shows_it_and_no_file(
    sinks: tuple[str, ...], loop: bool | None, does: bool
) -> None:
    assert loops(LiveSettings("a.mp4", sinks, loop=loop), parse_sinks(sinks)) == does


def test_a_clip_plays_over_and_over_or_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, said = write_clip(tmp_path / "clip.mp4", 5, fps=100), list[str]()
    monkeypatch.setitem(SINKS, "window", replace(SINKS["window"], open=lambda *_: Preview()))
    for loop, frames in ((None, 12), (False, None)):
        live = LiveSettings(str(clip), ("window",), loop=loop, frames=frames, hud="off")
        controls = make_controls(COLOUR)
        report = run_live(QUICK, live, controls, said.append, lambda _: None)
        assert report.frames == 12 if frames else report.frames <= 5
        assert sum("has ended" in line for line in said) == (0 if frames else 1)
        assert not controls.preview.panels
        assert controls.preview.is_shown


def test_a_file_and_words_are_asked_for_where_the_window_is() -> None:
    class Asked(Collect):
        asked = typed = 0

        def ask_file(self, action: str) -> None:
            self.asked += 1

        def ask_words(self) -> None:
            self.typed += 1

    sink, controls = Asked({2: "open-picture", 3: "search"}), make_controls(COLOUR)
    controls.preview.is_shown = True
    go(Cards(5), sink, controls=controls)
    assert sink.asked == sink.typed == 1
