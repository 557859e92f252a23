"""Favourite styles are kept from one run to the next."""

from pathlib import Path

import pytest

from livestyle.config.favorites import favorites_file, load_favorites, save_favorites
from livestyle.errors import UserError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, which is not there yet."""
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_state_dir", lambda name, appauthor: str(tmp_path / name))
    return favorites_file()


def test_favorites_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_favorites() == ()
    save_favorites(["red_fuji", "großes_bild", "red_fuji"])
    assert load_favorites() == ("red_fuji", "großes_bild")
    monkeypatch.setenv("LIVESTYLE_CONFIG", "none")
    save_favorites([])
    assert load_favorites() == ()
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    assert len(load_favorites()) == 2


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"{}", b"[1]", b'["a\\n"]', b"[" * 30_000, b'["a", ' * 20_000])
def test_a_damaged_file_holds_no_favorites(data: bytes, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(data)
    assert load_favorites() == ()
    save_favorites(["wave"])
    assert load_favorites() == ("wave",)


def test_favorites_that_cannot_be_kept_are_told(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        save_favorites(["wave"])
