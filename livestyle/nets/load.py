"""Load a network into an engine."""

from collections.abc import Callable

from livestyle.nets.card import Card
from livestyle.nets.engine import Engine, Net, choose_engine
from livestyle.nets.openvino_net import THREADS, OpenVinoNet
from livestyle.nets.torch_net import TorchNet


def load_on_cpu(engine: Engine, card: Card) -> Net:
    """Load a network into OpenVINO; into PyTorch where the user gave safetensors alone.

    Raises:
        UserError: PyTorch would be needed, and is not installed.
    """
    if any(name.endswith(".onnx") for name in card.files):
        return OpenVinoNet(engine, card.path(".onnx"), THREADS[card.kind], card.kind)
    return TorchNet(choose_engine("torch:cpu", engine.precision), card)


LOADERS: dict[str, Callable[[Engine, Card], Net]] = {"openvino": load_on_cpu, "torch": TorchNet}
