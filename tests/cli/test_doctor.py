"""What is checked, and what a bug report tells."""

import json
import platform
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle import errors
from livestyle.cli.diagnose import bundle
from livestyle.cli.diagnose import checks as doctor
from livestyle.cli.diagnose.bundle import scrub, write_bundle
from livestyle.cli.diagnose.checks import Check
from livestyle.errors import UserError, pip, pip_install
from livestyle.video.devices import loopback, v4l2
from livestyle.video.devices.devices import Device
from livestyle.video.devices.v4l2 import Mode, modes
from livestyle.video.window import toolkits
from livestyle.video.window.canvas import Canvas

CAMERA = Device("/dev/video0", "HD Webcam", "046d:0825", "A1", "1-4:1.0")
VIRTUAL = Device("/dev/video10", "livestyle", "virtual", "", "video10")
MODES = [
    Mode("YUYV", 640, 480, 30.0), Mode("YUYV", 1280, 720, 10.0), Mode("MJPG", 1280, 720, 30.0),
    Mode("MJPG", 640, 480, 30.0), Mode("MJPG", 1920, 1080, 30.0), Mode("MJPG", 320, 240, 30.0),
]  # fmt: skip


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Linux with a camera and a loopback device in perfect order; gives the module's folder."""
    module = tmp_path / "v4l2loopback"
    (module / "parameters").mkdir(parents=True)
    (module / "version").write_text("0.12.7\n")
    (module / "parameters" / "exclusive_caps").write_text("Y,N,N,N\n")
    monkeypatch.setattr(doctor, "IS_LINUX", True)
    monkeypatch.setattr(doctor, "video_devices", lambda: [CAMERA, VIRTUAL])
    monkeypatch.setattr(doctor, "modes", lambda _: MODES)
    monkeypatch.setattr(doctor, "holders", lambda _: [])
    monkeypatch.setattr(doctor.os, "access", lambda *_: True)
    monkeypatch.setattr(doctor, "is_secure_boot", lambda: False)
    for place in (doctor, loopback):
        monkeypatch.setattr(place, "loopbacks", lambda: [VIRTUAL])
    monkeypatch.setattr(loopback, "MODULE", module)
    monkeypatch.setattr(loopback, "install_command", lambda: "")
    return module


def only(found: Iterator[Check]) -> Check:
    (check,) = found
    return check


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        ("raise ImportError('libEGL.so.1: cannot open shared object file')", "libEGL.so.1", "libegl1"),
        ("import os; os.abort()", "it ends its process (-6)", "PySide6-Essentials"),
        ("pass", "", ""),
    ],
)
def test_an_extra_that_does_not_load_is_told_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str, fix: str
) -> None:
    (tmp_path / "PySide6").mkdir()
    (tmp_path / "PySide6" / "__init__.py").touch()
    (tmp_path / "PySide6" / "QtWidgets.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "6.0")
    check = doctor._loaded("PySide6-Essentials")
    assert check.ok is (not words)
    assert words in check.detail
    assert fix in check.fix
    assert bool(check.fix) is bool(fix)


def test_hints_name_the_pip_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pip_install("torch") == f"{sys.executable} -m pip install 'livestyle[torch]'"
    monkeypatch.setattr(errors, "has_package", lambda name: False)  # as in the environments of uv
    monkeypatch.setattr(sys, "executable", "/my place/python")
    assert pip("install av") == "uv pip install av --python '/my place/python'"


def test_a_window_that_falls_back_to_another_toolkit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fit: object) -> Canvas:
        raise AssertionError

    opened = Canvas()
    opened.name = "OpenCV"
    rows = {"qt": (lambda: "libEGL.so.1 is missing", refused), "opencv": (lambda: "", lambda fit: opened)}
    monkeypatch.setattr(toolkits, "TOOLKITS", rows)
    monkeypatch.setattr(toolkits, "has_package", lambda name: True)
    assert "OpenCV's: Qt does not load (libEGL.so.1 is missing)" in toolkits.open_canvas((64, 36)).note
    opened.note = ""
    monkeypatch.setattr(toolkits, "has_package", lambda name: False)
    assert toolkits.open_canvas((64, 36)).note == ""  # nobody asked for Qt


def test_a_camera_is_listed_with_what_it_offers(machine: Path) -> None:
    check = only(doctor._cameras())
    assert check.ok
    assert check.detail == (
        "HD Webcam: MJPG 1920x1080 at 30, 1280x720 at 30, 640x480 at 30; YUYV 1280x720 at 10, 640x480 at 30"
    )


def test_who_has_the_camera_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "holders", lambda _: [(123, "zoom")])
    check = only(doctor._cameras())
    assert not check.ok
    assert "zoom (process 123)" in check.detail
    assert "kill 123" in check.fix


def test_a_camera_that_may_not_be_opened_names_the_group(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert "usermod -aG video" in only(doctor._cameras()).fix


def _unload(module: Path) -> None:
    (module / "version").unlink()
    for file in (module / "parameters").iterdir():
        file.unlink()
    (module / "parameters").rmdir()
    module.rmdir()


def _share(module: Path) -> None:
    (module / "parameters" / "exclusive_caps").write_text("N,N\n")


@pytest.mark.parametrize(
    ("change", "bad", "fix"),
    [
        (lambda _: None, set(), ""),
        (_unload, {"v4l2loopback"}, "sudo modprobe v4l2loopback"),
        (_share, {"v4l2loopback exclusive_caps"}, "modprobe -r"),
    ],
    ids=["good", "not loaded", "not exclusive"],
)  # fmt: skip
def test_the_loopback_module(machine: Path, change: Callable[[Path], None], bad: set[str], fix: str) -> None:
    change(machine)
    checks = list(doctor._loopback())
    assert {check.name for check in checks if not check.ok} == bad
    assert all(fix in check.fix for check in checks if not check.ok)


def test_secure_boot_is_spoken_of_where_it_matters(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _unload(machine)
    monkeypatch.setattr(doctor, "is_secure_boot", lambda: True)
    assert "mokutil" in only(doctor._loopback()).fix


@pytest.mark.parametrize(
    ("system", "listed", "ok"),
    [
        ("Darwin", "* com.obsproject.obs-studio.mac-camera-extension (1.0/1) [activated enabled]", True),
        ("Darwin", "0 extension(s)", False), ("Windows", "", False), ("Windows", "HKEY_CLASSES_ROOT", True),
    ],
)  # fmt: skip
def test_obs_is_looked_for(monkeypatch: pytest.MonkeyPatch, system: str, listed: str, ok: bool) -> None:
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    monkeypatch.setattr(doctor, "said", lambda *_: listed)
    check = only(doctor._obs())
    assert check.ok is ok
    assert bool(check.fix) is not ok


def test_what_is_not_there_says_nothing() -> None:
    assert doctor.said("no-such-program-anywhere") == ""
    assert doctor.said("false") == ""


def test_every_lack_has_a_mend_and_every_check_says_something() -> None:
    quick = [checks for name, checks in doctor.CHECKS.items() if name != "engines"]
    for check in (one for checks in quick for one in checks()):
        assert check.ok or check.fix, check
        assert check.detail, check


class FakeDevice:
    """Answers ioctls as a camera with MJPG at one size and two rates, and a format of any size."""

    def __call__(self, file: int, request: int, message: bytes) -> bytes:
        number = struct.unpack_from("I", message)[0]
        code = message[4:8]
        if request == v4l2.FORMATS and number < 2:
            return v4l2.FORMAT.pack(number, v4l2.CAPTURE, 0, b"words", (b"MJPG", b"GREY")[number])
        if request == v4l2.SIZES and number == 0:
            return v4l2.FRAME_SIZE.pack(0, code, v4l2.DISCRETE if code == b"MJPG" else 3, 1280, 720, 0, 0, 0, 0)
        if request == v4l2.RATES and number < 2:
            assert struct.unpack_from("II", message, 8) == (1280, 720)
            return v4l2.FRAME_RATE.pack(number, code, 1280, 720, v4l2.DISCRETE, 1, (15, 30)[number], 0, 0, 0, 0)
        raise OSError(22, "Invalid argument")


def test_modes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(_: str) -> Iterator[int]:
        yield 3

    monkeypatch.setattr(v4l2, "opened", opened)
    monkeypatch.setattr(v4l2, "ask", FakeDevice())
    assert modes("/dev/video0") == [Mode("MJPG", 1280, 720, 30.0)]


def test_a_file_has_no_modes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert modes(str(tmp_path / "file")) == modes(str(tmp_path / "none")) == []


def test_a_bundle_tells_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "annas-laptop")
    monkeypatch.setattr(bundle.getpass, "getuser", lambda: "anna")
    monkeypatch.setenv("HOME", "/data/people/anna")
    monkeypatch.setenv("LIVESTYLE_BACKGROUND", "image:/mnt/Anna Müller/beach.jpg")
    monkeypatch.setenv("DISPLAY", ":7")
    checks = [
        Check("styles", False, "/data/people/anna/.local/share/livestyle/x.onnx is altered", "ask anna@example.org"),
        Check("camera", True, r"Anna's iPhone on Annas-Laptop, C:\Users\Anna\clip.mp4, /home/otto/a.png"),
    ]
    write_bundle(tmp_path / "b.zip", checks)
    with zipfile.ZipFile(tmp_path / "b.zip") as found:
        texts = {name: found.read(name).decode() for name in found.namelist()}
    together = "".join(texts.values()).lower()
    assert not [word for word in ("anna", "otto", "müller", "beach", "example.org", "/people") if word in together]
    assert all(name.endswith((".txt", ".json")) for name in texts)
    assert json.loads(texts["doctor.json"])[0]["detail"] == "~/.local/share/livestyle/x.onnx is altered"
    assert "DISPLAY: :7" in texts["environment.txt"]
    assert "numpy: " in texts["packages.txt"]


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "b.txt", tmp_path / "none" / "b.zip"):
        with pytest.raises(UserError):
            write_bundle(path, [])
    assert not list(tmp_path.iterdir())


word = st.text("abcdefgh", min_size=3, max_size=8)


@given(
    user=word,
    host=word,
    text=st.lists(st.sampled_from(["{user}", "{host}", "{USER}", "/home/{user}/x", ",", ".", "(", ")", "-", ":"])),
)
def test_scrubbed_text_holds_no_name_as_a_word(user: str, host: str, text: list[str]) -> None:
    told = " ".join(text).format(user=user, host=host, USER=user.title())
    done = scrub(told, {user: "USER", host: "HOST", f"/home/{user}": "~"})
    assert not {user, host, user.title()} & set(done.replace("/", " ").split())


def test_a_wrong_config_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    monkeypatch.setenv("LIVESTYLE_CONFIG", str(file))
    file.write_text("fps = 20\n")
    found = {check.name: check for check in doctor._config()}
    assert found["config"].ok
    assert found["config"].detail == str(file)
    assert found["ctl"].ok
    file.write_text("\nfsp = 20\n")
    wrong = next(doctor._config())
    assert not wrong.ok
    assert "line 2" in wrong.detail
    assert wrong.fix == "livestyle config edit"


def test_a_folder_for_sockets_that_is_not_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Path:
        raise PermissionError("runtime directory belongs to another")

    monkeypatch.setattr(doctor, "runtime_folder", refused)
    check = next(check for check in doctor._config() if check.name == "ctl")
    assert (check.ok, bool(check.fix)) == (False, True)


def test_without_the_module_what_works_today_is_said(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipewire-0").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "share its window" not in next(doctor._pipewire()).detail
    _unload(machine)
    assert "share its window" in next(doctor._pipewire()).detail
    assert loopback.trouble("")[1].splitlines()[1] == f"Without one: {loopback.WITHOUT}"


@pytest.mark.parametrize(
    ("found", "words"), [(["default", "Headset"], "default, Headset"), ([], "none found"), (None, "pip install")]
)
def test_microphones_are_listed(found: list[str] | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> list[str]:
        if found is None:
            raise UserError("A microphone needs a package.", "Run: pip install it")
        return found

    monkeypatch.setattr(doctor, "microphones", look)
    check = only(doctor._microphone())
    assert check.ok
    assert words in check.detail
