"""Networks in PyTorch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine


class TorchNet:
    """A shipped network in PyTorch, in half precision on a GPU, in float32 on a CPU or where asked for.

    Args:
        engine: gives device and precision; card: of the network.
        row: of the style, where the card is that of a predictor; float32 (numbers,).

    Attributes:
        module: the network.

    Raises:
        UserError: the file is missing, damaged or of another network.
    """

    def __init__(self, engine: Engine, card: Card, row: NDArray[np.float32] | None = None) -> None:
        import torch
        from safetensors import SafetensorError

        from livestyle.nets.export.shipped import load_shipped, load_styled

        self._torch, self._device = torch, torch.device(engine.device)
        half = engine.precision != "float32" and self._device.type != "cpu"
        path = card.path(".safetensors")
        try:
            net = load_shipped(card.net, card.kind, path, card.width) if row is None else load_styled(path, row)
        except (RuntimeError, KeyError, SafetensorError):
            raise UserError(f"{path} does not hold a {card.net} net.", "Make it with: livestyle train style") from None
        dtype = torch.float16 if half else torch.float32
        self.module = net.to(self._device, dtype).to(memory_format=torch.channels_last)

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Do nothing: nothing is compiled."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Run on uint8 (N, H, W, 3) RGB."""
        torch = self._torch
        with torch.inference_mode():
            result: NDArray[Any] = self.module(torch.from_numpy(images).to(self._device)).cpu().numpy()
        return result
