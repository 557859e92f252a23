"""The system's dialog that asks for a file, in a process of its own: the picture goes on meanwhile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from livestyle.errors import UserError

TITLE = "Choose a picture"
OF_QT = (
    "from PySide6.QtWidgets import *; a = QApplication([]); print(QFileDialog.getOpenFileName(None, {0!r}, {1!r})[0])"
)
OF_TK = """
import tkinter, tkinter.filedialog
tkinter.Tk().withdraw()
print(tkinter.filedialog.askopenfilename(title={0!r}, initialdir={1!r}) or "")
"""
OF_WINDOWS = """
[Console]::OutputEncoding = [Text.Encoding]::UTF8
Add-Type -AssemblyName System.Windows.Forms
$dialog = New-Object System.Windows.Forms.OpenFileDialog -Property @{{Title = '{0}'}}
if ($dialog.ShowDialog() -eq 'OK') {{ $dialog.FileName }}
"""


def commands(folder: str) -> Iterator[list[str]]:
    """Yield the commands that ask for a file and print its path, for this system, the best first.

    Args:
        folder: where to begin.
    """
    if sys.platform == "darwin":
        yield ["osascript", "-e", f'POSIX path of (choose file with prompt "{TITLE}")']
    elif sys.platform == "win32":
        yield ["powershell", "-NoProfile", "-STA", "-Command", OF_WINDOWS.format(TITLE)]
    else:
        gtk = ["zenity", "--file-selection", f"--title={TITLE}", f"--filename={folder}/"]
        kde = ["kdialog", "--title", TITLE, "--getopenfilename", folder]
        yield from (kde, gtk) if "KDE" in os.environ.get("XDG_CURRENT_DESKTOP", "") else (gtk, kde)
    for package, code in (("PySide6.QtWidgets", OF_QT), ("tkinter", OF_TK)):
        if has_module(package):
            yield [sys.executable, "-c", code.format(TITLE, folder)]


def has_module(name: str) -> bool:
    """Return whether a module is installed."""
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


class FileDialog:
    """A dialog that asks for a file.

    Raises:
        UserError: this system has none.
    """

    def __init__(self) -> None:
        home = Path.home()
        folder = next((str(place) for place in (home / "Pictures", home) if place.is_dir()), str(Path.cwd()))
        command = next((command for command in commands(folder) if which(command[0])), None)
        if command is None:
            raise UserError(
                "There is no dialog to choose a file in.", "Install zenity, or: livestyle ctl open-picture FILE"
            )
        # OpenCV names the plugins of its own Qt, which no other Qt can load.
        place = {name: value for name, value in os.environ.items() if not name.startswith("QT_QPA_")}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=place)

    @property
    def is_open(self) -> bool:
        """Whether the user has not chosen yet."""
        return self._process.poll() is None

    def close(self) -> str:
        """Take the dialog away. Return the path that was chosen, or "" for none."""
        is_chosen = not self.is_open
        self._process.kill()
        printed, _ = self._process.communicate()
        return os.fsdecode(printed).rstrip("\r\n") if is_chosen else ""
