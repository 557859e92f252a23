"""Cards: found, whole, and honest."""

import json
import shutil
from pathlib import Path

import pytest

from livestyle.errors import UserError
from livestyle.weights import KINDS, find_card, find_cards, load_card, model_folders, sha256

CARDS = [card for kind in KINDS for card in find_cards(kind).values()]


def test_models_are_shipped() -> None:
    assert {"great_wave", "starry_night"} <= set(find_cards("style"))
    assert len(find_cards("style")) >= 3
    assert "deeplab" in find_cards("segmenter")
    for kind in KINDS:
        assert sum(card.default for card in find_cards(kind).values()) == 1
        assert find_card(kind, None).default


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_cards_are_complete_and_their_files_whole(card) -> None:  # type: ignore[no-untyped-def]
    for field in ("title", "license", "source", "data", "command"):
        assert len(getattr(card, field)) > 2, field
    assert card.command.startswith("livestyle train ")
    assert card.figures
    for suffix in (".onnx", ".safetensors"):
        assert card.path(suffix).stat().st_size > 100_000
    assert load_card(card.folder / "card.json") == card


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    card = find_card("style", None)
    shutil.copytree(card.folder, tmp_path / "styles" / card.name)
    mine = find_card("style", card.name, tmp_path)
    assert mine.folder == tmp_path / "styles" / card.name
    file = mine.path(".onnx")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        mine.path(".onnx")
    file.unlink()
    with pytest.raises(UserError, match="missing"):
        mine.path(".onnx")


def test_near_names_are_listed() -> None:
    with pytest.raises(UserError, match="great_wave"):
        find_card("style", "grate_wav")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"name": "x"}), json.dumps({"unknown": 1})])
def test_a_bad_card_gets_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(UserError, match=r"card\.json"):
        load_card(tmp_path / "card.json")


def test_folders_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag, env = tmp_path / "flag", tmp_path / "env"
    flag.mkdir()
    env.mkdir()
    monkeypatch.setenv("LIVESTYLE_MODELS", str(env))
    assert model_folders(flag)[:2] == [flag, env]


def test_sha256_is_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
