"""The command line as a user meets it: files, exit codes, sentences, JSON."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from support.cameras import write_clip
from support.cli import HEADLESS, livestyle, run_here
from support.gallery import STYLES, make_gallery
from support.pictures import draw_card
from support.sound import beep

from livestyle.cli.diagnose import checks as diagnose
from livestyle.cli.lists import LISTS
from livestyle.errors import UserError
from livestyle.evaluate.speed import bench
from livestyle.image.io import load_image, save_image
from livestyle.video.sources.open import open_source

Start = Callable[..., "subprocess.Popen[str]"]
COMMANDS = (
    "",
    "live",
    "video",
    "photo",
    "matte",
    "paint-in",
    "bench",
    "evaluate segmenters",
    "evaluate mattes",
    "evaluate stability",
    "evaluate style",
    "list",
    "doctor",
    "train style",
    "train segmenter",
    "jobs",
    "ctl",
    "config",
    *(f"config {name}" for name in ("show", "edit", "path")),
    *(f"jobs {name}" for name in ("list", "show", "cancel", "resume", "clear")),
)


def test_help_lists_the_commands_that_people_use_first() -> None:
    listed = re.findall(r"^\W+([a-z-]+) {2,}", livestyle("--help").stdout.partition("Commands")[2], re.MULTILINE)
    assert listed[:4] == ["live", "ctl", "video", "photo"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """At the width of a terminal nothing is cut off, and each example stands in a line of its own, to be copied."""
    shown = run_here(*command.split(), "--help", COLUMNS="80").stdout
    assert "…" not in shown
    assert re.search(r"^ Examples?: *\n livestyle\b", shown, re.MULTILINE)


def test_a_process_ends_with_the_code_of_its_command() -> None:
    """The other tests run most commands inside this process, which is quicker."""
    assert livestyle("--version").stdout.startswith("livestyle 0.")
    assert "livestyle live --help" in livestyle("live", "--no-such-flag", code=2).stderr


def test_live_writes_a_styled_clip_and_one_json_object(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = livestyle("live", "--source", "demo", "--sink", f"file:{out}", "--frames", 6, "--json")
    facts = json.loads(done.stdout)
    assert facts["frames"] == 6
    assert facts["size"] == [640, 360]
    assert "OpenVINO" in facts["engine"]
    with open_source(str(out)) as source:
        frames = list(source)
    assert len(frames) == 6
    with open_source("demo") as source:
        original = next(iter(source)).image
    corner, face = np.s_[:100, :150], np.s_[130:200, 305:355]
    change = np.abs(frames[0].image.astype(int) - original)
    assert change[corner].mean() > 10
    assert change[face].mean() < 8


def test_no_command_means_live() -> None:
    done = livestyle("--source", "demo", "--sink", "null", "--frames", "2", "--json", "--background", "blur")
    assert json.loads(done.stdout)["background"] == "blur"


TELLS_FRAMES = """
import signal
signal.signal(getattr(signal, "SIGHUP", signal.SIGINT), signal.SIG_DFL)  # `nohup` would have it ignored
from unittest.mock import patch
from livestyle.cli import main as cli
from livestyle.video.sinks.clip import ClipSink
send = ClipSink.send
def sent(self, frame):
    send(self, frame)
    print("sent", flush=True)
patch.object(ClipSink, "send", sent).start()
cli.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_an_end_from_outside_leaves_a_whole_file(tmp_path: Path, start: Start, name: str) -> None:
    """Shells send a second hang-up beside the system's."""
    if not hasattr(signal, name):
        pytest.skip("Windows has no such signal")
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-c", TELLS_FRAMES, "live", "--source", "demo", "--background", "blur"]
    running = start([*command, "--sink", f"file:{out}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=HEADLESS)
    assert running.stdout is not None
    for _ in range(3):
        assert running.stdout.readline() == "sent\n"
    for _ in range(2 if name == "SIGHUP" else 1):
        running.send_signal(getattr(signal, name))
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    with open_source(str(out)) as source:
        assert len(list(source)) >= 3
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


STUCK_NET = """
import ctypes, itertools, os
from unittest.mock import patch
from livestyle.cli import main as cli, running
from livestyle.nets import openvino_net as engine
from livestyle.render import filter
calls, real, render = itertools.count(), engine.OpenVinoNet.__call__, filter.Filter.__call__
def call(self, images):
    if next(calls) < 30:
        return real(self, images)
    ctypes.CDLL(None).poll(None, 0, 200)  # until the first thread waits: Python may miss a signal just before
    os.write(1, b"waits\\n")
    while True:
        ctypes.CDLL(None).pause()
def rendered(self, frame, look, *_):
    return render(self, frame, look)  # without the next frame: what is stuck is waited for
for owner, name, value in (
    (engine.OpenVinoNet, "__call__", call), (filter.Filter, "__call__", rendered), (running, "STOP", 0.2)
):
    patch.object(owner, name, value).start()  # fails if there is no such name
cli.main()
"""


def test_ctrl_c_ends_a_run_whose_net_is_stuck_and_keeps_its_clip(tmp_path: Path, start: Start) -> None:
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-c", STUCK_NET, "live", "--source", "demo", "--sink", f"file:{out}", "--private"]
    running = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=HEADLESS)
    assert running.stdout is not None
    assert running.stdout.readline() == "waits\n"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1, said
    assert "did not answer" in said
    with open_source(str(out)) as source:
        assert list(source)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_video_keeps_frames_times_and_sound(tmp_path: Path) -> None:
    import av

    clip, out = beep(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    run_here("video", clip, out, "--background", "color:#204060")
    with av.open(str(clip)) as one, av.open(str(out)) as other:
        assert one.streams.video[0].frames == other.streams.video[0].frames == 25
        assert other.streams.audio[0].codec_context.name == "aac"
        assert abs(one.duration - other.duration) < 40_000


def test_video_refuses_to_overwrite_its_input(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4")
    run_here("video", clip, clip, code=2)
    assert clip.stat().st_size > 0


def test_photo_of_one_and_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Pil.fromarray(draw_card(641, 359)).save(folder / "odd.png")
    Pil.fromarray(draw_card(60, 40)).convert("L").save(folder / "grey.jpg")
    Pil.fromarray(draw_card(1, 1)).save(folder / "tiny.png")
    run_here("photo", folder, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"odd.png", "grey.jpg", "tiny.png"}
    assert load_image(tmp_path / "out" / "odd.png").shape == (359, 641, 3)
    run_here("photo", folder / "odd.png", tmp_path / "one.png", "--background", "none", "--person", "none")
    assert (load_image(tmp_path / "one.png") == load_image(folder / "odd.png")).all()


def test_matte_of_a_picture_a_folder_and_a_clip(tmp_path: Path, person: np.ndarray) -> None:  # type: ignore[type-arg]
    (tmp_path / "in").mkdir()
    save_image(tmp_path / "in" / "p.png", person)
    run_here("matte", tmp_path / "in" / "p.png", tmp_path / "m.png")
    matte = np.asarray(Pil.open(tmp_path / "m.png"))
    assert matte.shape == (360, 640)
    assert matte[150:200, 310:350].min() > 200
    run_here("matte", tmp_path / "in", tmp_path / "out", "--cutout")
    cutout = np.asarray(Pil.open(tmp_path / "out" / "p.png"))
    hard = (matte < 5) | (matte > 250)
    assert (cutout[..., :3] == person)[hard].all()  # at soft edges the person's own colours
    assert (cutout[..., :3] != person).any()
    assert (cutout[..., 3] == matte).all()
    run_here("matte", write_clip(tmp_path / "c.mp4"), tmp_path / "c_matte.mp4")
    with open_source(str(tmp_path / "c_matte.mp4")) as source:
        assert len(list(source)) == 12


@pytest.mark.parametrize("command", ["matte", "photo", "video"])
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, card: Path, command: str) -> None:
    source = write_clip(tmp_path / "in.mp4") if command == "video" else card
    said = run_here(command, source, tmp_path / f"{'é' * 200}{source.suffix}", code=2).stderr
    assert "too long" in said
    assert "shorter" in said


def test_two_inputs_for_one_output_are_both_named(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Pil.fromarray(draw_card(20, 20)).save(tmp_path / name)
    said = run_here("matte", tmp_path, tmp_path / "out", code=2).stderr
    assert "a.png" in said
    assert "a.jpg" in said


@pytest.mark.parametrize("what", ["styles", "segmenters", "cameras", "sinks"])
def test_lists(what: str) -> None:
    rows = json.loads(run_here("list", what, "--json").stdout)
    assert all({"name", "license", "source"} <= set(row) for row in rows)
    assert rows or what == "cameras"
    table = run_here("list", what).stdout
    for row in rows:  # what is typed is whole, and the terms of the data are there
        assert row["name"] in table
        assert "".join(row.get("data", "").split()) in "".join(table.split())


def test_styles_are_listed_by_family_and_words(tmp_path: Path) -> None:
    make_gallery(tmp_path)
    place = {"LIVESTYLE_MODELS": str(tmp_path)}

    def names(*flags: str) -> list[str]:
        return [row["name"] for row in json.loads(run_here("list", "styles", *flags, "--json", **place).stdout)]

    assert names("--family", "prints")[0] == "great_wave"
    assert {"red_hill", "blue_hill"} <= set(names("--family", "Prints"))
    assert names("--search", "Colline ete") == names("--family", "bold", "--search", "Öst") == ["red_hill"]
    assert names("--search", "van gogh")[0] == "starry_night"
    assert names("--family", "favorites") == names("--search", "nobody") == []
    table = run_here("styles", "--search", "ost", **place).stdout
    order = "grey_sea", "blue_hill", "red_hill"  # by family
    assert sorted(STYLES, key=table.index) == list(order)
    assert "prints, bold" in table
    assert "no family 'prince'. Did you mean prints" in run_here("styles", "--family", "prince", code=2).stderr


def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = json.loads(livestyle("doctor", "--json").stdout)["checks"]
    assert all(set(check) == {"name", "ok", "detail", "fix"} for check in checks)
    by_name = {check["name"]: check for check in checks}
    assert by_name["engine cpu"]["ok"]
    assert by_name["styles"]["ok"]
    assert by_name["segmenters"]["ok"]
    assert all(check["ok"] or check["fix"] for check in checks)
    monkeypatch.setattr(diagnose, "CHECKS", {"python": diagnose.CHECKS["python"]})
    assert "python" in run_here("doctor").stdout


def test_bench_prints_the_contracts_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frame of a process of its own is measured by tests of `bench`."""
    monkeypatch.setattr(bench, "first_frame", lambda *_: 0.5)
    facts = json.loads(run_here("bench", "--seconds", "0.5", "--size", "320x180", "--json").stdout)
    assert facts["frames"] >= 1
    assert facts["size"] == [320, 180]
    assert facts["first_frame_s"] == 0.5
    assert facts["segment_share"] == facts["stylize_share"] == 1
    assert facts["dropped"] == 0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("live", "--source", "0"), ("camera 0", "--source demo")),
        (("live", "--source", "gone.mp4"), ("gone.mp4",)),
        (("live", "--source", "demo"), ("screen", "--sink file:")),
        (("live", "--source", "demo", "--sink", "virtual-camera:/dev/video99"), ("virtual camera", "modprobe")),
        (("live", "--source", "demo", "--sink", "null", "--background", "grate_wave"), ("grate_wave", "great_wave")),
        (("live", "--source", "demo", "--sink", "null", "--background", "color:reed"), ("red", "color:#rrggbb")),
        (("live", "--source", "demo", "--sink", "null", "--strength", "2"), ("2", "0 to 1")),
        (("live", "--source", "demo", "--sink", "file:/no/folder/a.mp4"), ("/no/folder",)),
        (("live", "--source", "demo", "--sink", "null", "--segmenter", "deplab"), ("deeplab",)),
        (("live", "--source", "demo", "--sink", "null", "--device", "tpu"), ("tpu", "cpu")),
        (("live", "--size", "big"), ("--size", "640x360")),
        (("live", "--frames", "0"), ("--frames",)),
        (("live", "--no-such-flag"), ("--no-such-flag", "livestyle live --help")),
        (("no-such-command",), ("no-such-command", "livestyle --help")),
        (("list", "cats"), ("cats", "styles")),
        (("live", "--source", "demo", "--gatys-style", "gone.jpg"), ("gone.jpg",)),
        (("jobs", "show", "123456"), ("123456", "livestyle jobs list")),
        (("jobs", "cancel", "one"), ("one",)),
        (("list", "styles", "--models", "no_such_folder"), ("no_such_folder", "--models")),
        (("photo", "gone.png", "out.png"), ("gone.png",)),
        (("video", "demo", "out.mp4"), ("demo", "livestyle live")),
        (("video", "face.png", "out.mp4"), ("face.png", "livestyle photo")),
        (("photo", "a.png", "b.png", "--method", "oil"), ("oil", "fast", "gatys")),
        (("bench", "--size", "641x359"), ("641x359",)),
        (("train", "segmenter", "vgg", "--data", ".", "--rooms", ".", "--perceptual", "."), ("vgg", "deeplab")),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments: tuple[str, ...], names: tuple[str, ...]) -> None:
    if arguments[0] == "train":
        pytest.importorskip("torch")
    if arguments == ("live", "--source", "0") and Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    said = run_here(*arguments, code=2).stderr
    assert all(name in said for name in names), said


@pytest.mark.parametrize(
    ("words", "file", "said"),
    [
        (["--models", "gone"], "", "Flag: --models"),
        ([], "models = 'gone'", "It stands in {file}, line 1."),
        (["--models", "gone"], "models = 'missing'", "Flag: --models"),
    ],
)
def test_an_error_names_the_flag_or_the_line(
    words: list[str], file: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Below the command line, an error names a setting, and no flag."""
    from livestyle.cli import main as cli

    def broken(models: Path) -> list[dict[str, object]]:
        raise UserError(f"There is no folder {models.name}.", "Check the name.", field="models")

    config = tmp_path / "x.toml"
    config.write_text(file)
    monkeypatch.setenv("LIVESTYLE_CONFIG", str(config))
    monkeypatch.setitem(LISTS, "sinks", broken)
    assert cli.run(["list", "sinks", *words]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "There is no folder gone.", "Check the name.", said.format(file=config)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "field", "said"),
    [
        (["train", "style", "x"], "start", "--from"),  # a flag of another name
        (["train", "style", "x"], "from", "--from"),
        (["photo"], "all_parts", "--all"),
        (["photo"], "frames", ""),  # no flag of this command
        (["live"], "sink", "--sink"),
        (["live"], "sinks", ""),
    ],
)
def test_a_field_is_the_name_of_a_flag(words: list[str], field: str, said: str) -> None:
    from typer.main import get_command

    from livestyle.cli import main as cli
    from livestyle.cli.flags import Session

    found = cli.place_of(UserError("It is wrong.", "", field), Session(), get_command(cli.app), words)
    assert found == (f"Flag: {said}" if said else "")


@pytest.mark.parametrize("name", ["text.mp4", "zero.mp4", "header.mp4"])
def test_a_broken_clip_leaves_no_result(tmp_path: Path, name: str) -> None:
    whole = write_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / name).write_bytes({"text.mp4": b"words", "zero.mp4": b"", "header.mp4": whole[:200]}[name])
    assert name in run_here("video", tmp_path / name, tmp_path / "out.mp4", code=2).stderr
    assert not (tmp_path / "out.mp4").exists()


def test_a_clip_cut_in_the_middle_is_done_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", 60, (320, 240))
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    said = run_here("video", tmp_path / "cut.mp4", tmp_path / "out.mp4", "--background", "color:#123456").stderr
    assert said.count("Warning:") == 1
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert 0 < len(list(source)) < 60


def test_an_unwritable_folder(tmp_path: Path, card: Path) -> None:
    said = run_here("photo", card, "/proc/out.png", code=2).stderr
    assert "/proc/out.png cannot be written" in said


def test_ctrl_c_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from livestyle.cli import main as cli

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(LISTS, "sinks", interrupted)
    assert cli.run(["list", "sinks"]) == 0
    assert capsys.readouterr().err.strip() == "Stopped."


def test_a_fault_of_ours_is_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from livestyle.cli import main as cli

    monkeypatch.delenv("LIVESTYLE_DEBUG", raising=False)
    monkeypatch.setitem(LISTS, "sinks", lambda _: 1 / 0)
    assert cli.run(["list", "sinks"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered", "not_offered"),
    [
        ("ctl pa", {"panic", "paint", "paint-still"}, {"quit"}),
        ("ctl paint ", {"background", "person", "both"}, {"starry_night"}),
        ("ctl style ", {"starry_night"}, {"none"}),
        ("ctl person b", {"blur", "bokeh", "bayeux_tapestry"}, {"none"}),
        ("live --background great_wave+st", {"great_wave+starry_night"}, {"great_wave"}),
        ("photo --quality ", {"auto", "fast", "balanced", "best"}, set()),
        ("matte --segmenter ", {"unet"}, {"starry_night"}),
        ("live --profile m", {"meeting"}, {"stills"}),
        ("", {"live", "ctl", "config"}, set()),
    ],
)
def test_a_shell_completes(tmp_path: Path, typed: str, offered: set[str], not_offered: set[str]) -> None:
    (tmp_path / "x.toml").write_text("[profile.meeting]\n[profile.stills]\n")
    words = f"livestyle {typed}"
    asked = {"_LIVESTYLE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-m", "livestyle"], capture_output=True, text=True, check=False,
        env=HEADLESS | asked | {"LIVESTYLE_CONFIG": str(tmp_path / "x.toml")},
    )  # fmt: skip
    found = set(done.stdout.split())
    assert offered <= found, done.stderr
    assert not not_offered & found


def test_completion_is_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "livestyle", "--install-completion", "bash"]
    subprocess.run(command, env=HEADLESS | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    assert any("_LIVESTYLE_COMPLETE" in file.read_text() for file in tmp_path.rglob("*") if file.is_file())


STUCK = """
import builtins, sys, threading, time
import cv2, numpy as np
from livestyle.cli.main import leave

class Slow:  # so that the thread comes out of the library while Python is being taken down
    def __del__(self, sleep=time.sleep): sleep(3)

image, inside = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8), threading.Event()
def work():
    while True:
        inside.set()
        cv2.medianBlur(image, 31)
threading.Thread(target=work, daemon=True).start()
inside.wait()
builtins.slow = Slow()
print("said")
{end}
"""


@pytest.mark.parametrize(("end", "code"), [("leave(0)", 0), ("leave(2)", 2)])
def test_a_thread_inside_a_library_does_not_abort_the_end(end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK.format(end=end)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "")
