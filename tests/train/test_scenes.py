"""What training scenes do with portraits and rooms that are broken."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from support.portraits import cut, lay_plain, put_picture

from livestyle.errors import UserError
from livestyle.matting.datasets import list_pairs
from livestyle.train import scenes as data


def test_scenes_drop_what_cannot_be_decoded(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        lay_plain(tmp_path, name)
    pairs = list_pairs(tmp_path)
    cut(tmp_path / "b.jpg")
    put_picture(tmp_path / "rooms/a.jpg")
    put_picture(tmp_path / "rooms/d.jpg")
    cut(tmp_path / "rooms/d.jpg")
    random.seed(0)
    scenes = data.Scenes(pairs, sorted((tmp_path / "rooms").iterdir()))
    for _ in range(20):
        scenes.sample((32, 32))
    assert sorted(scenes.dropped) == ["b.jpg", "d.jpg"]
    assert [pair.name for pair in scenes.pairs] == ["a.jpg", "c.jpg"]
    with pytest.raises(UserError, match="None of the training pictures"):
        replace(scenes, pairs=[], pasted=0, empty=0).sample((32, 32))
