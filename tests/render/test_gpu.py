"""Pixels on the device: twins of the functions of NumPy, and the whole filter beside the one of OpenVINO."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.pictures import draw_card
from torch import Tensor

from livestyle.config.look import LookKind, Plane, look_of
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.image import pixels
from livestyle.image.box import Box
from livestyle.image.pixels import fit, grayscale
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting import matte as matting
from livestyle.matting.jumps import Jumps
from livestyle.matting.matte import Matting
from livestyle.matting.refine import EPSILON, refine
from livestyle.nets.library import find_nets
from livestyle.render import cuda_graph, gpu_pixels, temporal
from livestyle.render.cuda_graph import RUNS_BEFORE_RECORDING, CudaGraph, Function, Recorded, Tensors
from livestyle.render.filter import Filter
from livestyle.render.gpu_pixels import as_bytes, as_picture
from livestyle.render.kinds import Scene, register, unregister
from livestyle.render.temporal import Motion, PaintingHistory
from livestyle.video.sources.open import open_source

pytestmark = pytest.mark.torch

STYLES = list(find_nets("style"))
SIZES = [(160, 90), (161, 91), (97, 64), (5, 3), (1, 1)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clip() -> list[Image]:
    """Frames of the demo, 192x108."""
    with open_source("demo") as source:
        return [fit(frame.image, (192, 108)) for _, frame in zip(range(4), source, strict=False)]


def blob(width: int, height: int) -> Matte:
    """A soft disc, 1 in its middle and 0 far from it."""
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    return np.clip(3 - 4 * np.hypot(x, y), 0, 1).astype(np.float32)


def up(image: Image | Matte) -> Tensor:
    return as_picture(torch.from_numpy(image)) if image.ndim == 3 else torch.from_numpy(image)[None, None].float()


TWINS: dict[str, tuple[Callable[..., Image], Callable[..., Tensor]]] = {  # of an image, another one and a matte
    "composite": (lambda i, o, m: pixels.composite(i, o, m), lambda i, o, m: gpu_pixels.composite(i, o, m)),
    "person_before": (
        lambda i, o, m: pixels.composite_foreground(i, o, m),
        lambda i, o, m: gpu_pixels.composite_foreground(i, o, m),
    ),
    "mix": (lambda i, o, m: pixels.mix(i, o, 0.3), lambda i, o, m: gpu_pixels.mix(i, o, 0.3)),
    "keep_colors": (lambda i, o, m: pixels.keep_colors(o, i), lambda i, o, m: gpu_pixels.keep_colors(o, i)),
    "recolor": (lambda i, o, m: pixels.recolor(o, i), lambda i, o, m: gpu_pixels.recolor(o, i)),
    "blur_plane": (lambda i, o, m: pixels.blur_plane(i, m, 0.6), lambda i, o, m: gpu_pixels.blur_plane(i, m, 0.6)),
    "third": (lambda i, o, m: temporal.third(i), lambda i, o, m: gpu_pixels.third(i)),
    "fit to half": (lambda i, o, m: fit(i, (80, 45)), lambda i, o, m: gpu_pixels.fit(i, (80, 45))),
    "fit to a part": (lambda i, o, m: fit(i, (50, 41)), lambda i, o, m: gpu_pixels.fit(i, (50, 41))),
    "fit to more": (lambda i, o, m: fit(i, (200, 150)), lambda i, o, m: gpu_pixels.fit(i, (200, 150))),
    "pad_to": (lambda i, o, m: pixels.pad_to(i, 16), lambda i, o, m: gpu_pixels.padded(i, 16)),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", TWINS)
def test_each_function_has_a_twin(name: str, size: tuple[int, int]) -> None:
    image, other, matte = cv2.GaussianBlur(draw_card(*size), (5, 5), 0), draw_card(*size[::-1]), blob(*size)
    other = fit(other, size)
    here, there = TWINS[name]
    wanted, found = here(image, other, matte), as_bytes(there(up(image), up(other), up(matte))).numpy()
    assert found.shape == wanted.shape
    far = np.abs(found.astype(int) - wanted)
    assert far.max() <= (2 if name not in ("person_before", "recolor") else 3)
    assert far.mean() < (0.5 if name != "recolor" else 0.7)  # a sum of two that are rounded
    if name in ("composite", "person_before"):
        assert (found[matte == 1] == image[matte == 1]).all()
        assert (found[matte == 0] == other[matte == 0]).all()


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_the_edge_is_drawn_alike(size: tuple[int, int]) -> None:
    gray = grayscale(draw_card(*size))
    small = fit(gray, (64, 36))
    for epsilon in (EPSILON, matting.LIVE_EPSILON):
        wanted = refine(blob(64, 36), gray, small, epsilon)
        found = gpu_pixels.refine(up(blob(64, 36)), up(gray), up(small), epsilon)[0, 0].numpy()
        assert np.abs(found - wanted).max() < 0.01
        assert ((found == 0) == (wanted == 0)).mean() > 0.99
    assert (gpu_pixels.grayscale(up(draw_card(*size)))[0, 0].numpy() == gray).mean() > 0.98


def test_a_painting_is_brought_along_alike() -> None:
    draw = np.random.default_rng(0)
    old, now = (cv2.GaussianBlur(draw_card(96, 64, seed), (9, 9), 0) for seed in (0, 1))
    flow = cv2.GaussianBlur(draw.normal(0, 30, (64, 96, 2)).astype(np.float32), (31, 31), 0)
    flow[:8] -= 50  # from beyond the border, too
    brought = gpu_pixels.warp(up(old), torch.from_numpy(flow).permute(2, 0, 1)[None])
    memory, box = PaintingHistory(), Box(0, 0, 96, 64)
    memory(old, Motion(1, now), box)
    wanted = memory(now, Motion(2, now, flow, np.ones((64, 96), np.float32), 1.0, 0.0), box)
    assert np.abs(as_bytes(brought).numpy().astype(int) - wanted).max() <= 2


def settings(device: str, **flags: object) -> Settings:
    return Settings(device=device, quality="best", **flags)  # type: ignore[arg-type]


LOOKS: list[dict[str, object]] = [
    {},
    {"person": STYLES[1], "background": STYLES[0], "keep_colors": True},
    {"background": "none", "person": STYLES[1], "strength": 0.6},
    {"background": f"{STYLES[0]}+{STYLES[1]}@0.4", "person": f"{STYLES[0]}+{STYLES[1]}@0.4"},
    {"background": "blur:0.7", "person": "color:#204060"},
]


@pytest.fixture(scope="module", params=["torch:cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def ready(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    with Filter(settings(request.param)) as filter:
        yield filter


@pytest.fixture(scope="module")
def beside():  # type: ignore[no-untyped-def]
    with Filter(settings("cpu")) as filter:
        yield filter


def look(**flags: object):  # type: ignore[no-untyped-def]
    return look_of(Settings(**flags), STYLES[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(len(LOOKS)), ids=lambda number: str(LOOKS[number]))
def test_a_clip_looks_as_on_the_cpu(number: int, clip: list[Image], ready: Filter, beside: Filter) -> None:
    frames = [Frame(image, n, 10 * number + n / 30) for n, image in enumerate(clip)]
    before = ready._gpu._step  # type: ignore[union-attr]
    outs = [[filter(frame, look(**LOOKS[number])) for frame in frames] for filter in (beside, ready)]
    assert ready._gpu._step == before + len(clip)  # type: ignore[union-attr]  # all of them went that way
    for one, other in zip(*outs, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert psnr(one, other) > 32


def psnr(one: Image, other: Image) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one.astype(float) - other).mean(), 1e-9)))


def test_what_no_look_is_on_stays_exactly(ready: Filter, clip: list[Image]) -> None:
    frame = Frame(clip[0], 0, 100.0)
    runs = ready.meter.runs["segment"]
    behind = ready(frame, look())
    matte = ready.matte(frame)
    assert matte.shape == clip[0].shape[:2]
    assert ready.meter.runs["segment"] == runs + 1  # that of the frame was at hand
    assert (matte == 1).sum() > 1000
    assert (behind[matte == 1] == clip[0][matte == 1]).all()
    assert np.abs(behind.astype(int) - clip[0])[matte == 0].mean() > 10
    ahead = ready(frame, look(background="none", person=STYLES[1]))
    matte = ready.matte(frame)
    assert (ahead[matte == 0] == clip[0][matte == 0]).all()
    assert np.abs(ahead.astype(int) - clip[0])[matte == 1].mean() > 10


def test_looks_and_sizes_may_change_at_any_frame(ready: Filter, clip: list[Image], card: Path) -> None:
    """And the looks that are not rendered there go the other way, and back."""
    looks = [
        look(),
        look(background="bokeh"),
        look(background=f"image:{card}"),
        look(),
        look(background="color:#ff0000"),
    ]
    kept: list[tuple[Image, Image]] = []
    for n, wanted in enumerate(looks):
        for size in ((64, 36), (67, 41)):
            out = ready(Frame(fit(clip[0], size), n, 200 + n / 30), wanted)
            assert out.shape == (size[1], size[0], 3)
            kept.append((out, out.copy()))
    assert all((out == copy).all() for out, copy in kept)  # a picture is its caller's own
    assert (kept[-1][0][0, 0] == (255, 0, 0)).all()
    assert ready(Frame(clip[0], 9, 201.0), replace(looks[0], bypass=True)) is clip[0]
    assert ready(Frame(clip[0], 9, 201.0), look(background="none")) is clip[0]
    for size in ((1, 1), (17, 200)):
        assert ready(Frame(fit(clip[0], size), 9, 202.0), looks[0]).shape == (size[1], size[0], 3)


def test_a_kind_of_look_from_outside_is_drawn_there(ready: Filter, clip: list[Image]) -> None:
    row = LookKind("gray", "gray", lambda text, _: Plane("gray", text), shows_room=True, is_mixed=True)

    def gray(plane: Plane, scene: Scene) -> Image:
        return np.repeat(grayscale(scene.frame.image)[..., None], 3, 2)

    register(row, gray, lambda plane, scene: gpu_pixels.grayscale(scene.image).expand(-1, 3, -1, -1))
    try:
        before = ready._gpu._step  # type: ignore[union-attr]
        frame, half = Frame(clip[0], 0, 150.0), look(background="gray", person="gray", strength=0.5)
        out = ready(frame, half)
        assert ready._gpu._step == before + 1  # type: ignore[union-attr]
        wanted = (clip[0].astype(float) + grayscale(clip[0])[..., None]) / 2
        assert np.abs(out - wanted).max() <= 2
    finally:
        unregister("gray")


def test_another_quality_paints_at_another_size(clip: list[Image]) -> None:
    image = clip[0]
    with Filter(settings("torch:cpu")) as filter:
        fine = filter(Frame(image, 0, 0.0), look())
        filter.quality = replace(QUALITIES["fast"], least=96 * 54, most=96 * 54)
        coarse = filter(Frame(image, 1, 1 / 30), look())
        assert filter.style_size((192, 108)) == (96, 54)
    assert coarse.shape == fine.shape
    assert psnr(fine, coarse) < 40


def test_a_noisy_still_room_is_painted_still(clip: list[Image]) -> None:
    draw = np.random.default_rng(0)
    noisy = [np.clip(np.rint(clip[0] + draw.normal(0, 6, clip[0].shape)), 0, 255).astype(np.uint8) for _ in range(14)]
    wander = {}
    for live in (True, False):
        with Filter(settings("torch:cpu"), live=live) as filter:
            whole = look(background=STYLES[0], person=STYLES[0])
            outs = [filter(Frame(image, n, n / 30), whole).astype(int) for n, image in enumerate(noisy)][-4:]
        wander[live] = np.mean([np.abs(b - a).mean() for a, b in pairwise(outs)])
    assert wander[True] < min(1.5, wander[False] / 2), wander


def test_a_cut_shows_at_once(clip: list[Image]) -> None:
    whole = look(background=STYLES[0], person=STYLES[0])
    turned = Frame(clip[0][::-1].copy(), 4, 4 / 30)
    with Filter(settings("torch:cpu")) as live, Filter(settings("torch:cpu"), live=False) as alone:
        for n in range(3):
            live(Frame(clip[0], n, n / 30), whole)
        assert (live(turned, whole) == alone(turned, whole)).all()


def test_an_error_comes_out_and_nothing_of_its_frame_is_kept(clip: list[Image]) -> None:
    with Filter(settings("torch:cpu")) as live, Filter(settings("torch:cpu")) as plain:
        for n in range(2):
            live(Frame(clip[0], n, n / 30), look())
        gpu = live._gpu
        assert gpu is not None
        (program,) = gpu._programs.values()
        finish, program.finish = program.finish, lambda given: raise_(torch.OutOfMemoryError("no memory left"))  # type: ignore[assignment]
        late = Frame(clip[1], 2, 2 / 30)
        with pytest.raises(torch.OutOfMemoryError, match="no memory"):
            live(late, look())
        assert gpu.matte(late) is None
        program.finish = finish
        again = live(Frame(clip[2], 3, 3 / 30), look())
        wanted = plain(Frame(clip[2], 3, 3 / 30), look())
        matte = live.matte(Frame(clip[2], 3, 3 / 30))
        assert psnr(again[matte == 0], wanted[matte == 0]) > 30


def raise_(error: Exception) -> Tensors:
    raise error


def test_a_matte_that_jumps_is_refused_there_too(clip: list[Image]) -> None:
    with Filter(settings("torch:cpu")) as live:
        segmenter = live.matting.segmenter
        live.matting = Matting(segmenter)
        live.matting.jumps = Jumps()
        head = segmenter.net.module.net.register_forward_hook(lambda *it: torch.full_like(it[2], 20.0))  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match="whole picture at once"):
            live(Frame(clip[0], 0, 0.0), look())
        head.remove()


def test_a_segmenter_of_another_kind_goes_the_other_way(clip: list[Image]) -> None:
    with Filter(settings("torch:cpu", segmenter="kmeans")) as filter:
        assert filter._gpu is not None
        filter(Frame(clip[0], 0, 0.0), look(background="color:#00ff00"))
        assert not filter._gpu._step


def test_a_recording_knows_the_constants_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    image, constants = up(draw_card(64, 48)), []  # type: ignore[var-annotated]
    monkeypatch.setattr(gpu_pixels.in_use, "by", constants)
    gpu_pixels.blur(image, (0.25, 0.5, 0.25))
    gpu_pixels.fit(image, (20, 41))
    gpu_pixels.warp(image, torch.zeros(1, 2, 48, 64))
    assert [tuple(constant.shape) for constant in constants] == [(48, 48), (64, 64), (41, 48), (20, 64), (1, 2, 48, 64)]
    monkeypatch.undo()
    gpu_pixels.blur(image, (0.25, 0.5, 0.25))
    assert len(constants) == 5


def test_a_recording_stands_in_once_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol of recordings, with a stand-in for CUDA's: never before the first frames, only for what it knows."""
    from concurrent.futures import ThreadPoolExecutor

    class Played(CudaGraph):
        def __init__(self, function: Function, example: Tensors, device: torch.device) -> None:
            self._given, self._made, self.function = example, function(example), function

        def __call__(self, given: Tensors) -> Tensors:
            played.append(len(given))
            return self.function(given)

    played: list[int] = []
    monkeypatch.setattr(cuda_graph, "CudaGraph", Played)
    with ThreadPoolExecutor(1) as pool:
        double = Recorded(lambda given: {name: 2 * value for name, value in given.items()}, torch.device("cuda"), pool)
        first, later = {"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(1)}
        double(first)
        for _ in range(RUNS_BEFORE_RECORDING - 1):
            double(later)
            assert double.graph is None
        double(later)
        assert double.graph is not None
        double.graph.result()
        assert double.is_recorded
        assert not played
        assert double(later)["b"] == 2
        double(first)
        assert played == [2]
