"""What the networks share: a convolution whose norm folds away."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Border = Literal["zeros", "reflect"]


class ConvNorm(nn.Module):
    """Convolution, norm, activation. `fold` merges a batch norm into the convolution.

    Args:
        cin, cout: channels; size: of the kernel; stride, dilation, groups: as of `nn.Conv2d`.
        norm: makes a norm of channels; act: the activation, None for none; border: of the padding.
    """

    def __init__(
        self, cin: int, cout: int, size: int, stride: int = 1, *, dilation: int = 1, groups: int = 1,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d, act: type[nn.Module] | None = nn.ReLU,
        border: Border = "zeros",
    ) -> None:  # fmt: skip
        super().__init__()
        padding = dilation * (size // 2) if size % 2 else 0  # even sizes divide the map into patches
        self.conv = nn.Conv2d(cin, cout, size, stride, padding, dilation, groups, bias=False, padding_mode=border)
        self.norm = norm(cout)
        self.act = act() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.norm(self._convolve(x)))
        return y

    def _convolve(self, x: Tensor) -> Tensor:
        slow = self.training and x.device.type == "cpu" and self.conv.groups > 1 and self.conv.stride[0] > 1
        if not slow:
            return self.conv(x)  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):  # oneDNN takes ten times longer for its gradient in bfloat16
            return self.conv(x.float()).to(x.dtype)  # type: ignore[no-any-return]

    def fold(self) -> None:
        """Merge the norm into the convolution, with its running statistics. Do nothing the second time."""
        norm = self.norm
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            self.conv.weight, self.conv.bias = fuse_conv_bn_weights(
                self.conv.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            self.norm = nn.Identity()


def fold(net: nn.Module) -> nn.Module:
    """Return the same network in eval mode, with every batch norm folded into its convolution."""
    for module in net.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return net.eval()
