"""A new setting, action or check is one row: added from outside, used, and taken away again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import HEADLESS

from livestyle.cli.diagnose import checks
from livestyle.cli.diagnose.checks import CHECKS, Check
from livestyle.config.load import Given, load_config
from livestyle.config.look import NONE, Look
from livestyle.config.options import Setting
from livestyle.config.settings import SETTINGS, LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.live.actions import ACTIONS, make_controls
from livestyle.live.client import ask
from livestyle.live.controls import Action, Controls
from livestyle.live.keys import checked_keys
from livestyle.live.server import Server

PLUGIN = """
from livestyle.config.options import Setting
from livestyle.config.settings import SETTINGS, LiveSettings, Settings
from livestyle.live import session

SETTINGS["glow"] = Setting("glow", "How bright edges are.", float, 0.5, Settings, low=0, high=1, in_project=True)
SETTINGS["tally"] = Setting("tally", "Where a lamp is.", type=str, room=LiveSettings)

def run(settings, live, *rest):
    print(settings.extra, live.extra)
    raise SystemExit(0)

session.run_session = run
from livestyle.cli.main import main
main()
"""


def plugin(*words: str, **variables: str) -> str:
    """What a program says that adds two settings and then runs the command line."""
    done = subprocess.run(
        [sys.executable, "-c", PLUGIN, *words], capture_output=True, text=True, check=True,
        env=HEADLESS | {"LIVESTYLE_CONFIG": "none", "COLUMNS": "160"} | variables,
    )  # fmt: skip
    return done.stdout


def test_a_setting_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.toml"
    file.write_text('glow = 0.25\n[profile.studio]\ntally = "left"\n')
    mine = {"LIVESTYLE_CONFIG": str(file)}
    assert plugin("live") == "{'glow': 0.5} {'tally': None}\n"
    assert plugin("live", "--glow", "0.75", "--tally", "up", **mine) == "{'glow': 0.75} {'tally': 'up'}\n"
    assert plugin("--profile", "studio", **mine) == "{'glow': 0.25} {'tally': 'left'}\n"
    assert plugin("live", LIVESTYLE_GLOW="1", **mine) == "{'glow': 1.0} {'tally': None}\n"
    rows = json.loads(plugin("config", "show", "--json", **mine))
    assert rows["glow"] == {"value": 0.25, "origin": f"{file}, line 1"}
    assert rows["tally"] == {"value": None, "origin": "default"}
    shown = plugin("photo", "--help")
    assert "--glow" in shown
    assert "How bright edges are." in shown
    assert "--tally" not in shown  # which is live's alone


@pytest.fixture
def glow() -> Iterator[Setting]:
    SETTINGS["glow"] = row = Setting("glow", "How bright edges are.", float, 0.5, Settings, low=0, high=1)
    yield row
    SETTINGS.pop("glow", None)


def test_a_setting_is_gone_with_its_row(glow: Setting, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("glow = 2\n")
    with pytest.raises(UserError, match=r"line 1: glow = 2 is not a number from 0 to 1"):
        load_config(environment={"LIVESTYLE_CONFIG": str(file)})
    assert Settings().extra == {"glow": 0.5}
    assert Settings(extra={"glow": 0.75}).extra == {"glow": 0.75}
    del SETTINGS["glow"]
    assert Settings().extra == LiveSettings().extra == {}
    with pytest.raises(UserError, match="There is no key 'glow'"):
        load_config(environment={"LIVESTYLE_CONFIG": str(file)})


def wave(controls: Controls, argument: str) -> str:
    return f"waves {argument}".strip()


@pytest.fixture
def waving() -> Iterator[Action]:
    row = Action("wave", "", "wave at people", wave, "TO")
    ACTIONS.append(row)
    yield row
    if row in ACTIONS:
        ACTIONS.remove(row)


def test_an_action_is_one_row(waving: Action, tmp_path: Path) -> None:
    keys = checked_keys({"wave": Given("v", "x.toml, line 2")})
    controls = make_controls(Look(NONE), keys=keys)
    assert controls.key("wave") == "v"
    assert controls.press("v") == "waves"
    folder = tmp_path / "run"
    with Server(controls.press, controls.status, folder=folder):
        assert ask(["wave", "everybody"], folder=folder)["answer"] == "waves everybody"
    ACTIONS.remove(waving)
    with pytest.raises(UserError, match=r"x\.toml, line 2: There is no action 'wave'"):
        checked_keys({"wave": Given("v", "x.toml, line 2")})
    with pytest.raises(UserError, match="There is no action 'wave'"):
        make_controls(Look(NONE)).press("wave")


def test_a_check_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", {"python": CHECKS["python"]})
    before = len(checks.examine())
    checks.CHECKS["lamp"] = lambda: iter([Check("lamp", False, "broken", "buy another")])
    assert checks.examine()[-1].fix == "buy another"
    del checks.CHECKS["lamp"]
    assert len(checks.examine()) == before
