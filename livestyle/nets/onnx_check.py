"""Check an ONNX file before any library allocates memory for it, from the bytes of the protocol buffer.

The numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path

from livestyle.errors import UserError

MAX_FILE_BYTES = 1 << 30
MAX_FIELDS = 500_000  # that are read
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types of a field
SUBMESSAGES = {  # by message: its fields that are messages
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "inner graph", 10: "tensor", 11: "inner graph", 22: "sparse tensor", 23: "sparse tensor",
    },
}  # fmt: skip
INPUT, OPERATION, DOMAIN = 1, 4, 7  # fields of a node
# The operations of a network, and their least number of inputs. Without these inputs, readers crash.
MIN_INPUTS = {
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
REFUSED = ("function", "inner graph", "sparse tensor")  # livestyle writes none of them; a loop is an inner graph
DIMS, DATA_TYPE, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 9, 13, 14  # fields of a tensor
VALUE_FIELD_BYTES = {4: 4, 5: 1, 6: 1, 7: 1, 10: 8, 11: 1}  # least bytes of a value, by its field of a tensor
TYPE_BYTES = {  # of a raw value, by data type
    1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2, 21: 0.5, 22: 0.5,
}  # fmt: skip

Field = tuple[int, int, int, int]  # number, value of a varint, and begin and end of the bytes


def check_onnx(path: Path) -> None:
    """Check that a file is complete, holds no more than it says, and has no loops.

    Raises:
        UserError: it does not pass, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not 0 < path.stat().st_size <= MAX_FILE_BYTES:
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
        if parts > MAX_FIELDS:
            raise ValueError("it has too many parts")
        if kind == "tensor":
            _check_tensor(data, found)
            continue
        for number, _, begin, stop in found:
            inner = SUBMESSAGES[kind].get(number)
            if inner in REFUSED:
                raise ValueError(f"it holds a {inner}")
            if inner == "node":
                _check_node(data, begin, stop)
            if inner:
                waiting.append((inner, begin, stop))
    if graphs != 1:
        raise ValueError("it holds no net")


def _check_node(data: mmap.mmap, start: int, end: int) -> None:
    """Check that a node's operation is known, and has the inputs that it needs."""
    inputs, operation = list[bool](), ""
    for number, _, begin, stop in fields_of(data, start, end):
        if number == INPUT:
            inputs.append(stop > begin)  # an input without a name is left out
        elif number == OPERATION:
            operation = data[begin:stop].decode("ascii", "replace")
        elif number == DOMAIN and stop > begin and data[begin:stop] != b"ai.onnx":
            raise ValueError("it holds an operation of another kind than ONNX's own")
    least = MIN_INPUTS.get(operation)
    if least is None:
        raise ValueError(f"it holds an operation that no net here needs, '{operation if operation.isalnum() else '?'}'")
    if len(inputs) < least or not all(inputs[:least]):
        raise ValueError(f"its operation '{operation}' lacks an input")


def _check_tensor(data: mmap.mmap, found: list[Field]) -> None:
    """Check that a tensor's values are in the file, and as many as its shape says."""
    dims: list[int] = []
    kind, held, raw = 0, 0, -1
    for number, value, begin, stop in found:
        if number == EXTERNAL_DATA or (number == DATA_LOCATION and value):
            raise ValueError("it wants to read another file")
        if number == DIMS:
            dims += [value] if begin == stop else varints(data, begin, stop)
        elif number == DATA_TYPE:
            kind = value
        elif number == RAW_DATA:
            raw = stop - begin
        elif number in VALUE_FIELD_BYTES:
            held += max(1, (stop - begin) // VALUE_FIELD_BYTES[number])
    if kind not in TYPE_BYTES or any(dim >> 40 for dim in dims):  # negative dimensions are large varints
        raise ValueError("it holds a tensor of no known kind")
    wanted = prod(dims)
    if raw != -(-wanted * TYPE_BYTES[kind] // 1) if raw >= 0 else wanted > held:
        raise ValueError("a tensor's values are not as many as its shape says")


def fields_of(data: mmap.mmap, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message.

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
        elif way == LENGTH_DELIMITED:
            length, begin = varint(data, start, end)
            start = begin + length
        elif way in (FIXED64, FIXED32):
            start += 8 if way == FIXED64 else 4
        else:
            raise ValueError("it is damaged")
        if start > end or not number:
            raise ValueError("it is damaged")
        yield number, value, begin, start


def varint(data: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """Return a number, and where it ends."""
    value = 0
    for at in range(start, min(end, start + 10)):
        value |= (data[at] & 0x7F) << 7 * (at - start)
        if data[at] < 0x80:
            return value, at + 1
    raise ValueError("it is damaged")


def varints(data: mmap.mmap, start: int, end: int) -> list[int]:
    """Return packed numbers."""
    found = []
    while start < end:
        value, start = varint(data, start, end)
        found.append(value)
    return found
