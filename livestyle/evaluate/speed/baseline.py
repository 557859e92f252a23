"""The plain recipe of tutorials, as a baseline: one loop, eager PyTorch in float32, NumPy.

It runs in a process of its own, which waits while the filter runs. Neither's threads and memory count for the other.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package, pip_install
from livestyle.evaluate.speed.cores import ignore_interrupts
from livestyle.evaluate.speed.jpeg_frames import Jpeg, decode, there_and_back
from livestyle.image.types import Image, Matte
from livestyle.matting.published import SEGMENTERS, find_weights, install_command
from livestyle.nets.engine import choose_engine
from livestyle.types import Size

SEGMENTER_SIDE_PX = 256  # of its square input
PERSON_CLASS = 15  # of PASCAL VOC
STAGES = ("read", "segment", "stylize", "composite", "write")
RANDOM = "random: they only time"


@dataclass(frozen=True)
class Timings:
    """What some frames took.

    Args:
        frames: how many.
        seconds, cpu: wall and CPU time of all, in seconds.
        latencies: of each frame from JPEG to I420, in ms.
        stages: of each frame, by stage, in ms.
    """

    frames: int
    seconds: float
    cpu: float
    latencies: list[float]
    stages: dict[str, list[float]]


class Baseline:
    """The baseline in its own process. Use it in `with`.

    Args:
        jpegs: the frames; size: of them.
        device: "cpu", or as PyTorch calls it.
        model_file: of MediaPipe's selfie segmenter; None takes torchvision's DeepLabv3 on MobileNetV3.

    Attributes:
        facts: what it is made of.

    Raises:
        UserError: a package is missing, or the file is no such model.
    """

    def __init__(self, jpegs: Sequence[Jpeg], size: Size, device: str = "cpu", model_file: Path | None = None) -> None:
        check_baseline(model_file)
        context = get_context("spawn")
        self._pipe, other_end = context.Pipe()
        arguments = other_end, jpegs, size, device, model_file
        self._process = context.Process(target=serve, args=arguments, name="baseline", daemon=True)
        self._process.start()
        other_end.close()  # so that a process that dies is noticed
        self.facts: dict[str, Any] = self._answer()

    def run(self, first: int, seconds: float) -> Timings:
        """Process frames from the JPEG `first` on, for some seconds, at least one frame.

        Raises:
            UserError: the process was killed.
        """
        self._pipe.send((first, seconds))
        timings: Timings = self._answer()
        return timings

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise UserError(
                "The naive recipe was killed.", "It takes GBs of memory: try a smaller size.", "size"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> "Baseline":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pipe.close()
        self._process.join()


def check_baseline(model_file: Path | None) -> None:
    """Check that the baseline can run.

    Raises:
        UserError: a package is missing, or the file.
    """
    for name in ("torch", "torchvision"):
        if not has_package(name):
            raise UserError(f"The naive recipe needs the package {name}.", f"Run: {pip_install('torch')}")
    if model_file and not model_file.is_file():
        raise UserError(f"There is no file {model_file}.", "Check the name.", "model_file")
    if model_file and (lacking := install_command(SEGMENTERS["mediapipe"])):
        raise UserError("MediaPipe, whose model this is, is not installed.", f"Run: {lacking}", "model_file")


# The rest of this file runs in that process.


def serve(pipe: Connection, jpegs: Sequence[Jpeg], size: Size, device: str, model_file: Path | None) -> None:
    """Send what the baseline is made of; then answer each (first, seconds) with Timings, until the pipe is closed.

    An error is sent, too, and ends the process.
    """
    ignore_interrupts()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries print there
    os.environ.pop("OMP_WAIT_POLICY", None)  # the command line sets it, and a tutorial does not
    try:
        loop = BaselineLoop(jpegs, size, device, model_file)
        loop(0, {name: [] for name in STAGES})  # to warm up
        answer: object = loop.facts
        while True:
            pipe.send(answer)
            answer = loop.run(*pipe.recv())
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send(error)


class BaselineLoop:
    """The loop of a tutorial, frame by frame.

    Args:
        jpegs: the frames; size: of them; device: as PyTorch calls it; model_file: as of `Baseline`.
    """

    def __init__(self, jpegs: Sequence[Jpeg], size: Size, device: str, model_file: Path | None) -> None:
        import torch

        self._jpegs, self._size = jpegs, size
        segment = open_mediapipe(model_file) if model_file else open_deeplab(device)
        self.segment, self.segmenter, self.weights = segment
        self.stylize = open_johnson(device)
        self.facts = {
            "segmenter": self.segmenter, "segmenter_weights": self.weights,
            "style": "Johnson et al. 2016, 32-64-128, float32", "style_weights": RANDOM, "style_size": list(size),
            "device": device, "torch": str(torch.__version__), "threads": torch.get_num_threads(),
        }  # fmt: skip

    def __call__(self, index: int, stages: dict[str, list[float]]) -> None:
        """Process a frame from JPEG to I420; append the ms of each stage to its list."""

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

    def run(self, first: int, seconds: float) -> Timings:
        """Process frames from the JPEG `first` on, for some seconds, at least one frame."""
        stages: dict[str, list[float]] = {name: [] for name in STAGES}
        latencies: list[float] = []
        start, cpu = time.monotonic(), time.process_time()
        while not latencies or time.monotonic() - start < seconds:
            before = time.perf_counter()
            self(first + len(latencies), stages)
            latencies.append((time.perf_counter() - before) * 1000)
        return Timings(len(latencies), time.monotonic() - start, time.process_time() - cpu, latencies, stages)


def open_mediapipe(file: Path) -> tuple[Callable[[Image], Matte], str, str]:
    """Return MediaPipe's selfie segmenter, its name and its file's name."""
    segment = SEGMENTERS["mediapipe"].make(file, choose_engine("cpu"), [0])
    return segment, "MediaPipe selfie, 256x256", file.name


def open_deeplab(device: str) -> tuple[Callable[[Image], Matte], str, str]:
    """Return torchvision's DeepLabv3 on MobileNetV3, its name and its file's name.

    Its weights are random where the published ones are not installed.
    """
    import torch
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large as build

    from livestyle.matting.published import with_published_weights

    file = find_weights("deeplabv3-mobilenet", Settings())
    net = build(weights=None, weights_backbone=None).eval()
    net = (with_published_weights(net, "deeplabv3-mobilenet", file) if file else net).to(device)
    mean, deviation = (torch.tensor(v).view(3, 1, 1).to(device) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def segment(image: Image) -> Matte:
        small = cv2.resize(image, (SEGMENTER_SIDE_PX, SEGMENTER_SIDE_PX))
        rgb = torch.from_numpy(small).to(device).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            scores = net(((rgb - mean) / deviation)[None])["out"][0]
        return np.asarray(scores.softmax(0)[PERSON_CLASS].cpu().numpy(), np.float32)

    name = f"torchvision DeepLabv3-MobileNetV3, {SEGMENTER_SIDE_PX}x{SEGMENTER_SIDE_PX}"
    return segment, name, file.name if file else RANDOM


def open_johnson(device: str) -> Callable[[Image], Image]:
    """Return the published transform network, which paints at the picture's own size."""
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
