"""Config files that change during a run, and the look that is remembered for the next run."""

from pathlib import Path
from typing import Any

import pytest

from livestyle.config.load import load_config
from livestyle.config.look import Look, look_of, parse_plane
from livestyle.config.settings import LOOKS, Settings
from livestyle.live import reload as reload_module
from livestyle.live.actions import open_controls
from livestyle.live.privacy import Privacy
from livestyle.live.reload import Reload, load_last, save_last
from livestyle.live.session import remembered


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the user's config file. The current folder has none."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LIVESTYLE_CONFIG", str(tmp_path / "user.toml"))
    return tmp_path / "user.toml"


class Run:
    """A run that reloads a file, and its messages. The file is written as editors do: beside it, then over it."""

    def __init__(self, file: Path, text: str, privacy: Privacy = Privacy(), **typed_looks: Any) -> None:
        self.file, self.said = file, list[str]()
        self.write(text)
        values = {name: one.value for name, one in load_config().values.items() if name in LOOKS}
        settings = Settings(**(values | typed_looks))
        self.controls = open_controls(settings, privacy)
        self.reload = Reload(self.controls, settings, "great_wave", None, tuple(typed_looks), self.said.append)

    def write(self, text: str) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(text)
        part.replace(self.file)

    def edit(self, text: str) -> Look:
        self.write(text)
        self.reload()
        return self.controls.look


def test_a_run_takes_over_changes_of_the_file_and_keeps_those_by_keys(file: Path) -> None:
    run = Run(file, 'background = "blur:0.2"\n')
    assert run.edit('background = "starry_night"\nstrength = 0.5\n').background.text == "starry_night"
    assert run.controls.look.background_strength == 0.5
    run.controls.press("person blur:0.9")
    look = run.edit('background = "starry_night"\nkeep-colors = true\n')
    assert (look.person.text, look.background_strength, look.keep_colors) == ("blur:0.9", 1.0, True)
    assert run.edit("").background.text == "great_wave"  # the default
    said = len(run.said)
    run.reload()
    run.edit("fps = 20\n")
    assert len(run.said) == said  # nothing new


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('background = "stary_night"\n', "starry_night"),
        ('background = "stary_night"\n', "line 1"),
        ("background = 3\n", "line 1"),
        ("[", "no TOML"),
    ],
)
def test_a_wrong_file_is_reported_and_the_look_stays(file: Path, text: str, said: str) -> None:
    run = Run(file, 'background = "blur:0.2"\n')
    assert run.edit(text).background.text == "blur:0.2"
    assert said in run.said[-1]
    assert list(run.controls.notices()) == run.said
    assert run.edit('background = "blur:0.3"\n').background.text == "blur:0.3"


def test_a_deleted_file_changes_nothing(file: Path) -> None:
    run = Run(file, 'background = "blur:0.2"\n')
    file.unlink()
    run.reload()
    assert (run.controls.look.background.text, run.said) == ("blur:0.2", [])


def test_a_file_does_not_override_flags(file: Path) -> None:
    run = Run(file, "", background="blur:0.2")
    look = run.edit('background = "blur:0.8"\nperson = "blur:0.3"\n')
    assert (look.background.text, look.person.text) == ("blur:0.2", "blur:0.3")


def test_a_file_does_not_show_the_room_in_a_call_unconfirmed(file: Path) -> None:
    run = Run(file, 'background = "blur:0.2"\n', Privacy(is_call=True))
    assert run.edit('background = "none"\n').background.text == "blur:0.2"
    run.controls.press("confirm")
    assert run.controls.look.background.text == "none"


def test_the_last_look_is_remembered_exactly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    monkeypatch.setattr(reload_module, "last_file", lambda: tmp_path / "state" / "last.json")
    assert load_last() == {}
    look = Look(parse_plane("starry_night+great_wave@0.25"), parse_plane("blur:0.7"), 0.5, 0.9, True)
    save_last(look)
    assert look_of(Settings(**load_last()), "") == look
    assert set(load_last()) <= set(LOOKS)
    for broken in ("", "[]", "3", '{"background": 3}', '{"person": "video:gone.mp4"}', "[" * 100000):
        (tmp_path / "state" / "last.json").write_text(broken)
        assert load_last() == {}


def test_a_last_look_is_not_used_if_a_style_is_missing_or_it_shows_the_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    monkeypatch.setattr(reload_module, "last_file", lambda: tmp_path / "last.json")
    save_last(Look(parse_plane("my_style")))
    assert remembered(Settings(strength=0.5), Privacy()) == Settings(strength=0.5)
    save_last(Look(parse_plane("starry_night"), background_strength=0.3))
    assert remembered(Settings(), Privacy()).background == "starry_night"
    assert remembered(Settings(), Privacy(is_call=True)) == Settings()  # so faint that the room shows
    save_last(Look(parse_plane("starry_night")))
    assert remembered(Settings(), Privacy(is_call=True)).background == "starry_night"
    monkeypatch.setenv("LIVESTYLE_CONFIG", "none")
    assert remembered(Settings(), Privacy()) == Settings()


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    monkeypatch.setattr(reload_module, "last_file", lambda: tmp_path / "file" / "last.json")
    save_last(Look(parse_plane("blur")))
    assert load_last() == {}
