"""The filter: each look on each plane, and nothing that no look asks for."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from support.cameras import write_clip

from livestyle.config.look import BOTH, Look, look_of, parse_plane
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.pixels import fit, pad_to
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.matte import Matting
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_nets
from livestyle.render.filter import Filter
from livestyle.render.temporal import FADE_STEPS

STYLES = list(find_nets("style"))


@pytest.fixture(scope="module")
def ready():  # type: ignore[no-untyped-def]
    with Filter(Settings(), live=False) as filter:
        yield filter


def look(**flags: object) -> Look:
    return look_of(Settings(**flags), STYLES[0])  # type: ignore[arg-type]


def difference(one: Image, other: Image, where: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(np.abs(one.astype(int) - other)[where].mean())


@pytest.fixture(scope="module")
def frame(person: Image) -> Frame:
    return Frame(person, 0, 0.0)


def test_the_person_is_intact_and_the_background_painted(ready: Filter, frame: Frame) -> None:
    out, matte = ready(frame, look()), ready.matte(frame)
    assert (out[matte == 1] == frame.image[matte == 1]).all()
    assert difference(out, frame.image, matte == 0) > 10


def test_the_background_is_intact_and_the_person_painted(ready: Filter, frame: Frame) -> None:
    out, matte = ready(frame, look(background="none", person=STYLES[1])), ready.matte(frame)
    assert (out[matte == 0] == frame.image[matte == 0]).all()
    assert difference(out, frame.image, matte == 1) > 10


def test_two_styles_each_on_its_plane(ready: Filter, frame: Frame) -> None:
    both, matte = ready(frame, look(background=STYLES[0], person=STYLES[1])), ready.matte(frame)
    for style, plane in ((STYLES[0], matte == 0), (STYLES[1], matte == 1)):
        whole = ready(frame, look(background=style, person=style))
        assert (both[plane] == whole[plane]).all()


def test_nothing_is_computed_that_no_look_asks_for(frame: Frame) -> None:
    with Filter(Settings()) as filter:
        assert filter(frame, look(background="none")) is frame.image
        assert filter.meter.stages.keys() <= {"filter"}
        filter(frame, look(background=STYLES[0], person=STYLES[0]))
        assert not filter.meter.runs["segment"]
        assert filter.meter.runs["stylize"] == 1
        filter(frame, look(background="color:#102030"))
        assert filter.meter.runs["stylize"] == 1
        filter(frame, look(background=STYLES[0], person=STYLES[0], person_strength=0.5))
        assert filter.meter.runs["stylize"] == 2


def test_bypass_is_the_cameras_own_picture(ready: Filter, frame: Frame) -> None:
    assert ready(frame, Look(parse_plane(STYLES[0]), bypass=True)) is frame.image


def test_colour_picture_clip_and_blur(ready: Filter, frame: Frame, card: Path, tmp_path: Path) -> None:
    matte = ready.matte(frame)
    assert (ready(frame, look(background="color:#102030"))[matte == 0] == (16, 32, 48)).all()
    clip = write_clip(tmp_path / "loop.mp4")
    for text in ("blur", "bokeh:0.7", f"image:{card}", f"video:{clip}"):
        out = ready(frame, look(background=text))
        assert out.shape == frame.image.shape
        assert (out[matte == 1] == frame.image[matte == 1]).all()
        assert difference(out, frame.image, matte == 0) > 1
    blurred_person = ready(frame, look(background="none", person="blur"))
    own = frame.image[matte == 1].mean(0)
    assert np.abs(blurred_person[matte == 1].mean(0) - own).max() < 12  # of the person's own colours
    assert (blurred_person[matte == 0] == frame.image[matte == 0]).all()


def test_a_clip_moves_and_loops(ready: Filter, frame: Frame, tmp_path: Path) -> None:
    clip = look(background=f"video:{write_clip(tmp_path / 'loop.mp4', fps=25)}")
    first, later, again = (ready(Frame(frame.image, n, at), clip) for n, at in enumerate((0.0, 0.4, 0.48)))
    corner = np.s_[:40, :40]
    assert later[corner].mean() > first[corner].mean() + 30
    assert abs(again[corner].mean() - first[corner].mean()) < 3


def test_a_clip_that_cannot_be_read_leaves_the_one_before(ready: Filter, frame: Frame, tmp_path: Path) -> None:
    good, bad = look(background=f"video:{write_clip(tmp_path / 'loop.mp4')}"), tmp_path / "notes.mp4"
    bad.write_text("no clip")
    first = ready(frame, good)
    with pytest.raises(UserError, match=r"notes\.mp4 is not a video"):
        ready(frame, look(background=f"video:{bad}"))
    assert (ready(frame, good) == first).all()


def test_strength_goes_from_the_camera_to_the_painting(ready: Filter, frame: Frame) -> None:
    none, half, full = (ready(frame, look(strength=s)) for s in (0.0, 0.5, 1.0))
    assert (none == frame.image).all()
    everywhere = np.ones(none.shape[:2], bool)
    assert 0 < difference(half, none, everywhere) < difference(full, none, everywhere)


def test_a_blend_of_two_styles_is_between_them(ready: Filter, frame: Frame) -> None:
    a, b = STYLES[:2]
    one, other = (ready(frame, look(background=s, person=s)).astype(float) for s in (a, b))
    blend = ready(frame, look(background=f"{a}+{b}@0.3", person=f"{a}+{b}@0.3"))
    assert np.abs(blend - (0.7 * one + 0.3 * other)).max() <= 1


def test_keep_colors_keeps_them(ready: Filter, frame: Frame) -> None:
    import cv2

    kept, plain = (ready(frame, look(keep_colors=k)) for k in (True, False))
    chroma = [cv2.cvtColor(i, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int) for i in (frame.image, kept, plain)]
    assert np.abs(chroma[1] - chroma[0]).mean() < 0.6 * np.abs(chroma[2] - chroma[0]).mean()


@pytest.mark.parametrize("size", [(1, 1), (641, 359), (17, 200), (1280, 720)])
def test_any_size_comes_back_whole(ready: Filter, person: Image, size: tuple[int, int]) -> None:
    out = ready(Frame(fit(person, size), 0, 0.0), look(person=STYLES[1]))
    assert out.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("flags", [{"quality": "ultra"}, {"device": "tpu"}, {"segmenter": "nobody"}])
def test_bad_settings_get_one_sentence(flags: dict[str, str]) -> None:
    with pytest.raises(UserError, match=rf"There is no \w+ '{next(iter(flags.values()))}'"):
        Filter(Settings(**flags))  # type: ignore[arg-type]


def test_an_unknown_style_is_said_before_the_first_frame(ready: Filter) -> None:
    with pytest.raises(UserError, match="Did you mean great_wave"):
        ready.prepare(look(background="grate_wave"))


def test_a_style_file_of_ones_own(ready: Filter, frame: Frame, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    ours = find_nets("style")[STYLES[0]].path(".onnx")
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(ours.read_bytes())
    assert (ready(frame, look(background=str(mine))) == ready(frame, look(background=STYLES[0]))).all()
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(find_nets("style")[STYLES[0]].path(".safetensors").read_bytes())
    ready.prepare(look(background=str(weights)))
    assert "PyTorch" in ready.take_notes()[-1]
    drift = np.abs(ready(frame, look(background=str(weights))).astype(int) - ready(frame, look(background=STYLES[0])))
    assert drift.mean() < 2  # float32 against bf16


def test_a_file_that_is_no_style_gets_one_sentence(tmp_path: Path) -> None:
    foreign = find_nets("segmenter")["segnet"].path(".safetensors").read_bytes()
    for name, content in (("a.onnx", b"no net"), ("b.safetensors", b"no net"), ("c.safetensors", foreign)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name), Filter(Settings()) as fresh:
            fresh.prepare(look(background=str(tmp_path / name)))


def test_the_style_is_painted_no_larger_than_the_quality_says(person: Image) -> None:
    with Filter(Settings(quality="fast")) as filter:
        assert filter.style_size((1280, 720)) == (384, 216)
        assert filter.style_size((320, 180)) == (320, 180)


def test_the_quality_has_one_owner_and_the_engines_precision_follows_it() -> None:
    with Filter(Settings(quality="fast")) as filter:
        assert (filter.quality, filter.engine.precision) == (QUALITIES["fast"], "int8")
        filter.quality = QUALITIES["best"]
        assert filter.engine.precision == "half"
        assert filter.style_size((1280, 720)) == (1280, 720)
        styles = [filter._planes.style(STYLES[0], QUALITIES[name])[0] for name in ("best", "fast", "balanced")]
    assert styles[0] is not styles[1]
    assert styles[1] is styles[2]  # of the same precision


def test_the_best_quality_computes_in_half_precision_and_so_nearer_to_the_net(person: Image) -> None:
    frame, wave = Frame(fit(person, (320, 180)), 0, 0.0), look(background=STYLES[0], person=STYLES[0])
    outs = {}
    for name in ("best", "balanced"):
        with Filter(Settings(quality=name), live=False) as filter:
            outs[name] = filter(frame, wave)
    card = find_nets("style")[STYLES[0]]
    exact = choose_engine("cpu", "float32").load(card)(pad_to(frame.image, card.multiple)[None])[0][:180, :320]
    far = {name: np.abs(out.astype(int) - exact).mean() for name, out in outs.items()}
    assert far["best"] < 0.5 * far["balanced"]


def test_a_picture_that_stands_still_is_painted_and_cut_out_once_in_a_while(person: Image) -> None:
    rests = replace(QUALITIES["balanced"], rests=True)
    small = fit(person, (320, 180))
    with Filter(Settings()) as live:
        for quality in (QUALITIES["balanced"], rests):
            live.quality = quality
            live.meter.reset()
            for n in range(12):
                out = live(Frame(small, n, n / 30), look(background=STYLES[0]))
            runs = dict(live.meter.runs)
            assert (runs["stylize"] == runs["segment"] == 12) if quality is not rests else runs["stylize"] <= 4
        assert 1 <= runs["segment"] <= 4
        moved = live(Frame(shifted(small, 40), 12, 12 / 30), look(background=STYLES[0]))
        assert live.meter.runs["segment"] == runs["segment"] + 1  # one that moves is never an old one
        assert not (moved == out).all()


@pytest.mark.parametrize(("plane", "few"), [("background", True), ("person", False)])
def test_a_plane_that_stands_still_is_painted_now_and_then_whatever_moves_before_it(
    person: Image, plane: str, few: bool
) -> None:
    room, left = fit(person, (320, 180)), np.zeros((180, 320), np.float32)
    left[:, :160] = 1
    with Filter(Settings()) as live:
        live.matting = Matting(lambda image: left)
        live.quality = replace(QUALITIES["balanced"], rests=True)
        for n in range(13):
            image = room.copy()
            image[40:120, 20 + 4 * n : 80 + 4 * n] = room[60:140, 230:290]
            live(Frame(image, n, n / 30), look(**{"background": "none", plane: STYLES[0]}))
    assert live.meter.runs["segment"] == 13
    painted = live.meter.runs["stylize"]
    assert 3 <= painted <= 8 if few else painted == 13


def test_every_second_frame_is_carried_where_the_quality_says_so(person: Image) -> None:
    with Filter(Settings()) as live:
        live.quality = replace(QUALITIES["balanced"], carry=1)
        for n in range(9):
            live(Frame(shifted(fit(person, (320, 180)), 2 * n), n, n / 30), look(background=STYLES[0]))
    assert live.meter.runs["segment"] == 9
    assert live.meter.runs["stylize"] == 5


def test_a_quality_is_made_ready_aside(person: Image) -> None:
    fast, wave, size = QUALITIES["fast"], look(background=STYLES[0]), (640, 360)
    with Filter(Settings()) as live:
        deadline = monotonic() + 60
        while not live.warm_up(fast, wave, size) and monotonic() < deadline:
            live(Frame(fit(person, (160, 90)), 0, 0.0), wave)
        live.quality = fast
        assert live.describe(size) == "384x216"
        assert live(Frame(fit(person, size), 1, 1.0), wave).shape == (360, 640, 3)


def shifted(image: Image, by: int) -> Image:
    """The picture moved sideways, its border repeated."""
    return np.pad(image, ((0, 0), (abs(by), abs(by)), (0, 0)), "edge")[:, abs(by) - by :][:, : image.shape[1]].copy()


def noisy(image: Image, sigma: float, seed: int) -> Image:
    return np.clip(np.rint(image + np.random.default_rng(seed).normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("style", STYLES)
def test_a_noisy_still_room_is_painted_still(style: str, person: Image) -> None:
    small = fit(person, (320, 180))
    frames = [Frame(noisy(small, 6, n), n, n / 30) for n in range(24)]
    with Filter(Settings()) as live:
        outs = [live(frame, look(background=style, person=style)).astype(int) for frame in frames][-8:]
    assert np.mean([np.abs(b - a).mean() for a, b in pairwise(outs)]) < 1.5


@pytest.mark.parametrize(
    "flags",
    [
        {"background": f"{STYLES[0]}+{STYLES[1]}@0.4", "person": f"{STYLES[0]}+{STYLES[1]}@0.4"},
        {"keep_colors": True},
        {"strength": 0.5},
        {"background": "none", "person": STYLES[1]},
        {"person": STYLES[1], "keep_colors": True, "strength": 0.7},
    ],
    ids=str,
)
def test_what_does_not_move_stays_exactly_still(flags: dict[str, object], person: Image) -> None:
    with Filter(Settings()) as live:
        outs = [live(Frame(person, n, 3 * n / 10), look(**flags)) for n in range(14)]
    assert np.abs(outs[-1].astype(int) - outs[-2]).max() <= 1


def test_a_cut_shows_at_once(ready: Filter, person: Image) -> None:
    whole = look(background=STYLES[0], person=STYLES[0])
    with Filter(Settings(quality="best")) as live:
        for n in range(4):
            live(Frame(person, n, n / 30), whole)
        upside_down = Frame(person[::-1].copy(), 4, 4 / 30)
        assert (live(upside_down, whole) == ready(upside_down, whole)).all()


def test_a_person_is_painted_in_a_box_that_never_cuts(person: Image) -> None:
    """Somebody who leaps to the side is painted whole in that very frame."""
    mattes: list[Matte] = []
    with Filter(Settings()) as live:
        matting = live.matting
        live.matting = lambda image, time: mattes.append(matting(image, time)) or mattes[-1]  # type: ignore[assignment, func-returns-value]
        for n, by in enumerate((0, 0, 0, 0, 220, 220, -220)):
            frame = Frame(shifted(person, by), n, n / 30)
            untouched = (live(frame, look(background="none", person=STYLES[1])) == frame.image).all(2)
            assert (mattes[-1] == 1).sum() > 10_000
            assert untouched[mattes[-1] == 1].mean() < 0.01
            assert untouched[mattes[-1] == 0].all()
    assert live.meter.areas[0] == 1
    assert max(list(live.meter.areas)[1:4]) <= 0.8
    assert live.meter.stylized == 7 < len(live.meter.areas)


def test_nets_rest_where_nothing_shows(person: Image) -> None:
    """Background styles where all is person, person styles where nobody is; and they wake in the same frame."""
    with Filter(Settings()) as live:
        shares = iter([1.0, 1.0, 1.0, 0.5, 0.0, 0.0, 1.0])
        live.matting = Matting(lambda image: np.full(image.shape[:2], next(shares), np.float32))
        frames = [Frame(person, n, n / 30) for n in range(7)]
        behind, ahead = look(), look(background="none", person=STYLES[1])
        assert all((live(frame, behind) == person).all() for frame in frames[:3])
        assert live.meter.runs["stylize"] == live.meter.stylized == 1  # when nothing was known yet
        assert difference(live(frames[3], behind), person, np.ones(person.shape[:2], bool)) > 3
        assert live.meter.stylized == 2
        live(frames[4], ahead)
        assert (live(frames[5], ahead) == person).all()
        assert live.meter.stylized == 3
        assert difference(live(frames[6], ahead), person, np.ones(person.shape[:2], bool)) > 10
        assert live.meter.stylized == 4


@pytest.mark.parametrize("size", [(1, 1), (641, 359), (17, 200)])
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_frames_in_a_row_of_any_size(size: tuple[int, int], value: int) -> None:
    image = np.full((size[1], size[0], 3), value, np.uint8)
    with Filter(Settings()) as live:
        outs = [live(Frame(image, n, n / 30), look(person=STYLES[1])) for n in range(3)]
    assert {out.shape for out in outs} == {image.shape}


def test_styles_of_each_plane() -> None:
    a, b = STYLES[:2]
    assert look(background=a, person=f"{a}+{b}").styled_planes == {a: BOTH, b: "person"}
    assert look(background=a, person="blur").styled_planes == {a: "background"}
    assert not look(background="blur").styled_planes


def test_the_matte_of_the_frame_rendered_last_is_at_hand(person: Image) -> None:
    first, second = (Frame(person, index, index / 30) for index in range(2))
    with Filter(Settings()) as filter:
        filter(first, look_of(Settings(background="color:#204060"), ""))
        seen = filter.matte(first)
        assert filter.meter.runs["segment"] == 1
        assert filter.matte(first) is seen
        filter(second, look_of(Settings(background="none"), ""))  # needs no matte
        assert filter.matte(second).shape == person.shape[:2]
        assert filter.meter.runs["segment"] == 2


@pytest.mark.parametrize(
    "flags", [{}, {"background": "none", "person": STYLES[1]}, {"background": STYLES[0], "person": STYLES[0]},
              {"background": STYLES[0], "person": STYLES[1]}, {"background": "blur"}],
    ids=str,
)  # fmt: skip
def test_a_frame_begun_ahead_looks_as_if_it_had_not_been(flags: dict[str, object], person: Image) -> None:
    frames = [Frame(shifted(fit(person, (320, 180)), 3 * n), n, n / 30) for n in range(6)]
    outs = []
    for ahead in (False, True):
        following = dict(zip(map(id, frames), [*frames[1:], None], strict=True))
        with Filter(Settings()) as live:
            more = (lambda frame, following=following: following[id(frame)],) if ahead else ()
            outs.append([live(frame, look(**flags), *more) for frame in frames])
    for one, other in zip(*outs, strict=True):
        assert (one == other).all()


def test_what_was_begun_in_vain_is_never_shown(person: Image) -> None:
    """Another look, or another frame, than was expected."""
    small = fit(person, (320, 180))
    frames = [Frame(shifted(small, 9 * n), n, n / 30) for n in range(4)]
    blue, red = (look(background=f"color:#{color}") for color in ("0000ff", "ff0000"))
    with Filter(Settings()) as live, Filter(Settings()) as plain:
        live(frames[0], blue, lambda _: frames[1])
        assert (live(frames[1], red, lambda _: frames[2])[0, 0] == (255, 0, 0)).all()
        skipped = live(frames[3], red)
        for frame in (*frames[:2], frames[3]):
            wanted = plain(frame, red)
    assert np.abs(skipped.astype(int) - wanted).mean() < 0.5  # the smoother has seen frame 2


def test_another_network_takes_over_between_frames_and_its_style_comes_back_once_its_file_is_gone(
    person: Image, tmp_path: Path
) -> None:
    frames = [Frame(fit(person, (160, 90)), n, n / 30) for n in range(FADE_STEPS + 14)]
    first, second = (find_nets("style")[name] for name in ("starry_night", "great_wave"))
    shutil.copytree(second.folder or "", tmp_path / "copy")
    copy, size = replace(second, folder=tmp_path / "copy"), (160, 90)
    whole = look(background=first.name, person=first.name)
    with Filter(Settings()) as filter, Filter(Settings(), live=False) as still:
        quality = filter.quality = still.quality = QUALITIES["best"]
        truth = still(frames[0], look(background=second.name, person=second.name))
        seen = []
        for frame, after in zip(frames, [*frames[1:], None], strict=True):
            if frame.index == 2:
                assert filter.warm_up(quality, whole, size) in (False, True)
                filter.replace_style(first.name, copy, size)
                with pytest.raises(UserError):
                    filter.replace_style(first.name, replace(copy, files={}), size)
            seen.append(filter(frame, whole, lambda _, after=after: after))
        apart = [difference(picture, truth, np.ones(picture.shape[:2], bool)) for picture in seen]
        assert apart[1] > 10
        assert apart[4] > apart[10] > apart[20]
        assert apart[-1] < 2
        shutil.rmtree(tmp_path / "copy")
        filter.quality = replace(quality, precision="float32")  # which is loaded now
        assert difference(filter(frames[-1], whole), truth, np.ones((90, 160), bool)) > 5
