"""A first use, as a stranger has it: install, window, a style, a picture, a still, a recording, another shell, the end.

Makes a wheel of this tree, installs it into a new virtual environment and drives the program with a mouse and keys on a
virtual screen, in an empty home. Every step is checked and timed; the exit code is 1 where one fails. Needs Xvfb,
xdotool and ImageMagick (`import`); nothing else of this repository is imported.

    python scripts/first_use.py --out seen/                  # screenshots, stills and the recording stay there
    python scripts/first_use.py --extras window              # with Qt's window in place of OpenCV's
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds for anything that is waited for
SCREEN = "1000x700"
# What the program's own environment says of a file: of a picture size, spread and greyness; of a clip length.
LOOK = """
import json, pathlib, sys
from livestyle.image.io import load_image
image = load_image(pathlib.Path(sys.argv[1]))
h, w = image.shape[:2]
part = image[h // 6 : h // 2, w // 10 : w // 2]  # inside the window, which stands in the corner
grey = (abs(part.astype(int) - 32) < 4).all(2).mean()  # the placeholder's
print(json.dumps({"size": [w, h], "spread": float(part.std()), "grey": float(grey)}))
"""
PLAY = """
import json, sys, av
with av.open(sys.argv[1]) as clip:
    times = [float(frame.time) for frame in clip.decode(video=0)]
with av.open(sys.argv[1]) as clip:
    heard = sum(part.samples / part.rate for part in clip.decode(audio=0)) if clip.streams.audio else 0
print(json.dumps({"frames": len(times), "seconds": times[-1] - times[0], "heard": heard}))
"""

# A painting that ships, as a file of the stranger's own.
PAINTING = """
import pathlib, shutil, sys
from livestyle.nets.library import find_painting
shutil.copy(find_painting("little_blue_horse"), sys.argv[1])
"""
# From the stills of a frame: how much the person changed, how much the room did, and how far the room's colours are
# from the picture's, before and after.
ROOM = """
import json, pathlib, sys
import numpy as np
from livestyle.image.io import load_image
matte, original, styled, picture = (load_image(pathlib.Path(path)).astype(int) for path in sys.argv[1:])
room, person = matte[..., 0] < 10, matte[..., 0] > 250
changes = [float(abs(styled - original)[part].mean()) for part in (person, room)]
means = [pixels.mean(0) for pixels in (original[room], styled[room], picture.reshape(-1, 3))]
print(json.dumps({
    "person": changes[0], "room": changes[1],
    "before": float(abs(means[0] - means[2]).mean()), "after": float(abs(means[1] - means[2]).mean()),
}))
"""
# A window from which a file can be dragged. It stays for a while: a program that gets the file asks for it.
DRAG = """
import sys
from PySide6.QtCore import QMimeData, Qt, QTimer, QUrl
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel
class Icon(QLabel):
    def mouseMoveEvent(self, event):
        data, drag = QMimeData(), QDrag(self)
        data.setUrls([QUrl.fromLocalFile(sys.argv[1])])
        drag.setMimeData(data)
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction)
        QTimer.singleShot(5000, app.quit)
app = QApplication([])
icon = Icon("a picture")
icon.setWindowTitle("folder")
icon.setGeometry(930, 660, 60, 30)
icon.show()
app.exec()
"""
HAS_QT = "import importlib.util as util; print('PySide6' if util.find_spec('PySide6') else '')"
# What stands in for the system's dialog, which somebody answers.
DIALOG = "#!/bin/sh\necho '{0}'\n"


class Stranger:
    """Who uses the program: an empty home, a screen, and the commands of the README."""

    def __init__(self, folder: Path, out: Path, programs: Path | None) -> None:
        self.folder, self.out, self.environment = folder, out, dict(os.environ)
        self.bin = programs.absolute() if programs else folder / "venv" / "bin"
        for name in [key for key in self.environment if key.startswith(("LIVESTYLE_", "XDG_", "PYTHON", "WAYLAND"))]:
            del self.environment[name]
        home, runtime = folder / "home", folder / "runtime"
        for made in (home, runtime, out):
            made.mkdir(parents=True, exist_ok=True)
        runtime.chmod(0o700)
        paths = f"{folder / 'dialogs'}:{self.bin}:{os.environ['PATH']}"
        self.environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "PATH": paths}
        self.home = home
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []

    def run(self, *command: str) -> str:
        """A command; what it prints."""
        done = subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=10 * PATIENCE,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout

    def ask(self, code: str, *files: Path) -> dict[str, float]:
        """What the program's environment says of files."""
        return dict(json.loads(self.run(str(self.bin / "python"), "-c", code, *map(str, files))))

    def start(self, *command: str) -> subprocess.Popen[str]:
        """The program; what it says is kept."""
        process = subprocess.Popen(command, env=self.environment, cwd=self.home, stderr=subprocess.PIPE, text=True)
        assert process.stderr
        errors = process.stderr
        threading.Thread(target=lambda: [self.lines.put(line) for line in errors], daemon=True).start()
        return process

    def hears(self, words: str) -> str:
        """The line of the program with these words, once it says it."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.said.append(self.lines.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"it did not say '{words}', but: {''.join(self.said)}") from None
            if words in self.said[-1]:
                return self.said[-1].strip()

    def xdotool(self, *words: str) -> str:
        return self.run("xdotool", *words)

    def sees(self, title: str) -> str:
        """The window with such a title, once it is there."""
        return self.xdotool("search", "--sync", "--onlyvisible", "--name", title).split()[0]

    def press(self, window: str, key: str) -> None:
        self.xdotool("windowfocus", "--sync", window, "key", "--window", window, key)

    def screenshot(self, name: str) -> dict[str, float]:
        """Of the whole screen; what is in it."""
        file = self.out / f"{name}.png"
        self.run("import", "-window", "root", str(file))
        return self.ask(LOOK, file)


@contextmanager
def screen(stranger: Stranger) -> Iterator[None]:
    """A virtual X screen."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{SCREEN}x24"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    stranger.environment["DISPLAY"] = f":{os.read(reader, 16).decode().strip()}"
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def install(stranger: Stranger, extras: str) -> str:
    """A wheel of this tree, in a new environment."""
    stranger.run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(stranger.folder), str(ROOT))
    wheel = next(stranger.folder.glob("livestyle-*.whl"))
    began = time.monotonic()
    stranger.run(sys.executable, "-m", "venv", str(stranger.folder / "venv"))
    what = f"{wheel}[{extras}]" if extras else str(wheel)
    stranger.run(str(stranger.bin / "pip"), "install", "--quiet", what)
    took = time.monotonic() - began
    size = sum(file.stat().st_size for file in (stranger.folder / "venv").rglob("*") if file.is_file())
    version = stranger.run("livestyle", "--version").strip()
    return f"{version}, {took:.0f} s without the wheel's making, {size / 1e6:.0f} MB"


def first_picture(stranger: Stranger) -> str:
    """The window, painted, with the default style."""
    stranger.hears("Keys: ")
    window, until = stranger.sees("background"), time.monotonic() + PATIENCE
    while stranger.screenshot("1-window")["spread"] < 15:
        assert time.monotonic() < until, "the window stays empty"
    return f"'{stranger.xdotool('getwindowname', window).strip()}'"


def pick(stranger: Stranger, window: str) -> str:
    """A style by its number, then one with the mouse."""
    names = [style["name"] for style in json.loads(stranger.run("livestyle", "list", "styles", "--json"))]
    number = str(names.index("the_scream") + 1)
    stranger.press(window, number)
    stranger.sees("the_scream")
    stranger.screenshot("2-number-key")
    stranger.press(window, "t")
    until, places = time.monotonic() + PATIENCE, [("12", "510"), ("68", "510")]
    while "bayeux" not in stranger.xdotool("getwindowname", window):  # the strip may take a frame to be there
        assert time.monotonic() < until, "a click on the first style does nothing"
        stranger.xdotool("mousemove", "--window", window, *places[0], "click", "1")
        places.reverse()  # two clicks at one place are a double click
        time.sleep(0.5)
    time.sleep(1)  # until it is painted
    stranger.screenshot("3-mouse")
    stranger.press(window, "t")
    time.sleep(1)  # OpenCV's window takes one key a frame
    return f"The Scream by {number}, Bayeux Tapestry by a click"


def drop(stranger: Stranger, window: str) -> str:
    """A picture: dropped on Qt's window, or chosen in the dialog of the key l. Then what is seen of a frame."""
    picture = stranger.home / "a horse.png"
    stranger.run(str(stranger.bin / "python"), "-c", PAINTING, str(picture))
    has_qt = bool(stranger.run(str(stranger.bin / "python"), "-c", HAS_QT).strip())
    began = (drag if has_qt else choose)(stranger, window, picture)
    stranger.sees("a horse")
    took = time.monotonic() - began
    time.sleep(3)  # until it is painted
    stranger.screenshot("4-picture")
    folder = stranger.home / "Pictures" / "livestyle"
    stranger.press(window, "s")
    stranger.hears("Saved ")
    files = sorted(folder.glob("*.png"))
    found = stranger.ask(ROOM, *files, picture)
    for file in files:
        file.rename(stranger.out / f"picture-{file.name.rpartition('-')[2]}")
    assert found["person"] < 6, f"the person is painted, too: {found}"
    assert found["room"] > 25, f"the room is not painted: {found}"
    assert found["after"] < found["before"], f"the room has not the picture's colours: {found}"
    return f"{'dropped' if has_qt else 'chosen'}, taken in {took:.1f} s; changes of 255: {found}"


def drag(stranger: Stranger, window: str, picture: Path) -> float:
    """A file, from another window. When it was let go."""
    source = subprocess.Popen([stranger.bin / "python", "-c", DRAG, picture], env=stranger.environment)
    stranger.sees("^folder")
    time.sleep(1)
    stranger.xdotool("mousemove", "960", "675", "mousedown", "1")
    for place in ("950 670", "800 500", "500 300", "450 250", "455 255"):
        stranger.xdotool("mousemove", *place.split())
        time.sleep(0.3)
    stranger.xdotool("mouseup", "1")
    threading.Thread(target=source.wait, daemon=True).start()
    return time.monotonic()


def choose(stranger: Stranger, window: str, picture: Path) -> float:
    """A file, in the dialog. When the key was pressed."""
    folder = stranger.folder / "dialogs"
    folder.mkdir()
    dialog = folder / "zenity"
    dialog.write_text(DIALOG.format(picture))
    dialog.chmod(0o755)
    began = time.monotonic()
    stranger.press(window, "l")
    return began


def still(stranger: Stranger, window: str) -> str:
    """The key s."""
    stranger.press(window, "s")
    said = stranger.hears("Saved ")
    files = sorted((stranger.home / "Pictures" / "livestyle").glob("*.png"))
    assert [file.stem.rpartition("-")[2] for file in files] == ["matte", "original", "styled"], files
    sizes = {tuple(stranger.ask(LOOK, file)["size"]) for file in files}  # type: ignore[arg-type]
    assert len(sizes) == 1, sizes
    for file in files:
        shutil.copy(file, stranger.out)
    assert str(files[1]) in said, said
    return f"{len(files)} pictures of {'x'.join(map(str, sizes.pop()))} in ~/Pictures/livestyle"


def record(stranger: Stranger, window: str) -> str:
    """The key r, twice."""
    stranger.press(window, "r")
    stranger.hears("Recording to ")
    time.sleep(4)
    stranger.screenshot("5-recording")
    stranger.press(window, "r")
    stranger.hears("Recorded ")
    (file,) = (stranger.home / "Videos" / "livestyle").glob("*.mkv")
    shutil.copy(file, stranger.out)
    found = stranger.ask(PLAY, file)
    assert found["seconds"] > 3, found
    assert found["frames"] > 3 * found["seconds"], found
    heard = f", {found['heard']:.1f} s of sound" if found["heard"] else ""
    return f"{found['frames']} frames, {found['seconds']:.1f} s{heard}, {file.stat().st_size / 1e6:.1f} MB"


def control(stranger: Stranger) -> str:
    """From a second shell: what is, a look for the person, hidden and back."""
    began = time.monotonic()
    status = json.loads(stranger.run("livestyle", "ctl", "status", "--json"))
    took = time.monotonic() - began
    assert status["background"] == f"picture:{stranger.home / 'a horse.png'}", status
    with subprocess.Popen(
        ["livestyle", "ctl", "watch"], env=stranger.environment, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout
        watch.stdout.readline()
        stranger.run("livestyle", "ctl", "person", "the_scream")
        changed = next(line for line in iter(watch.stdout.readline, "") if "the_scream" in line)
        watch.terminate()
    time.sleep(2)  # until it is painted
    stranger.screenshot("6-person")
    stranger.run("livestyle", "ctl", "panic")
    stranger.sees("hidden")
    time.sleep(1)
    hidden, shown = stranger.screenshot("7-hidden"), stranger.ask(LOOK, stranger.out / "6-person.png")
    assert hidden["grey"] > 0.5 > shown["grey"], f"not hidden: {hidden}, {shown}"
    stranger.run("livestyle", "ctl", "confirm")
    stranger.sees("the_scream")
    stranger.screenshot("8-back")
    return f"status after {took:.2f} s; watch said: {changed.strip()[:70]}"


def end(stranger: Stranger, process: subprocess.Popen[str]) -> str:
    """A clean end, with nothing that should not be there."""
    stranger.run("livestyle", "ctl", "quit")
    code = process.wait(PATIENCE)
    time.sleep(0.2)
    while not stranger.lines.empty():
        stranger.said.append(stranger.lines.get())
    assert code == 0, f"exit code {code}"
    assert not any("Traceback" in line or "Error" in line for line in stranger.said), stranger.said
    return f"exit code 0; its last words: {stranger.said[-1].strip()}"


def step(words: str, do: Callable[[], str]) -> None:
    """Do it; say what was seen and how long it took."""
    began = time.monotonic()
    seen = do()
    print(f"ok  {words} ({time.monotonic() - began:.1f} s): {seen}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("seen"), help="a folder for what was seen (default: seen)")
    parser.add_argument("--extras", default="", help="to install, such as window")
    parser.add_argument("--bin", type=Path, help="of an installation to use, in place of a new one")
    parser.add_argument("--flags", default="", help="further flags of livestyle live")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stranger = Stranger(Path(folder), arguments.out.absolute(), arguments.bin)
        with screen(stranger):
            try:
                if not arguments.bin:
                    step("install", lambda: install(stranger, arguments.extras))
                began = time.monotonic()
                process = stranger.start("livestyle", "live", "--source", "demo", *arguments.flags.split())
                step("a window, painted", lambda: first_picture(stranger))
                window = stranger.sees("^livestyle")
                step("a style", lambda: pick(stranger, window))
                step("a picture", lambda: drop(stranger, window))
                step("a still", lambda: still(stranger, window))
                step("a recording", lambda: record(stranger, window))
                step("a second shell", lambda: control(stranger))
                step("the end", lambda: end(stranger, process))
                print(f"from the first command to its end: {time.monotonic() - began:.0f} s; seen: {stranger.out}")
            except (AssertionError, subprocess.SubprocessError, StopIteration) as error:
                print(f"FAIL {type(error).__name__}: {error}")
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
