"""What is settled in files, profiles and variables: which one counts, and what is said of wrong ones."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cli import HEADLESS, run_here

from livestyle.config.load import Config, File, load_config
from livestyle.config.settings import SETTINGS, LiveSettings, Settings
from livestyle.config.toml import lines_of, parse_toml, paths_in
from livestyle.errors import UserError
from livestyle.live.actions import open_controls
from livestyle.live.keys import checked_keys

EXAMPLES: dict[str, tuple[Any, Any]] = {  # of every setting two values that differ from the default
    "background": ("blur:0.3", "color:#102030"), "person": ("blur:0.2", "bokeh:0.1"), "strength": (0.25, 0.5),
    "background_strength": (0.1, 0.2), "person_strength": (0.3, 0.4), "keep_colors": (True, True), "brush": (1.4, 0.7),
    "segmenter": ("kmeans", "segnet"), "keep": ("person,dog", "dog"), "person_count": ("main", "main"),
    "model_file": ("/a/net.tflite", "/b/net.tflite"), "refine": ("crf", "matting"), "auto_light": (True, True),
    "device": ("cpu", "torch:cpu"), "quality": ("fast", "best"), "models": ("/a", "/b"),
    "source": ("demo", "1"), "sink": (["null"], ["window", "virtual-camera:/dev/video9"]),
    "size": ("640x360", "320x180"), "fps": (15.0, 60.0), "mirror": (True, False), "private": (True, True),
    "on_demand": (True, True), "frames": (3, 5), "seconds": (1.5, 2.5), "stills": ("/a/stills", "/b/stills"),
    "gif_seconds": (0.0, 7.5), "improve": (0.0, 5.0), "recordings": ("/a/clips", "/b/clips"),
    "hud": ("over", "off"), "loop": (True, False), "keep_location": (True, True),
    "backdrop": ("green", "#102030"),
    "microphone": ("default", "Headset"), "gatys_style": ("/a/wave.jpg", "/b/wave.jpg"),
}  # fmt: skip
PLACES = ("user", "project", "profile", "variable")  # in rising order
PROJECT = tuple(name for name, one in SETTINGS.items() if one.in_project)


class Home:
    """A user's config file, a folder with another, and variables."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.user, self.project = root / "user.toml", root / "here" / "livestyle.toml"
        self.project.parent.mkdir()
        self.user.touch()
        monkeypatch.chdir(self.project.parent)
        self.variables = {"LIVESTYLE_CONFIG": str(self.user)}
        monkeypatch.setenv("LIVESTYLE_CONFIG", str(self.user))
        self.state = root / "state"

    def load(self, profile: str | None = None, **variables: str) -> Config:
        found = load_config(profile, self.variables | variables)
        checked_keys(found.keys)
        return found

    def run(self, *arguments: object, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_here(*arguments, code=code, **(self.variables | {"XDG_STATE_HOME": str(self.state)} | variables))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path, monkeypatch)


def toml(name: str, value: Any) -> str:
    return f"{SETTINGS[name].key} = {json.dumps(value)}\n"


def as_text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def test_every_setting_has_a_key() -> None:
    own = {one.name for kind in (Settings, LiveSettings) for one in fields(kind)} - {"sinks", "extra"} | {"sink"}
    assert set(SETTINGS) == set(EXAMPLES) == own
    for one in SETTINGS.values():
        if one.default is not None:
            assert one.read(one.default) == one.default


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_setting_is_read_from_a_file_and_a_variable(home: Home, name: str) -> None:
    first, second = EXAMPLES[name]
    home.user.write_text("# mine\n" + toml(name, first))
    found = home.load().values[name]
    assert (found.value, found.origin) == (first, f"{home.user}, line 2")
    found = home.load(**{SETTINGS[name].variable: as_text(second)}).values[name]
    assert (found.value, found.origin) == (second, f"${SETTINGS[name].variable}")


@given(
    places=st.dictionaries(
        st.sampled_from(PLACES), st.dictionaries(st.sampled_from(PROJECT), st.sampled_from((0, 1)), max_size=6)
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_nearest_place_wins(home: Home, places: dict[str, dict[str, int]]) -> None:
    """Whatever stands where: each setting is that of the last of PLACES that has it, with its line."""
    said = {place: {name: EXAMPLES[name][which] for name, which in names.items()} for place, names in places.items()}
    files = {"user": home.user, "project": home.project, "profile": home.user}
    lines: dict[tuple[str, str], int] = {}
    for file in (home.user, home.project):
        text = ""
        for place in (place for place in files if files[place] == file):
            text += "\n[profile.mine]\n" if place == "profile" else ""
            for name, value in said.get(place, {}).items():
                lines[place, name] = text.count("\n") + 1
                text += toml(name, value)
        file.write_text(text)
    variables = {SETTINGS[name].variable: as_text(value) for name, value in said.get("variable", {}).items()}
    found = home.load("mine", **variables).values
    assert set(found) == {name for names in said.values() for name in names}
    for name, one in found.items():
        place = [place for place in PLACES if name in said.get(place, {})][-1]
        assert one.value == said[place][name]
        assert one.origin == (
            f"${SETTINGS[name].variable}" if place == "variable" else f"{files[place]}, line {lines[place, name]}"
        )


def test_a_flag_goes_before_all(home: Home) -> None:
    plain = 'segmenter = "faults:0"\nsource = "demo"\nsink = "null"\n'
    home.user.write_text(f'background = "blur"\nkeep-colors = true\nframes = 1\n{plain}')
    facts = json.loads(home.run("live", "--json").stdout)
    assert (facts["background"], facts["frames"]) == ("blur", 1)
    shown = home.run("live", "--json", "--background", "color:#102030", "--frames", 2, LIVESTYLE_BACKGROUND="bokeh")
    assert json.loads(shown.stdout)["background"] == "color:#102030"
    assert json.loads(shown.stdout)["frames"] == 2
    shown = home.run("live", "--json", "--frames", 2, LIVESTYLE_BACKGROUND="bokeh")
    assert json.loads(shown.stdout)["background"] == "bokeh"


def test_stills_by_optimisation_take_no_look_from_files(home: Home, card: Path) -> None:
    """Without a look on the command line, they are painted in the default style."""
    home.user.write_text('background = "blur"\nquality = "best"\n')
    done = home.run("photo", card, "--method", "gatys", "--init", "nois", code=2)
    assert "blur" not in done.stderr
    assert "--quality" not in done.stderr
    assert "Did you mean noise?" in done.stderr


def test_a_byte_order_mark_is_no_text(home: Home) -> None:
    home.user.write_text('background = "blur"\n', "utf-8-sig")
    assert home.load().values["background"].value == "blur"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('\n# so\nbackgruond = "blur"\n', ("line 3", "'backgruond'", "Did you mean background?")),
        ("strength = 3\n", ("line 1", "strength = 3", "from 0 to 1")),
        ('fps = "fast"\n', ("line 1", "from 1 to 240")),
        ("strength = nan\n", ("line 1", "from 0 to 1")),
        ("frames = 2.5\n", ("line 1", "whole number")),
        ("frames = inf\n", ("line 1", "whole number")),
        ("keep-colors = 2\n", ("line 1", "true or false")),
        ("background = 3\n", ("line 1", "a text")),
        ('size = "640"\n', ("line 1", "640x360")),
        ('size = "640x٣"\n', ("line 1", "640x360")),
        ('quality = "beest"\n', ("line 1", "auto, fast, balanced, best")),
        ('person = "video:x.mp4"\n', ("line 1", "x.mp4")),
        ('\n\n[profile.call]\nperson = "color:zz"\n', ("line 4", "color:zz")),
        ('[profile.call]\nsink = [\n  "window",\n  3,\n]\n', ("line 2", "list of texts")),
        ("person = 1979-05-27\n", ("line 1", "person = a date", "a text")),
        ("background = " + "[" * 300 + "]" * 300, ("line 1", "background = a list", "a text")),
        ("a." * 900 + "a = 1\n", ("line 1", "no key 'a'")),
        ("[profile]\ncall = 3\n", ("line 2", "not a table")),
        ("[[profile]]\n", ("line 1", "'profile'")),
        ("[proflie.call]\n", ("line 1", "'proflie'")),
        ('[keys]\nnext-style = "n"\n\nnext-stile = "m"\n', ("line 4", "'next-stile'", "Did you mean next-style?")),
        ('[keys]\nnext-style = "q"\n', ("line 2", "'q'", "'quit'", "'next-style'")),
        ('[keys]\nnext-style = "ab"\n', ("line 2", "'ab'")),
        ("[keys]\nnext-style = 3\n", ("line 2", "not a text")),
        ("keys = 3\n", ("line 1", "'keys'")),
        ("x = \n", ("no TOML", "line 1")),
        ("x = " + "[" * 5000 + "]" * 5000, ("no TOML",)),
        ("x = " + "9" * 5000, ("no TOML",)),
        ("a = 1\n" * 20000, ("too large",)),
    ],
)
def test_what_is_wrong_is_named_with_its_line(home: Home, text: str, said: tuple[str, ...]) -> None:
    home.user.write_text(text)
    with pytest.raises(UserError) as error:
        home.load()
    assert all(words in str(error.value) for words in (str(home.user), *said)), error.value


def test_what_is_wrong_ends_a_command_with_2(home: Home) -> None:
    home.user.write_text("strenght = 1\n")
    done = home.run("live", "--source", "demo", code=2)
    assert len(done.stderr.splitlines()) == 2
    home.user.write_text('\nsegmenter = "no_such"\nsource = "demo"\nsink = "null"\n')
    done = home.run("live", code=2)  # found out late: the place is told all the same
    assert f"{home.user}, line 2" in done.stderr
    assert len(done.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LIVESTYLE_STRENGTH": "much"}, "$LIVESTYLE_STRENGTH"),
        ({"LIVESTYLE_BACKGRUOND": "blur"}, "Did you mean BACKGROUND?"),
        ({"LIVESTYLE_CONFIG": "/nowhere.toml"}, "/nowhere.toml"),
        ({"LIVESTYLE_PROFILE": "call"}, "no profile 'call'"),
    ],
)
def test_wrong_variables_are_named(home: Home, variables: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as error:
        home.load(**variables)
    assert said in str(error.value)


def test_variables_of_others_are_left_alone(home: Home) -> None:
    assert home.load(LIVESTYLE_WEB_PORT="80", LIVESTYLE_STRENGTH="").values == {}


def test_none_means_that_only_flags_count(home: Home) -> None:
    home.user.write_text("nonsense")
    assert home.load(LIVESTYLE_CONFIG="none", LIVESTYLE_STRENGTH="0.5").values == {}


def test_a_wrong_profile_is_named_with_the_nearest(home: Home) -> None:
    home.user.write_text("[profile.meeting]\nstrength = 0.5\n")
    assert home.load("meeting").values["strength"].value == 0.5
    assert "strength" not in home.load().values
    assert home.load(LIVESTYLE_PROFILE="meeting").values["strength"].value == 0.5
    with pytest.raises(UserError, match="Did you mean meeting"):
        home.load("meting")


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - set(PROJECT)))
def test_a_folders_file_opens_writes_and_uncovers_nothing(home: Home, name: str) -> None:
    home.project.write_text(toml(name, EXAMPLES[name][0]))
    with pytest.raises(UserError, match=r"line 1: .* may not be set"):
        home.load()


def test_a_folders_file_stays_inside_its_folder(home: Home) -> None:
    inside, outside = home.project.parent / "in.png", home.project.parent.parent / "out.png"
    for file in (inside, outside):
        file.write_bytes(b"")
    (home.project.parent / "link.png").symlink_to(outside)
    home.project.write_text('background = "image:in.png"\n')
    assert home.load().values["background"].value == f"image:{inside}"
    for text in ("../out.png", str(outside), "link.png"):
        home.project.write_text(f'background = "image:{text}"\n')
        with pytest.raises(UserError, match="not inside"):
            home.load()


def test_what_a_folders_file_sets_is_said(home: Home) -> None:
    home.user.write_text("fps = 20\n")
    home.project.write_text('strength = 0.5\nbackground = "blur"\n')
    plain = ("live", "--source", "demo", "--sink", "null", "--frames", 1, "--segmenter", "faults:0")
    said = home.run(*plain).stderr
    assert f"Settings of this folder ({home.project}): strength, background\n" in said
    home.project.unlink()
    assert "this folder" not in home.run(*plain).stderr


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_folders_file_of_somebody_else_is_not_read(home: Home) -> None:
    home.project.write_text("strength = 0.5\n")
    os.chown(home.project, 12345, 12345)
    with pytest.raises(UserError, match="another user"):
        File(home.project, is_project=True)


def test_paths_are_relative_to_their_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.user.write_text('stills = "stills"\nmodels = "~/models"\n')
    found = home.load().values
    assert found["stills"].value == str(home.user.parent / "stills")
    assert found["models"].value == str(Path.home() / "models")


@given(
    st.lists(
        st.sampled_from(
            ["", "# [x]", "a.b = 1", 'c = """\n[d]\ne = 1\n"""', "f = [\n1, # ]\n2,\n]", "[g]", '["h.i"."j k"]',
             "l = { m = 1 }", "[[n]]", "'o p' = ']'"]
        ),
        max_size=12,
    )
)  # fmt: skip
@settings(deadline=None)
def test_lines_are_those_of_the_statements(statements: list[str]) -> None:
    """Every key that TOML finds has a line, and its last part stands on it."""
    text = "\n".join(statements)
    try:
        parsed = parse_toml(text)
    except ValueError:
        return  # a key twice
    lines, found = text.splitlines(), lines_of(text)
    for path in paths_in(parsed):
        assert path in found
        assert path[-1].split(".")[-1] in lines[found[path] - 1] or path[-1] == "a"


@given(st.binary(max_size=300) | st.text(alphabet="[]{}=\"'\n.#,ab1 ", max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused_in_a_sentence(home: Home, data: bytes) -> None:
    home.user.write_bytes(data)
    try:
        home.load()
    except UserError as error:
        assert str(home.user) in error.problem


def test_keys_are_changed_by_the_users_file_alone(home: Home) -> None:
    """Two may change places: only the whole table has to be free of doubles."""
    home.user.write_text('[keys]\nstronger = "-"\nweaker = "="\nnext-style = "space"\nfreeze = "]"\n')
    keys = {name: one.value for name, one in home.load().keys.items()}
    assert open_controls(Settings(), keys=keys).key("next-style") == "space"
    rows = json.loads(home.run("config", "show", "--json").stdout)["keys"]
    assert rows["weaker"] == {"value": "=", "origin": f"{home.user}, line 3"}
    assert rows["quit"] == {"value": "q", "origin": "default"}
    home.project.write_text('[keys]\nstronger = "+"\n')
    with pytest.raises(UserError, match="line 1"):
        home.load()


def test_config_show_tells_values_and_where_they_stand(home: Home) -> None:
    home.user.write_text('# mine\nbackground = "blur"\n[profile.call]\nsink = ["null", "window"]\n')
    rows = json.loads(home.run("config", "show", "--json", "--profile", "call", LIVESTYLE_FPS="20").stdout)
    assert rows["background"] == {"value": "blur", "origin": f"{home.user}, line 2"}
    assert rows["sink"] == {"value": ["null", "window"], "origin": f"{home.user}, line 4"}
    assert rows["fps"] == {"value": 20, "origin": "$LIVESTYLE_FPS"}
    assert rows["person"] == {"value": "none", "origin": "default"}
    assert "line 2" in home.run("config", "show", "--origin").stdout
    shown = home.run("config", "show").stdout
    home.user.write_text(shown)  # what it prints is a config file
    assert home.load().values["background"].value == "blur"


def test_config_edit_writes_a_first_file_and_checks_the_result(home: Home) -> None:
    home.user.unlink()
    own = {"LIVESTYLE_CONFIG": "", "XDG_CONFIG_HOME": str(home.user.parent), "HOME": str(home.user.parent)}
    file = Path(home.run("config", "path", **own).stdout.strip())
    assert not file.exists()
    home.run("config", "edit", **own, EDITOR="true", VISUAL="")
    text = file.read_text()
    for name, value in EXAMPLES.items():
        assert f"# {SETTINGS[name].key} = " in text
        text = text.replace(f"# {SETTINGS[name].key} = ", f"{toml(name, value[0]).rstrip()} # ", 1)
    file.write_text(text)
    home.run("config", "edit", **own, EDITOR="true", VISUAL="")
    rows = json.loads(home.run("config", "show", "--json", **own).stdout)
    rows.pop("keys")
    assert {key: row["value"] for key, row in rows.items()} == {SETTINGS[k].key: v[0] for k, v in EXAMPLES.items()}
    file.write_text("strenght = 1\n")
    assert "line 1" in home.run("config", "edit", code=2, **own, EDITOR="true", VISUAL="").stderr
    assert "nosuch" in home.run("config", "edit", code=2, **own, EDITOR="nosuch -w", VISUAL="").stderr


def test_a_job_heeds_no_config(card: Path, tmp_path: Path) -> None:
    """What the flags of `live` said stands in its command; files may have changed since."""
    file = tmp_path / "x.toml"
    file.write_text("nonsense")
    done = subprocess.run(
        [sys.executable, "-m", "livestyle", "photo", card, tmp_path / "out.png", "--background", "none"],
        env=HEADLESS | {"LIVESTYLE_CONFIG": "none", "LIVESTYLE_STRENGTH": "nonsense"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0


def test_the_example_of_the_docs_is_in_order(home: Home) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    home.user.write_text(page.split("```toml\n")[1].split("```")[0])
    assert home.load("meeting").values["background"].value == "blur:0.7"
    assert home.load().keys
