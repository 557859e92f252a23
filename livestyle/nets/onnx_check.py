"""What an ONNX file holds, seen before any library allocates for it: read from the protocol buffer's own bytes.

The numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path

from livestyle.errors import UserError

LARGEST = 1 << 30  # bytes of a file
PARTS = 500_000  # fields that are looked at
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # ways to write a value
INSIDE = {  # by message: which of its fields are messages
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "inner graph", 10: "tensor", 11: "inner graph", 22: "sparse tensor", 23: "sparse tensor",
    },
}  # fmt: skip
INPUT, OPERATION, DOMAIN = 1, 4, 7  # fields of a node
# What a net may compute, and how many inputs that takes at least: readers rely on these to be there, and crash.
OPERATIONS = {
    name: least
    for least, names in {
        0: "Constant",
        1: """
            Abs ArgMax ArgMin AveragePool Cast Ceil Celu Clip Concat ConstantOfShape Cos DepthToSpace Elu Erf Exp
            Flatten Floor Gelu GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LeakyRelu Log
            LogSoftmax LRN Max MaxPool Mean Min Mish Neg Not Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean
            ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Resize Round Selu Shape Sigmoid Sign Sin Size
            Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sum Tanh Transpose
        """,
        2: """
            Add And Conv ConvTranspose CumSum DequantizeLinear Div Equal Expand Gather GatherElements GatherND Gemm
            Greater GreaterOrEqual GridSample LayerNormalization Less LessOrEqual MatMul Mod Mul Or Pad Pow PRelu
            QuantizeLinear Reshape Sub Tile Unsqueeze
        """,
        3: "InstanceNormalization Range ScatterND Slice Where",
        5: "BatchNormalization",
    }.items()
    for name in names.split()
}
REFUSED = ("function", "inner graph", "sparse tensor")  # livestyle writes none of them; loops are inner graphs
DIMS, TYPE, RAW, OUTSIDE, PLACE = 1, 2, 9, 13, 14  # fields of a tensor
TYPED = {4: 4, 5: 1, 6: 1, 7: 1, 10: 8, 11: 1}  # where its values are not raw: bytes of one at least
SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2, 21: 0.5, 22: 0.5}  # by type

Field = tuple[int, int, int, int]  # its number, its value where that is a varint, and where its bytes begin and end


def check_onnx(path: Path) -> None:
    """See that a file holds all that it needs, no more than it says, and computes without loops.

    Raises:
        UserError: it does not, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not 0 < path.stat().st_size <= LARGEST:
                raise ValueError("it is empty, or too large")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _check(data)
    except ValueError as error:
        raise UserError(f"{path} is not an ONNX net that can be read: {error}.", "Give another file.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Check its rights.") from None


def _check(data: mmap.mmap) -> None:
    waiting, parts, graphs = [("model", 0, len(data))], 0, 0
    while waiting:
        kind, start, end = waiting.pop()
        found = list(fields_of(data, start, end))
        parts, graphs = parts + len(found), graphs + (kind == "graph")
        if parts > PARTS:
            raise ValueError("it has too many parts")
        if kind == "tensor":
            _check_tensor(data, found)
            continue
        for number, _, begin, stop in found:
            inner = INSIDE[kind].get(number)
            if inner in REFUSED:
                raise ValueError(f"it holds a {inner}")
            if inner == "node":
                _check_node(data, begin, stop)
            if inner:
                waiting.append((inner, begin, stop))
    if graphs != 1:
        raise ValueError("it holds no net")


def _check_node(data: mmap.mmap, start: int, end: int) -> None:
    """See that a node's operation is a known one, and that it has the inputs which that takes."""
    inputs, operation = list[bool](), ""
    for number, _, begin, stop in fields_of(data, start, end):
        if number == INPUT:
            inputs.append(stop > begin)  # without a name it is left out
        elif number == OPERATION:
            operation = data[begin:stop].decode("ascii", "replace")
        elif number == DOMAIN and stop > begin and data[begin:stop] != b"ai.onnx":
            raise ValueError("it holds an operation of another kind than ONNX's own")
    least = OPERATIONS.get(operation)
    if least is None:
        raise ValueError(f"it holds an operation that no net here needs, '{operation if operation.isalnum() else '?'}'")
    if len(inputs) < least or not all(inputs[:least]):
        raise ValueError(f"its operation '{operation}' lacks an input")


def _check_tensor(data: mmap.mmap, found: list[Field]) -> None:
    """See that a tensor's values are all there, and as many as its shape says."""
    dims: list[int] = []
    kind, held, raw = 0, 0, -1
    for number, value, begin, stop in found:
        if number == OUTSIDE or (number == PLACE and value):
            raise ValueError("it wants to read another file")
        if number == DIMS:
            dims += [value] if begin == stop else varints(data, begin, stop)
        elif number == TYPE:
            kind = value
        elif number == RAW:
            raw = stop - begin
        elif number in TYPED:
            held += max(1, (stop - begin) // TYPED[number])
    if kind not in SIZES or any(dim >> 40 for dim in dims):  # negative ones are large in a varint
        raise ValueError("it holds a tensor of no known kind")
    wanted = prod(dims)
    if raw != -(-wanted * SIZES[kind] // 1) if raw >= 0 else wanted > held:
        raise ValueError("a tensor's values are not as many as its shape says")


def fields_of(data: mmap.mmap, start: int, end: int) -> Iterator[Field]:
    """The fields of a message.

    Raises:
        ValueError: it is cut short, or no message.
    """
    while start < end:
        tag, start = varint(data, start, end)
        number, way = tag >> 3, tag & 7
        value, begin = 0, start
        if way == VARINT:
            value, start = varint(data, start, end)
            begin = start
        elif way == BYTES:
            length, begin = varint(data, start, end)
            start = begin + length
        elif way in (EIGHT, FOUR):
            start += 8 if way == EIGHT else 4
        else:
            raise ValueError("it is damaged")
        if start > end or not number:
            raise ValueError("it is damaged")
        yield number, value, begin, start


def varint(data: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for at in range(start, min(end, start + 10)):
        value |= (data[at] & 0x7F) << 7 * (at - start)
        if data[at] < 0x80:
            return value, at + 1
    raise ValueError("it is damaged")


def varints(data: mmap.mmap, start: int, end: int) -> list[int]:
    """Numbers one behind the other."""
    found = []
    while start < end:
        value, start = varint(data, start, end)
        found.append(value)
    return found
