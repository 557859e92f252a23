"""Read the style of a picture in OpenVINO: the statistics of a loss network's maps become a row of numbers.

It computes what `architectures/style_rows.py` does in PyTorch, which trains it.
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.nets.openvino_net import import_openvino, openvino_core
from livestyle.nets.row_net import Row

READ_STAGES = 5  # of the loss network; the first map of each is read
Tensors = dict[str, NDArray[Any]]


def load_tensors(path: Path) -> Tensors:
    """Return the tensors of a safetensors file, as float32.

    Raises:
        UserError: it is none, or not whole.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path} is no safetensors file, or not whole.", "Install livestyle again.") from error


class PictureReader:
    """Predict rows from pictures.

    Args:
        network: file of the loss network, whose SHA-256 is verified; predictor: file of the predictor, as well.

    Raises:
        UserError: a file is damaged, or holds something else.
    """

    def __init__(self, network: Path, predictor: Path) -> None:
        try:
            self._weights = load_tensors(predictor)
            self._weights["rows.write.bias"], self._weights["rows.read.weight"]
            model = statistics_model(load_tensors(network))
        except KeyError:
            raise UserError(f"{predictor} does not hold a predictor of styles.", "Install livestyle again.") from None
        config = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        self._request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, picture: Image) -> Row:
        """Return the row of a picture, float32 (numbers,).

        Args:
            picture: uint8 (H, W, 3) RGB, as `style_reader.load_style_picture` returns it.
        """
        with self._lock:
            self._request.infer([np.ascontiguousarray(picture[None])])
            statistics = np.sqrt(np.maximum(self._request.get_output_tensor(0).data[0].astype(np.float32), 0))
        w = self._weights
        x = (statistics - w["rows.mean"]) / w["rows.deviation"]
        hidden = gelu(w["rows.read.weight"] @ x + w["rows.read.bias"])
        row: Row = (w["rows.write.weight"] @ hidden + w["rows.write.bias"]).astype(np.float32)
        return row


def gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Gaussian error linear unit (Hendrycks and Gimpel 2016)."""
    from math import erf

    return np.asarray(x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2))), np.float32)


def statistics_model(tensors: Tensors) -> Any:
    """Return an OpenVINO model from uint8 (1, H, W, 3) RGB to the means and deviations of a loss network's maps.

    Args:
        tensors: of the loss network, by name.

    Raises:
        KeyError: they are of another network.
    """
    ov = import_openvino()
    from openvino import opset13 as ops

    def convolve(x: Any, name: str, pad: int) -> Any:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"].reshape(1, -1, 1, 1)
        y = ops.convolution(x, ops.constant(weight), [1, 1], [pad, pad], [pad, pad], [1, 1])
        return ops.add(y, ops.constant(bias))

    images = ops.parameter([1, -1, -1, 3], np.uint8, name="images")
    rgb = ops.divide(ops.convert(images, np.float32), ops.constant(np.float32(255)))
    x, parts = convolve(ops.transpose(rgb, ops.constant([0, 3, 1, 2])), "colours", 0), []
    for stage in range(1, READ_STAGES + 1):
        if stage > 1:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2], "floor", "valid").output(0)
        weights = sorted(name for name in tensors if name.startswith(f"convs.{stage}_") and name.endswith(".weight"))
        for name in (weight.removesuffix(".weight") for weight in weights[: None if stage < READ_STAGES else 1]):
            x = ops.relu(convolve(x, name, 1))
            if name == f"convs.{stage}_1":
                parts += moments(x)
    return ov.Model([ops.concat(parts, 1)], [images], "statistics")


def moments(x: Any) -> list[Any]:
    """Return the nodes of a map's means and deviations over its pixels, (1, C) each."""
    from openvino import opset13 as ops

    axes, root = ops.constant([2, 3]), ops.constant(np.float32(0.5))
    mean = ops.reduce_mean(x, axes, keep_dims=True)
    rest = ops.subtract(x, mean)
    variance = ops.reduce_mean(ops.multiply(rest, rest), axes)
    return [ops.reduce_mean(x, axes), ops.power(variance, root)]
