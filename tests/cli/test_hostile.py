"""Files of strangers: refused in a sentence before they cost memory, lead elsewhere or run on; all are made here."""

import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from livestyle.cli import main as cli
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import load_image, load_notes
from livestyle.nets.card import load_card
from livestyle.nets.engine import choose_engine
from livestyle.nets.fetch import MAX_DOWNLOAD_BYTES
from livestyle.nets.library import find_nets
from livestyle.nets.onnx_check import check_onnx
from livestyle.nets.openvino_net import OpenVinoNet
from livestyle.render import stylizer
from livestyle.render.stylizer import style_card
from livestyle.video.sources.open import open_source

# A little of ONNX, by the numbers of onnx.proto3.


def field(number: int, value: "int | str | bytes") -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """A number, seven bits a byte."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def tensor(name: str, dims: list[int], kind: int, raw: bytes, more: bytes = b"") -> bytes:
    """A TensorProto; kind 2 is uint8 and 7 is int64."""
    return b"".join(field(1, dim) for dim in dims) + field(2, kind) + field(8, name) + field(9, raw) + more


def outside(place: str) -> bytes:
    """That a tensor's values are in another file."""
    entry = field(1, "location") + field(2, place)
    return field(13, entry) + field(14, 1)


def net(
    weights: bytes, operation: str = "Add", attribute: bytes = b"", inputs: str = "images w", domain: str = ""
) -> bytes:
    """A model: images (n, h, w, 3) and the weights "w" into an operation; an input "-" has no name."""
    node = b"".join(field(1, name.strip("-")) for name in inputs.split()) + field(2, "result") + field(4, operation)
    node += (field(5, attribute) if attribute else b"") + (field(7, domain) if domain else b"")
    doors = []
    for name, sides in (("images", (b"n", b"h", b"w")), ("result", (b"m", b"i", b"x"))):
        shape = b"".join(field(1, field(2, side)) for side in sides) + field(1, field(1, 3))
        doors.append(field(1, name) + field(2, field(1, field(1, 2) + field(2, shape))))
    graph = field(1, node) + field(2, "g") + field(5, weights) + field(11, doors[0]) + field(12, doors[1])
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 18))


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


FAIR = tensor("w", [3], 2, b"\1\2\3")
FAR = 60_000_000
HOSTILE = {
    "outside": (net(tensor("w", [3], 2, b"", outside("secret.bin"))), "wants to read another file"),
    "above": (net(tensor("w", [3], 2, b"", outside("../../secret.bin"))), "wants to read another file"),
    "absolute": (net(tensor("w", [3], 2, b"", outside("/etc/hostname"))), "wants to read another file"),
    "in a node": (
        net(FAIR, attribute=field(5, tensor("v", [3], 2, b"", outside("/etc/hostname")))), "wants to read another file",
    ),
    "huge": (net(tensor("w", [1 << 20, 1 << 20, 1 << 20], 2, b"\1\2\3")), "not as many as its shape says"),
    "huge and empty": (net(field(1, 1 << 39) + field(2, 2) + field(8, "w")), "not as many as its shape says"),
    "negative": (net(tensor("w", [-3], 2, b"\1\2\3")), "no known kind"),
    "short": (net(tensor("w", [4], 2, b"\1\2\3")), "not as many as its shape says"),
    "loop": (net(FAIR, attribute=field(1, "body") + field(6, b"")), "holds an? inner graph"),
    "function": (net(FAIR) + field(25, b""), "holds a function"),
    "grows by rows": (net(tensor("w", [8], 7, ints(0, FAR, 0, 0, 0, 0, 0, 0)), "Pad"), "fit into memory"),
    "grows by copies": (net(tensor("w", [4], 7, ints(1, FAR, 1, 1)), "Tile"), "fit into memory"),
    "grows by shape": (net(tensor("w", [4], 7, ints(FAR, 32, 32, 3)), "Expand"), "fit into memory"),
    "without pads": (net(FAIR, "Pad", inputs="images"), "'Pad' lacks an input"),  # OpenVINO's reader would crash
    "without weights": (net(FAIR, "Conv", inputs="images -"), "'Conv' lacks an input"),
    "unknown": (net(FAIR, "System\x1b[2J"), "no net here needs, '\\?'"),
    "of others": (net(FAIR, domain="com.microsoft"), "another kind than ONNX's own"),
    "no net": (field(1, 8), "holds no net"),
    "cut": (net(FAIR)[:-9], "damaged"),
    "empty": (b"", "empty"),
}  # fmt: skip


def test_a_fair_net_is_read(tmp_path: Path) -> None:
    (tmp_path / "fair.onnx").write_bytes(net(FAIR))
    made = OpenVinoNet(choose_engine("cpu"), tmp_path / "fair.onnx", 1, "style")
    assert made(load_image(picture(tmp_path))[None]).shape == (1, 48, 64, 3)
    for card in (*find_nets("style").values(), *find_nets("segmenter").values()):
        check_onnx(card.path(".onnx"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_net_is_refused(name: str, tmp_path: Path) -> None:
    data, words = HOSTILE[name]
    (tmp_path / "secret.bin").write_bytes(b"\1\2\3")
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "hostile.onnx"
    file.write_bytes(data)
    with pytest.raises(UserError, match=words) as caught:
        OpenVinoNet(choose_engine("cpu"), file, 1, "style").prepare((1, 32, 32, 3))
    assert "hostile.onnx" in caught.value.problem
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_file_larger_than_any_net_is_refused(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / f"large{suffix}"
    with file.open("wb") as opened:
        opened.truncate(MAX_DOWNLOAD_BYTES + 1)  # takes no room
    monkeypatch.setattr(stylizer, "sha256", lambda _: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"large\.\w+ has more than 1024 MB"):
        style_card(str(file))


def header(**entries: object) -> bytes:
    """The beginning of a safetensors file."""
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


HUGE = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}
LYING = {
    "shape": header(**{"detail.weight": HUGE}) + bytes(4),
    "offsets": header(**{"detail.weight": {**HUGE, "data_offsets": [0, 1 << 60]}}) + bytes(4),
    "header": (1 << 62).to_bytes(8, "little") + b"{}",
    "deep": (20_000).to_bytes(8, "little") + b"[" * 20_000,
}


@pytest.mark.parametrize("name", LYING)
def test_a_safetensors_that_lies_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "lies.safetensors").write_bytes(LYING[name])
    with pytest.raises(UserError, match=r"lies\.safetensors"):
        choose_engine("torch:cpu").load(style_card(str(tmp_path / "lies.safetensors")))


# Cards.


def installed(folder: Path, change: Callable[[dict[str, object], Path], None]) -> Path:
    """A models folder with one style, whose card was changed."""
    place = folder / "models" / "styles" / "mine"
    place.mkdir(parents=True)
    (place / "mine.onnx").write_bytes(net(FAIR))
    facts: dict[str, object] = {
        "name": "mine", "kind": "style", "title": "Mine", "net": "slim", "license": "MIT", "source": "a",
        "data": "b", "command": "c", "figures": {}, "files": {"mine.onnx": sha256(place / "mine.onnx")},
    }  # fmt: skip
    change(facts, place)
    (place / "card.json").write_text(json.dumps(facts))
    return folder / "models"


def named(file: str) -> Callable[[dict[str, object], Path], None]:
    """Has a card name a file elsewhere, which is there, with the right digest."""

    def change(facts: dict[str, object], place: Path) -> None:
        (place.parent / "secret.onnx").write_bytes(net(FAIR))
        facts["files"] = {file.format(place.parent): sha256(place / "mine.onnx")}

    return change


def linked(facts: dict[str, object], place: Path) -> None:
    (place / "mine.onnx").rename(place.parent / "secret.onnx")
    (place / "mine.onnx").symlink_to(place.parent / "secret.onnx")


def set_to(**changes: object) -> Callable[[dict[str, object], Path], None]:
    return lambda facts, place: facts.update(changes)


CARDS = {
    "above": (named("../secret.onnx"), "not beside it"),
    "absolute": (named("{}/secret.onnx"), "not beside it"),
    "url": (named("file://{}/secret.onnx"), "not beside it"),
    "web": (named("https://example.com/secret.onnx"), "not beside it"),
    "drive": (named("c:secret.onnx"), "not beside it"),
    "backslash": (named("..\\secret.onnx"), "not beside it"),
    "dots": (named(".."), "not beside it"),
    "link": (linked, "a link that leads out"),
    "no digest": (set_to(files={"mine.onnx": ""}), "no SHA-256"),
    "altered": (set_to(files={"mine.onnx": "0" * 64}), "damaged"),
    "width": (set_to(width=1e9), "width"),
    "pixels": (set_to(pixels=1 << 40), "pixels"),
    "type": (set_to(files=["mine.onnx"]), "another type"),
    "escape": (set_to(title="\x1b[2J"), "what no card may hold"),
    "kind": (set_to(kind="virus"), "what no card may hold"),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_hostile_card_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, words = CARDS[name]
    models = installed(tmp_path, change)
    assert words in refused(capsys, "photo", picture(tmp_path), tmp_path / "out.png", "--background", "mine",
                            "--models", models)  # fmt: skip
    assert not (tmp_path / "out.png").exists()


def test_a_card_that_is_no_card_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    for text in ("[" * 100_000, "{" + " " * (1 << 20) + "}", '{"\ud800": 1}', "\x1b[2J"):
        file.write_bytes(text.encode(errors="surrogatepass"))
        with pytest.raises(UserError, match=r"card\.json is not a model card") as caught:
            load_card(file)
        assert str(caught.value).isprintable()


# The command line: every sentence of it is as short, and its exit code 2.


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command says that must end with 2, in at most two lines and without traceback."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["livestyle", *map(str, arguments)])
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    assert 1 <= len(said.strip().splitlines()) <= 2
    return said


def picture(folder: Path, name: str = "fair.png", size: tuple[int, int] = (64, 48), data: bytes | None = None) -> Path:
    """A PNG of one grey; its pixels may be fewer than it says."""
    rows = zlib.compress(bytes(size[1] * (size[0] + 1)) if data is None else data, 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    parts = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
             for kind, body in chunks]  # fmt: skip
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return folder / name


@pytest.mark.parametrize("size", [(20_000, 20_000), (1 << 31, 1), (1 << 30, 1 << 30)])
def test_a_decompression_bomb_is_refused(
    size: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = picture(tmp_path, "bomb.png", size, bytes(1 << 24))
    assert bomb.stat().st_size < 20_000
    fair, out = picture(tmp_path), tmp_path / "out.png"
    for arguments in (("photo", bomb, out), ("photo", fair, out, "--background", f"image:{bomb}")):
        assert "bomb.png" in refused(capsys, *arguments)
    assert not out.exists()


def test_text_that_unfolds_is_not_unfolded(tmp_path: Path) -> None:
    data = picture(tmp_path).read_bytes()
    body = b"zTXtnote\0\0" + zlib.compress(bytes(1 << 28), 9)
    bomb = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "bomb.png").write_bytes(data[:33] + bomb + data[33:])
    assert sum(map(len, load_notes(tmp_path / "bomb.png").values())) < 1 << 20


def test_a_program_is_no_picture(tmp_path: Path) -> None:
    """Pillow would hand EPS to Ghostscript."""
    (tmp_path / "page.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match=r"page\.png is not a picture"):
        load_image(tmp_path / "page.png")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
    ids=["m3u8", "ffconcat", "sdp"],
)
@pytest.mark.parametrize("place", ["file", "http://127.0.0.1:9/a.ts"])
def test_a_clip_names_no_other_files(text: str, place: str, tmp_path: Path) -> None:
    from livestyle.video.sources.clip import DEMO

    (tmp_path / "clip.mp4").write_text(text.format(DEMO if place == "file" else place))
    with pytest.raises(UserError, match=r"clip\.mp4 is not a video that can be read"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(
    ("size", "words"), [((8000, 5000), "has 8000x5000 pixels"), ((40_000, 40_000), "cannot|can be")]
)
def test_a_clip_of_huge_pictures_is_refused(size: tuple[int, int], words: str, tmp_path: Path) -> None:
    """Its header alone says so."""
    header = b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\nFRAME\n"
    (tmp_path / "clip.mp4").write_bytes(header % (64, 48) + bytes(64 * 48 * 3 // 2))
    open_source(str(tmp_path / "clip.mp4")).close()
    (tmp_path / "clip.mp4").write_bytes(header % size + bytes(9))
    with pytest.raises(UserError, match=rf"clip\.mp4 .*({words})"):
        open_source(str(tmp_path / "clip.mp4"))
