"""Any picture as a style: what is read, mixed, kept and painted."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil

from livestyle.config.look import parse_plane
from livestyle.config.quality import BRUSHES, LADDER, QUALITIES
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.types import Frame, Image
from livestyle.nets.card import save_card
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_card, find_painting
from livestyle.nets.load import load_row
from livestyle.render import picture_rows
from livestyle.render.filter import Filter
from livestyle.render.looks import look_from
from livestyle.render.picture_rows import Predictor, Reading, keep_reading, kept_reading
from livestyle.render.planes import LARGEST_PX, style_size

ROUNDING = 1.05  # of an area whose sides are rounded
LEAST_PSNR = 32.0  # of int8 against PyTorch, dB


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(picture_rows, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "pictures"


@pytest.fixture(scope="module")
def strokes() -> Image:
    """A picture with strokes of several colours."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (18, 24, 3)).astype(np.uint8)
    return np.asarray(Pil.fromarray(small).resize((192, 144), Pil.Resampling.BICUBIC))


@pytest.fixture
def painting(tmp_path: Path, strokes: Image) -> Path:
    Pil.fromarray(strokes).save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.fixture(scope="module")
def loaded() -> Predictor:
    """What has read a picture, so that its networks are there."""
    return Predictor(find_card("predictor", None), None)


def test_a_picture_is_painted_at_once(painting: Path, person: Image) -> None:
    small = np.ascontiguousarray(person[::4, ::4])
    settings = Settings(background=str(painting), person=f"picture:{painting}")
    with Filter(settings, live=False) as filter:
        painted = filter(Frame(small, 0, 0.0), look_from(settings))
    assert painted.shape == small.shape
    assert np.abs(painted.astype(int) - small).mean() > 10


def test_a_mix_goes_from_one_picture_to_the_other(loaded: Predictor, painting: Path, strokes: Image) -> None:
    other = painting.with_name("other.png")
    Pil.fromarray(255 - strokes[:, ::-1]).save(other)
    first, second = loaded.mix(f"picture:{painting}"), loaded.mix(f"picture:{other}")
    none, half, all_ = (loaded.mix(f"picture:{painting}+{other}@{share}") for share in (0, 0.5, 1))
    assert np.abs(first - second).max() > 0.1
    assert (none == first).all()
    assert (all_ == second).all()
    np.testing.assert_allclose(half, (first + second) / 2, atol=1e-5)


def test_a_part_of_a_picture_is_read_as_the_cut_picture_is(loaded: Predictor, painting: Path, strokes: Image) -> None:
    cut = painting.with_name("cut.png")
    Pil.fromarray(strokes[:108, 48:]).save(cut)
    part = loaded.mix(f"picture:{painting}#0.25,0,0.75,0.75")
    assert (part == loaded.mix(f"picture:{cut}")).all()
    with pytest.raises(UserError, match="That part of"):
        loaded.mix(f"picture:{painting}#0,0,0.1,0.1")


def test_int8_paints_what_pytorch_paints(loaded: Predictor, person: Image) -> None:
    row, small = loaded.mix(f"picture:{find_painting('starry_night')}"), np.ascontiguousarray(person[::2, ::2])[None]
    engines = (replace(choose_engine("cpu"), precision="int8"), choose_engine("torch:cpu"))
    int8, whole = (np.asarray(load_row(engine, loaded.card, row)(small), float) for engine in engines)
    assert 10 * np.log10(255**2 / np.mean((int8 - whole) ** 2)) >= LEAST_PSNR


@pytest.mark.parametrize(
    ("name", "mode", "more"),
    [
        ("cmyk.jpg", "CMYK", {}),
        ("grey.png", "L", {}),
        ("deep.png", "I;16", {}),
        ("clear.png", "RGBA", {}),
        ("indexed.gif", "P", {}),
        ("moving.gif", "P", {"save_all": True, "append_images": [Pil.new("P", (192, 144))]}),
        ("moving.webp", "RGB", {"save_all": True, "append_images": [Pil.new("RGB", (192, 144))]}),
        ("moving.png", "RGB", {"save_all": True, "append_images": [Pil.new("RGB", (192, 144))]}),
    ],
)
def test_pictures_of_every_kind_are_read(
    loaded: Predictor, tmp_path: Path, strokes: Image, name: str, mode: str, more: dict[str, object]
) -> None:
    file = tmp_path / name
    grey = strokes[..., 0].astype(np.uint16) * 257
    made = Pil.fromarray(grey) if mode == "I;16" else Pil.fromarray(strokes).convert(mode)
    made.save(file, **more)  # type: ignore[arg-type]
    reading = loaded.picture(file)
    assert np.isfinite(reading.row).all()
    assert reading.edges > picture_rows.FLAT_SHARE  # the first picture of those that move, which has strokes


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not a picture"), (b"hello", "not a picture"), (None, "cut short"), ((20, 20), "too small")],
)
def test_what_cannot_be_read_is_told_in_a_sentence(
    loaded: Predictor, painting: Path, content: bytes | tuple[int, int] | None, said: str
) -> None:
    file = painting.with_name("bad.png")
    if isinstance(content, tuple):
        Pil.new("RGB", content).save(file)
    else:
        file.write_bytes(painting.read_bytes()[:3000] if content is None else content)
    with pytest.raises(UserError, match=said):
        loaded.mix(f"picture:{file}")


def test_too_large_a_file_is_not_read(loaded: Predictor, painting: Path) -> None:
    with painting.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(UserError, match="more than 256 MB"):
        loaded.mix(f"picture:{painting}")


def test_a_flat_picture_is_told(loaded: Predictor, painting: Path) -> None:
    for color in ("black", "white", "#3050c0"):
        Pil.new("RGB", (120, 120), color).save(painting.with_name("flat.png"))
        assert "flat.png is almost flat" in loaded.note(f"picture:{painting.with_name('flat.png')}")
    assert loaded.note(f"picture:{painting}") == ""


def test_what_is_painted_goes_on_when_its_file_changes_or_vanishes(painting: Path, strokes: Image) -> None:
    predictor, look = Predictor(find_card("predictor", None), None), f"picture:{painting}"
    before = predictor.mix(look)
    Pil.fromarray(255 - strokes).save(painting)
    changed = predictor.mix(look)
    assert np.abs(changed - before).max() > 0.1
    painting.write_bytes(b"no picture")
    assert (predictor.mix(look) == changed).all()
    painting.unlink()
    assert (predictor.mix(look) == changed).all()
    with pytest.raises(UserError, match="no file"):
        parse_plane(look)


def test_a_damaged_predictor_is_told(tmp_path: Path, painting: Path) -> None:
    card = find_card("predictor", None)
    folder = tmp_path / "models" / "predictors" / "broken"
    folder.mkdir(parents=True)
    files = {}
    for suffix in (".onnx", ".safetensors"):
        file = folder / f"broken{suffix}"
        file.write_bytes(card.path(suffix).read_bytes()[:1000])
        files[file.name] = sha256(file)
    broken = replace(card, name="broken", files=files, default=True, folder=folder)
    save_card(broken, folder)
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        Predictor(broken, None).mix(f"picture:{painting}")
    file.write_bytes(b"altered")
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        Predictor(broken, None).mix(f"picture:{painting}")


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=8), st.floats(0, 1, width=32), st.data())
def test_what_is_kept_comes_back_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, row: list[float], edges: float, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("kept") / "kept"
    keep_reading(file, Reading(np.array(row, np.float32), edges))
    found = kept_reading(file)
    assert found is not None
    assert (found.row == np.array(row, np.float32)).all()
    assert found.edges == edges
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert kept_reading(file) is None


def test_what_is_kept_is_bounded_and_the_oldest_goes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_rows, "MAX_CACHED", 3)
    reading = Reading(np.zeros(4, np.float32), 0.5)
    with ThreadPoolExecutor(4) as pool:  # as several processes do
        list(pool.map(lambda number: keep_reading(cache / f"file{number % 8}", reading), range(32)))
    keep_reading(cache / "file8", reading)
    assert len(list(cache.iterdir())) == 3
    assert all(kept_reading(file) for file in cache.iterdir())


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    loaded: Predictor, painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(picture_rows, "cache_folder", lambda: tmp_path / "file")
    assert loaded.mix(f"picture:{painting}").size


def test_pytorch_is_not_needed(painting: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'onnx')))\n"
        "from livestyle.__main__ import main\n"
        f"sys.argv[1:] = ['photo', {str(painting)!r}, {str(tmp_path / 'out.png')!r}, "
        f"'--background', {str(painting)!r}, '--person', {str(painting)!r}]\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").is_file()


@given(st.sampled_from([*QUALITIES.values(), *LADDER]), st.integers(160, 3000), st.integers(160, 3000))
def test_a_larger_brush_paints_fewer_pixels(quality: object, width: int, height: int) -> None:
    sizes = [style_size(quality.with_brush(brush), (width, height)) for brush in BRUSHES]  # type: ignore[attr-defined]
    areas = [w * h for w, h in sizes]
    assert all(larger <= smaller * ROUNDING for smaller, larger in pairwise(areas))
    plain = style_size(quality, (width, height))  # type: ignore[arg-type]
    assert sizes[BRUSHES.index(1.0)] == plain
    assert areas[0] <= max(LARGEST_PX, plain[0] * plain[1]) * ROUNDING
    assert areas[-1] < plain[0] * plain[1]
