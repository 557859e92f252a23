"""Stills: they are what was shown, none is overwritten, nothing waits for them; the jobs that paint them."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from support.pictures import draw_card

from livestyle.config.look import NONE, Look, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.live.jobs import Jobs
from livestyle.live.snapshots import MAX_QUEUED_STILLS, Shot, Snapshots, looks_to_paint
from livestyle.nets.card import Card

WAVE = Look(parse_plane("great_wave"))


class IdleJobs(Jobs):
    """Jobs that start no runner."""

    def start_runner(self) -> None: ...


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return IdleJobs(tmp_path / "jobs")


@pytest.fixture
def style_image(tmp_path: Path) -> Path:
    save_image(tmp_path / "painting.png", draw_card(40, 30))
    return tmp_path / "painting.png"


def shot(look: Look = WAVE, seed: int = 0) -> Shot:
    matte = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    return Shot(draw_card(64, 48, seed), matte, draw_card(64, 48, seed)[::-1], look, taken=1_000_000_000.0)


def test_a_still_is_what_was_shown(tmp_path: Path, jobs: Jobs) -> None:
    taken = shot()
    with Snapshots(Settings(), tmp_path / "new" / "stills", jobs=jobs) as snapshots:
        snapshots.take(taken, paint=False)
    (line,) = snapshots.messages()
    names = sorted(path.name for path in (tmp_path / "new" / "stills").iterdir())
    day = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(taken.taken))
    assert names == [f"{day}-{kind}.png" for kind in ("matte", "original", "styled")]
    matte, original, styled = (tmp_path / "new" / "stills" / name for name in names)
    assert str(original) in line
    assert (load_image(original) == taken.original).all()
    assert (load_image(styled) == taken.styled).all()
    assert Pil.open(matte).mode == "L"
    assert np.abs(np.asarray(Pil.open(matte)) / 255 - taken.matte).max() <= 0.5 / 255 + 1e-6


def test_stills_of_one_second_and_of_two_runs_never_overwrite_each_other(tmp_path: Path, jobs: Jobs) -> None:
    with (
        Snapshots(Settings(), tmp_path / "stills", jobs=jobs) as first,
        Snapshots(Settings(), tmp_path / "stills", jobs=jobs) as second,
    ):
        for seed in range(MAX_QUEUED_STILLS):
            first.take(shot(seed=seed), paint=False)
            second.take(shot(seed=10 + seed), paint=False)
    found = {load_image(path).tobytes() for path in (tmp_path / "stills").glob("*-original.png")}
    seeds = [10 * run + seed for run in range(2) for seed in range(MAX_QUEUED_STILLS)]
    assert found == {draw_card(64, 48, seed).tobytes() for seed in seeds}
    assert len(list((tmp_path / "stills").iterdir())) == 3 * len(seeds)  # no temporary file is left


def test_files_of_others_are_not_overwritten(tmp_path: Path, jobs: Jobs) -> None:
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(shot().taken))
    foreign = tmp_path / f"{stamp}-styled.png"
    foreign.write_text("somebody's own")
    with Snapshots(Settings(), tmp_path, jobs=jobs) as snapshots:
        snapshots.take(shot(), paint=False)
    assert foreign.read_text() == "somebody's own"
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_taking_never_waits_and_stills_beyond_the_queue_are_refused(tmp_path: Path) -> None:
    start = threading.Event()

    class SlowJobs(IdleJobs):
        def start_runner(self) -> None:
            assert start.wait(60)

    with Snapshots(Settings(), tmp_path / "stills", jobs=SlowJobs(tmp_path / "jobs")) as snapshots:
        for seed in range(MAX_QUEUED_STILLS + 2):
            snapshots.take(shot(seed=seed), paint=False)
        assert ["not taken" in line for line in snapshots.messages()] == [True, True]
        start.set()
    assert len(list((tmp_path / "stills").glob("*-original.png"))) == MAX_QUEUED_STILLS


@pytest.mark.parametrize("folder", ["/proc/stills", "file", "file/stills"])
def test_a_folder_that_cannot_be_written_is_reported_and_the_run_goes_on(
    tmp_path: Path, folder: str, jobs: Jobs
) -> None:
    (tmp_path / "file").touch()
    with Snapshots(Settings(), tmp_path / folder, jobs=jobs) as snapshots:
        snapshots.take(shot(), paint=False)
        snapshots.take(shot(), paint=False)
    lines = list(snapshots.messages())
    assert len(lines) == 2
    assert all(folder in line and "folder for stills" in line for line in lines)


def test_a_still_is_painted_by_a_command_that_a_person_could_type(
    tmp_path: Path, jobs: Jobs, style_image: Path
) -> None:
    pytest.importorskip("torch")
    settings = Settings(segmenter="unet", models=tmp_path)
    look = Look(parse_plane("blur"), parse_plane(f"image:{style_image}"), person_strength=0.7, keep_colors=True)
    with Snapshots(settings, tmp_path / "stills", jobs=jobs) as snapshots:
        snapshots.take(shot(look), paint=True)
    (job,) = jobs.all()
    assert "Job 1" in list(snapshots.messages())[1]
    original = next((tmp_path / "stills").glob("*-original.png"))
    assert job.result == str(original).replace("original", "gatys")
    assert " ".join(job.command) == (
        f"photo {original} {job.result} --method gatys --background none --person {style_image} --device cpu "
        f"--keep-colors --person-strength 0.7 --segmenter unet --models {tmp_path}"
    )


def test_the_end_of_a_job_is_reported_while_the_filter_runs(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.live.job_process.lower_priority", int)  # at the priority of the tests
    jobs.add(("list", "sinks"), tmp_path / "out.png")
    jobs.run()
    with Snapshots(Settings(), tmp_path / "stills", jobs=jobs) as snapshots:
        snapshots.take(shot(), paint=False)
    assert next(snapshots.messages()) == f"Job 1 is done: {tmp_path / 'out.png'}"


def test_a_missing_style_image_is_asked_for_and_the_still_is_kept(tmp_path: Path, jobs: Jobs) -> None:
    pytest.importorskip("torch")
    with Snapshots(Settings(), tmp_path / "stills", jobs=jobs) as snapshots:
        snapshots.take(shot(Look(parse_plane("mine"))), paint=True)
    saved, refused = snapshots.messages()
    assert "Saved" in saved
    assert "mine" in refused
    assert "gatys-style" in refused
    assert jobs.all() == []
    assert len(list((tmp_path / "stills").iterdir())) == 3


def test_which_style_images_a_look_is_painted_from(
    style_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.png"
    save_image(own, draw_card(30, 40))
    cards = {
        name: Card(name, "style", name, "transform", {}, "", source, "", "", painting_sha256=sha256(own))
        for name, source in {"mine": str(own), "moved": str(style_image), "words": "Hokusai, c. 1831 " * 40}.items()
    }
    monkeypatch.setattr("livestyle.nets.library.find_cards", lambda *_: cards)

    def looks(background: str, person: str = "none", default: Path | None = None) -> tuple[str, str]:
        return looks_to_paint(Look(parse_plane(background), parse_plane(person)), default, None)

    assert looks("mine") == (str(own), "none")
    assert looks("mine+words@0.4", "color:#204060", style_image) == (f"{own}+{style_image}@0.4", "none")
    assert looks("moved+words", default=style_image) == (str(style_image), "none")
    assert looks("mine", "moved", style_image) == (str(own), str(style_image))
    assert looks(f"image:{style_image}", "mine") == (str(style_image), str(own))
    assert looks("blur", default=style_image) == (str(style_image), "none")
    assert looks("gone", default=style_image) == (str(style_image), "none")
    for names in (("moved",), ("mine", "words"), ("mine+words",), ("gone",)):
        with pytest.raises(UserError, match=r"not on this machine|no style 'gone'"):
            looks(*names)
    with pytest.raises(UserError, match="Nothing in this look"):
        looks_to_paint(Look(NONE), None, None)


def test_a_shipped_style_brings_its_painting() -> None:
    background, person = looks_to_paint(Look(parse_plane("starry_night"), parse_plane("the_scream")), None, None)
    assert (Path(background).name, Path(person).name) == ("starry_night.jpg", "the_scream.jpg")


def test_a_style_image_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no picture")
    for name in ("words.png", "gone.png"):
        with pytest.raises(UserError, match=name):
            Snapshots(Settings(), None, tmp_path / name)
