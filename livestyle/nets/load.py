"""Load a network into an engine."""

from collections.abc import Callable

from livestyle.image.types import Image
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine, Net, choose_engine
from livestyle.nets.openvino_net import THREADS, OpenVinoNet
from livestyle.nets.row_net import Row, RowNet, range_meter
from livestyle.nets.torch_net import TorchNet


def load_on_cpu(engine: Engine, card: Card) -> Net:
    """Load a network into OpenVINO; into PyTorch where the user gave safetensors alone.

    Raises:
        UserError: PyTorch would be needed, and is not installed.
    """
    if any(name.endswith(".onnx") for name in card.files):
        return OpenVinoNet(engine, card.path(".onnx"), THREADS[card.kind], card.kind)
    return TorchNet(choose_engine("torch:cpu", engine.precision), card)


def load_row(engine: Engine, card: Card, row: Row, picture: Image | None = None) -> Net:
    """Load the network of all pictures in the style of a row.

    Args:
        engine: that runs it; card: of the predictor; row: of the style.
        picture: such as the style will paint, uint8 (H, W, 3); see `RowNet`.

    Raises:
        UserError: a file is missing or damaged.
    """
    if engine.name == "openvino":
        return RowNet(engine, card.path(".onnx"), row, picture)
    return TorchNet(engine, card, row)


def prepare_rows(engine: Engine, card: Card) -> None:
    """Load what `load_row` needs once.

    Args:
        engine: that runs the network; card: of the predictor.
    """
    if engine.name == "openvino":
        range_meter(card.path(".onnx"))


LOADERS: dict[str, Callable[[Engine, Card], Net]] = {"openvino": load_on_cpu, "torch": TorchNet}
