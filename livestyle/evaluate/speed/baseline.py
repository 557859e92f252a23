"""The plain recipe that tutorials give, to hold ours against: one loop, eager PyTorch in float32, NumPy.

It runs in a process of its own, which waits while ours runs: neither's threads and memory count for the other.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package
from livestyle.evaluate.speed.cores import ignore_interrupts
from livestyle.evaluate.speed.jpeg_frames import Jpeg, decode, there_and_back
from livestyle.image.types import Image, Matte
from livestyle.matting.published import SEGMENTERS, find_weights, install_command
from livestyle.nets.engine import choose_engine
from livestyle.types import Size

SIDE = 256  # pixels of the segmenter's square input
PERSON = 15  # of PASCAL VOC's classes
STAGES = ("read", "segment", "stylize", "composite", "write")
RANDOM = "random: they only time"


@dataclass(frozen=True)
class Stretch:
    """What some frames took: wall and CPU seconds in all, ms of each frame, from JPEG to I420, and of its stages."""

    frames: int
    seconds: float
    cpu: float
    latencies: list[float]
    stages: dict[str, list[float]]


class Baseline:
    """The recipe in its own process.

    Args:
        device: "cpu" or as PyTorch calls it; model_file: of MediaPipe's selfie segmenter, else it is torchvision's
            DeepLabv3 on MobileNetV3 that segments.

    Raises:
        UserError: a package is missing, or the file is no such model.
    """

    def __init__(self, jpegs: Sequence[Jpeg], size: Size, device: str = "cpu", model_file: Path | None = None) -> None:
        check_naive(model_file)
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), ignore_interrupts)
        self.facts: dict[str, Any] = self._there(begin, jpegs, size, device, model_file)

    def run(self, first: int, seconds: float) -> Stretch:
        """Frames from the JPEG `first` on, for some seconds, one at least."""
        stretch: Stretch = self._there(run, first, seconds)
        return stretch

    def _there(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            raise UserError("The naive recipe was killed.", "It takes GBs of memory; try a smaller --size.") from None

    def __enter__(self) -> "Baseline":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pool.shutdown()


def check_naive(model_file: Path | None) -> None:
    """Raises UserError where a package is missing, or the file."""
    for name in ("torch", "torchvision"):
        if not has_package(name):
            raise UserError(f"The naive recipe needs the package {name}.", "Run: pip install 'livestyle[torch]'")
    if model_file and not model_file.is_file():
        raise UserError(f"There is no file {model_file}.", "Check --model-file.")
    if model_file and (lacking := install_command(SEGMENTERS["mediapipe"])):
        raise UserError("--model-file is for MediaPipe, which is not installed.", f"Run: {lacking}")


# What follows runs in that process.

recipe: "BaselineLoop"


class BaselineLoop:
    """A tutorial's loop, frame by frame."""

    def __init__(self, jpegs: Sequence[Jpeg], size: Size, device: str, model_file: Path | None) -> None:
        import torch

        self._jpegs, self._size = jpegs, size
        segment = mediapipe(model_file) if model_file else deeplab(device)
        self.segment, self.segmenter, self.weights = segment
        self.stylize = johnson(device)
        self.facts = {
            "segmenter": self.segmenter, "segmenter_weights": self.weights,
            "style": "Johnson et al. 2016, 32-64-128, float32", "style_weights": RANDOM, "style_size": list(size),
            "device": device, "torch": str(torch.__version__), "threads": torch.get_num_threads(),
        }  # fmt: skip

    def __call__(self, index: int, stages: dict[str, list[float]]) -> None:
        """A frame from JPEG to I420; the ms of each stage are added to its list."""

        @contextmanager
        def stage(name: str):  # type: ignore[no-untyped-def]
            start = time.perf_counter()
            yield
            stages[name].append((time.perf_counter() - start) * 1000)

        with stage("read"):
            image = decode(self._jpegs[there_and_back(index, len(self._jpegs))])
        with stage("segment"):
            matte = cv2.resize(self.segment(image), self._size)[..., None]
        with stage("stylize"):
            styled = self.stylize(image)
        with stage("composite"):
            picture = (matte * image + (1 - matte) * styled).astype(np.uint8)
        with stage("write"):
            cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)


def begin(jpegs: Sequence[Jpeg], size: Size, device: str, model_file: Path | None) -> dict[str, Any]:
    """Make the recipe ready; tells what it is made of."""
    global recipe
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' own chatter
    os.environ.pop("OMP_WAIT_POLICY", None)  # which the command line sets, and a tutorial does not
    recipe = BaselineLoop(jpegs, size, device, model_file)
    recipe(0, {name: [] for name in STAGES})
    return recipe.facts


def run(first: int, seconds: float) -> Stretch:
    """Frames for some seconds."""
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    latencies: list[float] = []
    start, cpu = time.monotonic(), time.process_time()
    while not latencies or time.monotonic() - start < seconds:
        before = time.perf_counter()
        recipe(first + len(latencies), stages)
        latencies.append((time.perf_counter() - before) * 1000)
    return Stretch(len(latencies), time.monotonic() - start, time.process_time() - cpu, latencies, stages)


def mediapipe(file: Path) -> tuple[Callable[[Image], Matte], str, str]:
    """MediaPipe's selfie segmenter from its file."""
    segment = SEGMENTERS["mediapipe"].make(file, choose_engine("cpu"), [0])
    return segment, "MediaPipe selfie, 256x256", file.name


def deeplab(device: str) -> tuple[Callable[[Image], Matte], str, str]:
    """torchvision's DeepLabv3 on MobileNetV3, with its published weights where they are here."""
    import torch
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large as build

    from livestyle.matting.published import with_published_weights

    file = find_weights("deeplabv3-mobilenet", Settings())
    net = build(weights=None, weights_backbone=None).eval()
    net = (with_published_weights(net, "deeplabv3-mobilenet", file) if file else net).to(device)
    mean, deviation = (torch.tensor(v).view(3, 1, 1).to(device) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def segment(image: Image) -> Matte:
        small = torch.from_numpy(cv2.resize(image, (SIDE, SIDE))).to(device).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            scores = net(((small - mean) / deviation)[None])["out"][0]
        return np.asarray(scores.softmax(0)[PERSON].cpu().numpy(), np.float32)

    return segment, f"torchvision DeepLabv3-MobileNetV3, {SIDE}x{SIDE}", file.name if file else RANDOM


def johnson(device: str) -> Callable[[Image], Image]:
    """The published transform net at the picture's size."""
    import torch

    from livestyle.nets.architectures.transform import JohnsonNet

    net = JohnsonNet().eval().to(device)

    def stylize(image: Image) -> Image:
        height, width = image.shape[:2]  # the net gives multiples of 4
        rgb = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            painted = net(rgb)[0, :, :height, :width].clamp(0, 1) * 255
        return np.asarray(painted.cpu().numpy().transpose(1, 2, 0).astype(np.uint8), np.uint8)

    return stylize
