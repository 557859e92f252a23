"""The network of all pictures in OpenVINO: a style is a row of numbers, which is folded into the graph.

So a picture's style is as fast as a style of its own file. See `export/row_graph.py` for the graph's inputs.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets.engine import Engine
from livestyle.nets.onnx_check import check_onnx
from livestyle.nets.openvino_net import THREADS, OpenVinoNet, import_openvino, openvino_core, remove_int8
from livestyle.types import Size

Row = NDArray[np.float32]  # (numbers,): the scales and shifts of the network's norms

ROW, RANGES, MAP = "row", "ranges", "map"  # names of inputs, and what the names of maps begin with
RANGES_SIZE: Size = 320, 176  # of the picture that the maps' ranges are measured on
CLIPPED_SHARE = 1e-5  # of a map's values; with 1e-4, as of `export/int8.py`, the worst picture has 1 dB less
SAMPLE_STRIDE = 7  # one value of 7 is looked at
MARGIN = 1.15  # of the ranges, for frames that differ from the measured one


def fold_constants(model: Any, values: dict[str, NDArray[Any]]) -> None:
    """Replace inputs of an OpenVINO model by constants, in place.

    Args:
        model: the model; values: by the inputs' names.
    """
    ov = import_openvino()
    for parameter in model.get_parameters():
        value = values.get(parameter.get_friendly_name())
        if value is not None:
            constant = ov.op.Constant(np.ascontiguousarray(value, np.float32))
            parameter.output(0).replace(constant.output(0))
            model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()


def exact_model(path: Path) -> tuple[Any, list[str]]:
    """Return the network without int8, its row still an input, and the names of the maps that int8 would round.

    Args:
        path: of the ONNX file, which is checked.
    """
    check_onnx(path)
    model = openvino_core().read_model(path)
    maps = map_names(model)
    remove_int8(model)
    fold_constants(model, {RANGES: np.ones(1 + int(maps[-1].partition(".")[0].removeprefix(MAP)))})
    return model, maps


class RangeMeter:
    """Measure the ranges of the maps that are quantized, for any row.

    Args:
        path: of the ONNX file, which is checked.
    """

    def __init__(self, path: Path) -> None:
        model, self._maps = exact_model(path)
        model.add_outputs(self._maps)
        width, height = RANGES_SIZE
        model.reshape({"images": [1, height, width, 3]})
        config = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": THREADS["style"], "ENABLE_CPU_PINNING": False}
        self._request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, row: Row, picture: Image) -> NDArray[np.float32]:
        """Return the largest absolute value of each map, without the rarest ones.

        Args:
            row: of the style; picture: uint8 (H, W, 3), such as the style will paint.
        """
        found: dict[str, float] = {}
        with self._lock:
            self._request.infer({"images": cover(picture, RANGES_SIZE)[None], ROW: row})
            for name in self._maps:
                values = np.abs(self._request.get_tensor(name).data.ravel()[::SAMPLE_STRIDE])
                key, most = name.partition(".")[0], float(np.quantile(values, 1 - CLIPPED_SHARE))
                found[key] = max(found.get(key, 1e-6), MARGIN * most)
        return np.array([found[key] for key in sorted(found, key=lambda key: int(key.removeprefix(MAP)))], np.float32)


def map_names(model: Any) -> list[str]:
    """Return the names of the maps that are quantized, in the order of their ranges."""
    names = [
        name
        for op in model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"
        for name in op.input_value(0).get_names() if name.startswith(MAP)
    ]  # fmt: skip
    return sorted(names, key=lambda name: [int(part) for part in name.removeprefix(MAP).split(".")])


class RowPainter:
    """Paint pictures of one size in any row, which is an input here. It is exact, and slower than a RowNet.

    Args:
        path: of the ONNX file, which is checked.
        size: of the pictures.
    """

    def __init__(self, path: Path, size: Size) -> None:
        model, _ = exact_model(path)
        model.reshape({"images": [1, size[1], size[0], 3]})
        config = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
        self._request = openvino_core().compile_model(model, "CPU", config).create_infer_request()

    def __call__(self, image: Image, row: Row) -> Image:
        """Return the painting of a picture, uint8 (H, W, 3), in a row; for one thread."""
        self._request.infer({"images": np.ascontiguousarray(image[None]), ROW: row})
        return np.array(self._request.get_output_tensor(0).data[0], np.uint8)


range_meter: Callable[[Path], RangeMeter] = lru_cache(1)(RangeMeter)


class RowNet(OpenVinoNet):
    """The network of all pictures in the style of a row.

    Args:
        engine: gives the precision.
        path: of the ONNX file.
        row: of the style.
        picture: such as the style will paint, uint8 (H, W, 3), for the ranges of int8. None takes the first one that
            is painted.

    Raises:
        UserError: the file cannot be read, or takes or gives something else.
    """

    def __init__(self, engine: Engine, path: Path, row: Row, picture: Image | None = None) -> None:
        super().__init__(engine, path, THREADS["style"], "style")
        self._row, self._folding, self._is_folded = row, threading.Lock(), False
        if picture is not None:
            self._fold(picture)

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Compile for a shape; without a picture to measure the ranges on, do nothing."""
        if self._is_folded:
            super().prepare(shape)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Run on uint8 (N, H, W, 3) RGB."""
        self._fold(images[0])
        return super().__call__(images)

    def _fold(self, picture: Image) -> None:
        with self._folding:
            if not self._is_folded:
                ranges = range_meter(self._path)(self._row, picture)
                fold_constants(self._model, {ROW: self._row, RANGES: ranges})
                self._is_folded = True
