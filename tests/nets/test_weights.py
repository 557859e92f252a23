"""Cards: found, whole, and honest."""

import hashlib
import json
import shutil
import socket
from pathlib import Path

import pytest
from support.server import Server

from livestyle.errors import UserError
from livestyle.files import locked, sha256
from livestyle.nets import fetch as downloads
from livestyle.nets.card import KIND_FOLDERS, load_card
from livestyle.nets.fetch import MAX_ATTEMPTS, fetch
from livestyle.nets.library import find_card, find_nets, model_folders

CARDS = [card for kind in KIND_FOLDERS for card in find_nets(kind).values()]


def test_models_are_shipped() -> None:
    assert {"great_wave", "starry_night"} <= set(find_nets("style"))
    assert len(find_nets("style")) >= 3
    assert "deeplabv3plus" in find_nets("segmenter")
    for kind in KIND_FOLDERS:
        assert sum(card.default for card in find_nets(kind).values()) == 1
        assert find_card(kind, None).default


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_cards_are_complete_and_their_files_whole(card) -> None:  # type: ignore[no-untyped-def]
    for field in ("title", "license", "source", "data", "command"):
        assert len(getattr(card, field)) > 2, field
    assert "livestyle train " in card.command  # torchrun may go before
    assert card.figures
    for suffix in (".onnx", ".safetensors")[card.kind == "loss-network" :]:  # which trainings alone use
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


def quietly(done: float, note: str) -> None: ...


def left(folder: Path) -> set[str]:
    """What lies in a folder, but for locks."""
    return {file.name for file in folder.iterdir() if file.suffix != ".lock"}


def fetch_error(url: str, digest: str, target: Path) -> UserError:
    """Why a fetch failed; nothing of it may be left but a part to go on from."""
    with pytest.raises(UserError) as caught:
        fetch(url, digest, target, quietly)
    assert left(target.parent) <= {f".{target.name}.part"}
    assert url in caught.value.problem
    return caught.value


BODY = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("length", [8, 64])
def test_a_file_is_fetched_and_checked(server: Server, tmp_path: Path, length: int) -> None:
    server.content["/a"] = BODY
    shares: list[float] = []
    target = tmp_path / "new" / "folder" / "a"
    assert fetch(f"{server.url}/a", DIGEST[:length], target, lambda done, note: shares.append(done)) == target
    assert target.read_bytes() == BODY
    assert left(target.parent) == {"a"}
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_another_file_than_expected_is_refused(server: Server, tmp_path: Path) -> None:
    server.content["/a"] = BODY + b"x"
    error = fetch_error(f"{server.url}/a", DIGEST, tmp_path / "a")
    assert DIGEST[:8] in error.problem
    assert str(tmp_path / "a") in error.step


@pytest.mark.parametrize("cut", [0, 1, len(BODY) // 10])
def test_a_file_that_is_cut_short_again_and_again_is_kept_for_later(server: Server, tmp_path: Path, cut: int) -> None:
    server.content["/a"], server.cut = BODY, cut
    assert f"broke off after {MAX_ATTEMPTS * cut} of" in fetch_error(f"{server.url}/a", DIGEST, tmp_path / "a").problem
    server.cut = None
    server.asked.clear()
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY
    assert server.asked == [f"bytes={MAX_ATTEMPTS * cut}-" if cut else None]
    assert left(tmp_path) == {"a"}


def test_a_file_that_is_cut_short_is_gone_on_with_at_once(server: Server, tmp_path: Path) -> None:
    server.content["/a"], server.cut = BODY, len(BODY) // 3 + 1
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.content["/a"], server.deaf = BODY, True
    (tmp_path / ".a.part").write_bytes(BODY[:1000])
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY


@pytest.mark.parametrize("begun", [BODY[:-1] + b"x", BODY + b"x", b"x" * 1000], ids=["as long", "longer", "shorter"])
def test_a_part_of_something_else_is_noticed(server: Server, tmp_path: Path, begun: bytes) -> None:
    server.content["/a"] = BODY
    (tmp_path / ".a.part").write_bytes(begun)
    if len(begun) < len(BODY):
        assert "did not come whole" in fetch_error(f"{server.url}/a", DIGEST, tmp_path / "a").problem
        assert left(tmp_path) == set()
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY


def test_a_part_that_is_whole_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_bytes(BODY)
    assert fetch("https://no.invalid/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY


@pytest.mark.parametrize("claimed", ["10", str(len(BODY) + 10), "-5", "9" * 30, "many"])
def test_a_server_that_lies_about_the_length_is_caught(server: Server, tmp_path: Path, claimed: str) -> None:
    server.content["/a"], server.claimed = BODY, claimed
    try:
        fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly)
    except UserError as error:
        assert left(tmp_path) <= {".a.part"}
        assert server.url in error.problem
    else:
        assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("claimed", [None, "1000", "5000000000"])
def test_a_file_that_is_too_large_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claimed: str | None
) -> None:
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 100_000 if claimed is None else 999)
    server.content["/a"], server.claimed = BODY, claimed
    assert "has more than" in fetch_error(f"{server.url}/a", DIGEST, tmp_path / "a").problem
    assert left(tmp_path) == set()


@pytest.mark.parametrize(
    "place", ["file:///etc/hosts", "https://example.com/a", "ftp://example.com/a", "http://127.0.0.1:1/a"]
)
def test_a_server_that_sends_elsewhere_is_not_followed(server: Server, tmp_path: Path, place: str) -> None:
    server.moved["/a"] = place
    assert fetch_error(f"{server.url}/a", DIGEST, tmp_path / "a").problem
    assert left(tmp_path) == set()
    assert len(server.asked) == 1


def test_another_path_of_the_same_server_is_followed(server: Server, tmp_path: Path) -> None:
    server.moved["/a"], server.content["/b"] = "/b", BODY
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY


def test_two_processes_do_not_fetch_the_same(server: Server, tmp_path: Path) -> None:
    server.content["/a"] = BODY
    with locked(tmp_path / ".a.lock"), pytest.raises(UserError, match="Another process is fetching"):
        fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly)


def test_a_file_that_is_not_there_is_said(server: Server, tmp_path: Path) -> None:
    assert "Not Found" in fetch_error(f"{server.url}/none", DIGEST, tmp_path / "a").problem


def test_a_refused_connection_is_said(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
        assert "cannot be fetched" in fetch_error(url, DIGEST, tmp_path / "a").problem


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        fetch("https://example.com/a", DIGEST, tmp_path / "file" / "a", lambda done, note: None)


@pytest.mark.parametrize("url", ["http://example.com/a", "ftp://example.com/a", "file:///etc/hosts"])
def test_only_https_is_trusted(tmp_path: Path, url: str) -> None:
    assert "https" in fetch_error(url, DIGEST, tmp_path / "a").problem


def test_an_interrupted_fetch_goes_on(server: Server, tmp_path: Path) -> None:
    def interrupt(done: float, note: str) -> None:
        raise KeyboardInterrupt

    server.content["/a"] = BODY
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/a", DIGEST, tmp_path / "a", interrupt)
    assert left(tmp_path) == {"a", ".a.part"}
    assert (tmp_path / "a").read_bytes() == b"before"
    assert fetch(f"{server.url}/a", DIGEST, tmp_path / "a", quietly).read_bytes() == BODY
    assert server.asked == [None, f"bytes={1 << 18}-"]
