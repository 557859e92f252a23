"""Whole trainings: what the settings ask for is what is trained."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from livestyle.config.training import StyleTrainingSettings
from livestyle.nets.fetch import silent_progress
from livestyle.types import Display

pytest.importorskip("torch")

from livestyle.train import run

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("teacher", "quick"), [("", "the compact network"), ("another style", None)])
def test_a_style_begins_with_the_compact_network_or_a_teacher(
    teacher: str, quick: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []
    stand_ins = {
        "reserve": lambda *_: None,
        "load_painting": lambda *_: None,
        "people_finder": lambda: None,
        "photos_of": lambda *_: SimpleNamespace(origin="photos"),
        "open_loss_network": lambda *_, **__: ("VGG-19", tmp_path),
        "quick_network": lambda _: "the compact network",
        "train_style": lambda job, _: jobs.append(job) or iter(()),
        "publish_style": lambda *_: None,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(run, name, stand_in)
    asked = replace(StyleTrainingSettings(), teacher=teacher, out=tmp_path)
    display = Display(lambda line: None, silent_progress)
    assert run.run_style_training(tmp_path / "wave.jpg", "wave", asked, "livestyle train style", display) == tmp_path
    assert (jobs[0].teacher, jobs[0].quick_network) == (teacher, quick)
