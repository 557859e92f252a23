"""Style files of the user's own: whatever they hold, they are painted with or refused by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.card import tensor_names
from livestyle.nets.engine import choose_engine
from livestyle.nets.export.shipped import build
from livestyle.nets.library import find_card
from livestyle.render.stylizer import NET_SIGNATURES, load_style, style_card
from livestyle.train.style import ARCHS

pytestmark = pytest.mark.torch

PIXELS = 640 * 360


def style_file(folder: Path, net: str, facts: dict[str, str] | None = None) -> Path:
    """A net's folded weights, made up."""
    torch.manual_seed(0)
    save_file(fold(build(net)).state_dict(), folder / f"{net}.safetensors", facts)
    return folder / f"{net}.safetensors"


@pytest.mark.parametrize("net", NET_SIGNATURES)
def test_the_net_of_a_file_is_told_with_and_without_its_word(net: str, tmp_path: Path) -> None:
    assert set(NET_SIGNATURES) == set(ARCHS)
    for facts in (None, {"kind": "style", "net": net}):
        path = style_file(tmp_path, net, facts)
        assert style_card(str(path)).net == net
    painted = load_style(str(path), choose_engine("torch:cpu"), PIXELS)(draw_card(50, 40))
    assert painted.shape == (40, 50, 3)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (2, 300), (90, 12)])
def test_pictures_of_any_size_are_painted(size: tuple[int, int], tmp_path: Path) -> None:
    """The smallest have nothing to mirror at the borders of the net's maps, and are made larger first."""
    styles = {"torch:cpu": str(style_file(tmp_path, "slim")), "cpu": find_card("style", None).name}
    for engine, style in styles.items():
        assert load_style(style, choose_engine(engine), PIXELS)(draw_card(*size)).shape == (size[1], size[0], 3)


def test_files_that_hold_something_else_are_refused_by_name(tmp_path: Path) -> None:
    for net, facts, words in (
        ("unet", None, "does not hold a style that livestyle knows"),
        ("unet", {"kind": "segmenter", "net": "unet"}, "is a segmenter, not a style"),
        ("slim", {"facts": "{}"}, "is a training's checkpoint"),
        ("slim", {"kind": "style", "net": "newer"}, "does not hold a style that livestyle knows"),
        ("slim", {"kind": "style", "net": "johnson"}, "does not hold a johnson net"),
    ):
        path = style_file(tmp_path, net, facts)
        with pytest.raises(UserError, match=rf"{net}\.safetensors {words}"):
            load_style(str(path), choose_engine("torch:cpu"), PIXELS)


def test_a_segmenter_is_no_style_in_onnx_either(tmp_path: Path) -> None:
    shipped = find_card("segmenter", "unet").path(".onnx")
    with pytest.raises(UserError, match=r"unet\.onnx is a segmenter, not a style"):
        load_style(str(shipped), choose_engine("cpu"), PIXELS)
    shutil.copy(shipped, tmp_path / "mine.onnx")
    with pytest.raises(UserError, match=r"mine\.onnx is no style"):
        load_style(str(tmp_path / "mine.onnx"), choose_engine("cpu"), PIXELS)


def test_truncated_files_are_refused_by_name(tmp_path: Path) -> None:
    shipped = find_card("style", None)
    for suffix, engine in ((".onnx", "cpu"), (".safetensors", "torch:cpu")):
        whole = shipped.path(suffix).read_bytes()
        path = tmp_path / f"cut{suffix}"
        for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(UserError, match=rf"cut\{suffix} (is|does)"):
                load_style(str(path), choose_engine(engine), PIXELS)
        path.unlink()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["__metadata__", "a", "data_offsets", "facts"]), inner, max_size=3)
).map(lambda value: len(json.dumps(value)).to_bytes(8, "little") + json.dumps(value).encode()))  # fmt: skip
def test_any_bytes_are_told_from_a_style(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "any.safetensors").write_bytes(text)
    with pytest.raises(UserError, match=r"any\.safetensors"):
        style_card(str(tmp_path / "any.safetensors"))


def test_the_header_is_what_the_library_reads(tmp_path: Path) -> None:
    path = style_file(tmp_path, "slim", {"kind": "style"})
    assert tensor_names(path) == ({"kind": "style"}, set(load_file(path)))


def test_a_file_beside_its_card_is_held_against_it(tmp_path: Path) -> None:
    shipped = find_card("style", None)
    assert shipped.folder is not None
    folder = tmp_path / shipped.name
    shutil.copytree(shipped.folder, folder)
    file = folder / f"{shipped.name}.onnx"
    assert style_card(str(file)).title == shipped.title
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=rf"{file.name} is damaged: its SHA-256 is not its card's"):
        load_style(str(file), choose_engine("cpu"), PIXELS)


def test_a_net_paints_from_a_file_what_it_paints_by_name(tmp_path: Path) -> None:
    shipped, image = find_card("style", None), draw_card(96, 64)
    shutil.copy(shipped.path(".onnx"), tmp_path / "mine.onnx")
    one, two = (
        load_style(name, choose_engine("cpu"), PIXELS)(image) for name in (shipped.name, str(tmp_path / "mine.onnx"))
    )
    assert np.abs(one.astype(int) - two).mean() < 1
