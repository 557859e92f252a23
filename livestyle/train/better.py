"""The process that makes a picture's style better while a person wears it: `python -m livestyle.train.better`.

It reads one line of JSON from stdin, an `Order`, and then frames: width * height * 3 bytes each, RGB. More frames may
come at any time. It writes a line of JSON to stdout at the start and after each check: seconds, images, loss of the
held-out pictures, start_loss, and in `saved` the path of an ONNX file that was just written, or null. The start_loss is
that of the predicted network, which the person sees at first; only what is better is written. A fault is a line with
problem and step.

It ends when stdin does, so it does not outlive its parent. Its priority is what the parent gave it.
"""

import copy
import json
import os
import sys
import time
from collections import deque
from dataclasses import dataclass, fields
from io import FileIO
from pathlib import Path
from threading import Condition, Thread
from typing import Any, BinaryIO, TextIO

import numpy as np

from livestyle.errors import UserError
from livestyle.files import write_error
from livestyle.image.pixels import at_most, cover
from livestyle.image.types import Image, size_of
from livestyle.nets.card import load_card
from livestyle.nets.export.shipped import ship
from livestyle.nets.library import find_card
from livestyle.nets.loss_network import COMPACT, open_loss_network
from livestyle.nets.tensors import as_batch
from livestyle.render.picture_rows import Predictor
from livestyle.train.finetune import (
    MAX_FRAMES,
    FineTuner,
    FineTuning,
    add_frame,
    grams_of,
    hold_out,
    single_threaded,
    start_net,
    worker_count,
)
from livestyle.train.photos import photos_of

CHECK_INTERVAL_S = 5.0
LEAST_GAIN = 0.02  # of the loss, for which weights are written
CALIBRATION_FRAMES, CALIBRATION_PX = 4, 640 * 360  # that give the ranges of int8
MULTIPLE = 4  # of the sides of a network's input


@dataclass(frozen=True)
class Order:
    """What the parent asks for.

    Args:
        look: of one picture or a mix, `picture:...`.
        folder, name: where the weights go, FOLDER/NAME.onnx and FOLDER/NAME.safetensors.
        width, height: of the frames, in pixels.
        frames: how many to wait for before the start.
        minutes: to train.
        predictor: folder of the predictor's card; None for the default one.
        photos: a folder of photos to paint beside the frames; None for the built-in pictures.
        models: a folder of models that takes precedence; None for none.
    """

    look: str
    folder: str
    name: str
    width: int
    height: int
    frames: int = 0
    minutes: float = 2.0
    predictor: str | None = None
    photos: str | None = None
    models: str | None = None


class Frames:
    """Frames that come through a stream, read in a thread.

    Args:
        stream: of raw frames; order: their size.
    """

    def __init__(self, stream: BinaryIO, order: Order) -> None:
        self._stream, self._order, self._ready = stream, order, Condition()
        self._new = deque[Image](maxlen=MAX_FRAMES)
        self.is_over = False
        Thread(target=self._read, daemon=True).start()

    def take(self, least: int = 0) -> list[Image]:
        """Return the frames that came since the last call, uint8 (H, W, 3) RGB; wait for at least so many."""
        with self._ready:
            self._ready.wait_for(lambda: self.is_over or len(self._new) >= min(least, MAX_FRAMES))
            frames = list(self._new)
            self._new.clear()
        return frames

    def _read(self) -> None:
        shape = self._order.height, self._order.width, 3
        size = int(np.prod(shape))
        while len(data := self._read_whole(size)) == size:
            with self._ready:
                self._new.append(np.frombuffer(data, np.uint8).reshape(shape))
                self._ready.notify_all()
        with self._ready:
            self.is_over = True
            self._ready.notify_all()

    def _read_whole(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end of the stream."""
        parts, missing = list[bytes](), size
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def main() -> int:
    """Do what the order on stdin asks for; return the exit code."""
    try:
        # Without a buffer, no lock that the thread of the frames would keep to the end.
        run(FileIO(sys.stdin.fileno(), closefd=False), sys.stdout)
    except UserError as error:
        tell(sys.stdout, problem=error.problem, step=error.step)
        return 2
    except BrokenPipeError:  # the parent is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter does not flush into it
    return 0


def run(stdin: BinaryIO, stdout: TextIO) -> None:
    """Read an order and frames, fine-tune, and write what comes of it.

    Args:
        stdin: of the order and the frames; stdout: takes lines of JSON.

    Raises:
        UserError: the order cannot be read, the picture or a model is missing or damaged, or the folder cannot be
            written to.
    """
    order = read_order(stdin.readline())
    stream = Frames(stdin, order)
    frames = stream.take(order.frames)
    tuner = open_tuner(order, frames)
    begun = checked = time.monotonic()
    start = best = tuner.loss()
    is_over = False
    tell(stdout, seconds=0.0, images=0, loss=start, start_loss=start, saved=None)
    while not is_over:
        tuner.step()
        now = time.monotonic()
        is_over = stream.is_over or now - begun >= 60 * order.minutes
        if now - checked < CHECK_INTERVAL_S and not is_over:
            continue
        for frame in (new := stream.take()):
            add_frame(tuner.photos, frame)
        frames, checked = (frames + new)[-MAX_FRAMES:], now
        loss, saved = tuner.loss(), None
        if loss < best * (1 - LEAST_GAIN) and not stream.is_over:
            best, saved = loss, str(save(tuner, order, frames))
        tell(stdout, seconds=round(now - begun, 1), images=tuner.images, loss=loss, start_loss=start, saved=saved)
    tuner.close()


def read_order(line: bytes) -> Order:
    """Return the order in a line of JSON.

    Raises:
        UserError: it is none.
    """
    try:
        given: dict[str, Any] = json.loads(line)
        order = Order(**{field.name: given[field.name] for field in fields(Order) if field.name in given})
        if min(order.width, order.height) < 1 or not order.name:
            raise ValueError
    except (ValueError, TypeError):
        raise UserError(
            "The first line is no order.", "Give a JSON object with look, folder, name and sizes."
        ) from None
    return order


def open_tuner(order: Order, frames: list[Image]) -> FineTuner:
    """Return what fine-tunes.

    Args:
        order: what is asked for; frames: uint8 (H, W, 3) RGB, that came so far.

    Raises:
        UserError: the picture, a photo or a model cannot be read.
    """
    models = Path(order.models) if order.models else None
    folder = Path(order.predictor) if order.predictor else None
    card = load_card(folder / "card.json") if folder else find_card("predictor", None, models)
    network, _ = open_loss_network(COMPACT, "cpu", lambda line: None, models)
    photos = photos_of(Path(order.photos) if order.photos else None)
    held_out = hold_out(photos, frames)
    net = start_net(card.path(".safetensors"), Predictor(card, models).mix(order.look))
    grams = grams_of(order.look, network, models)
    return FineTuner(FineTuning(net, grams, network, photos, held_out, workers=worker_count()))


@single_threaded()
def save(tuner: FineTuner, order: Order, frames: list[Image]) -> Path:
    """Write the network so far as a style is shipped, and return its ONNX file.

    Raises:
        UserError: the folder cannot be written to.
    """
    recent = frames[-CALIBRATION_FRAMES:] or list(tuner.held_out)
    pictures = [as_batch([cover(frame, calibration_size(frame))], "cpu") for frame in recent]
    net, folder = copy.deepcopy(tuner.net).eval(), Path(order.folder)
    try:
        return ship(net, "style", folder, order.name, MULTIPLE, "slim", pictures)[1]
    except OSError as error:
        raise write_error(folder, error) from None


def calibration_size(frame: Image) -> tuple[int, int]:
    """Return the size that a frame is painted at, in whole MULTIPLEs."""
    width, height = (max(MULTIPLE, side // MULTIPLE * MULTIPLE) for side in at_most(size_of(frame), CALIBRATION_PX))
    return width, height


def tell(stdout: TextIO, **facts: Any) -> None:
    """Write a line of JSON."""
    print(json.dumps(facts), file=stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
