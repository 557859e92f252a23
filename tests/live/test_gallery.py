"""The styles to choose from: families, favourites, search, in the window and from other programs."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.gallery import STYLES, make_gallery

from livestyle.config.look import Look, parse_plane
from livestyle.errors import UserError
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.gallery import ALL, open_gallery
from livestyle.live.preview import facts, styles


@pytest.fixture
def controls(tmp_path: Path) -> Controls:
    """Controls with the styles of a small gallery alone."""
    make_gallery(tmp_path)
    return make_controls(Look(parse_plane("red_hill")), replace(open_gallery(tmp_path), names=tuple(STYLES)))


def stepped(controls: Controls, count: int) -> list[str]:
    return [controls.press("]") and controls.look.background.text for _ in range(count)]


def test_steps_stay_in_a_family(controls: Controls) -> None:
    assert stepped(controls, 3) == ["grey_sea", "blue_hill", "red_hill"]
    assert controls.press("family prints") == "prints, 2 styles: red_hill, blue_hill"
    assert stepped(controls, 3) == ["blue_hill", "red_hill", "blue_hill"]
    assert [name for name, _ in styles(controls.gallery)] == ["red_hill", "blue_hill"]
    assert next(facts(controls)) == "styles: prints"
    assert controls.press("style 2") == "background blue_hill, person none"
    with pytest.raises(UserError, match="There are 2"):
        controls.press("style 3")
    controls.press("family calm")
    assert stepped(controls, 2) == ["grey_sea", "grey_sea"]
    controls.press("style red_hill")  # any style can be named still
    controls.press("family all")
    assert stepped(controls, 1) == ["grey_sea"]


def test_families_follow_one_another(controls: Controls) -> None:
    def limit() -> str:
        controls.press(",")
        return controls.gallery.only

    assert [limit() for _ in range(4)] == ["bold", "calm", "prints", ALL]
    controls.press("favorite")
    controls.press("family all")
    assert [limit(), limit()] == ["favorites", "bold"]
    with pytest.raises(UserError, match="no family 'prince'"):
        controls.press("family prince")


def test_favorites_are_a_family(controls: Controls) -> None:
    with pytest.raises(UserError, match="no favourites yet"):
        controls.press("family favorites")
    assert controls.press("*") == "red_hill is a favourite"
    controls.press("favorite Blue Hill")
    assert controls.status()["favorite"]
    assert "a favourite" in facts(controls)
    controls.press("family favorites")
    assert stepped(controls, 2) == ["blue_hill", "red_hill"]
    controls.press("favorite")
    assert controls.gallery.chosen == ("blue_hill",)
    assert controls.press("favorite blue_hill") == "blue_hill is no longer a favourite"
    assert controls.gallery.only == ALL  # and not a limit that leaves nothing
    for text in ("favorite blur", "favorite nothing", "favorite red_hill+grey_sea"):
        with pytest.raises(UserError):
            controls.press(text)


def test_favorites_of_another_run_are_kept(
    controls: Controls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    monkeypatch.setattr("platformdirs.user_state_dir", lambda name, appauthor: str(tmp_path / name))
    controls.press("favorite")
    assert open_gallery(tmp_path).favorites == ("red_hill",)
    other = make_controls(Look(parse_plane("grey_sea")), open_gallery(tmp_path))
    other.press("favorite")
    controls.press("favorite blue_hill")
    assert open_gallery(tmp_path).favorites == ("red_hill", "grey_sea", "blue_hill")


def test_a_search_limits_the_styles(controls: Controls) -> None:
    assert controls.press("search colline ETE") == "colline ETE, 1 style: red_hill"
    assert stepped(controls, 1) == ["red_hill"]
    with pytest.raises(UserError, match="Did you mean Colline"):
        controls.press("search collin3")
    assert controls.gallery.chosen == ("red_hill",)  # as before
    assert controls.press("search").startswith("all, ")
    controls.preview.is_shown = True
    assert controls.press("search") == ""
    assert controls.preview.wants_words
    controls.press("search sea")
    assert "strip" in controls.preview.panels
