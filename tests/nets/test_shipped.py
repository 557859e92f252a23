"""Shipped files say nothing of the machine that made them."""

import re
from pathlib import Path
from typing import Any

import pytest

MODELS = Path(__file__).parents[2] / "models"
FILES = sorted(file for file in MODELS.rglob("*") if file.suffix in (".onnx", ".safetensors"))
PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]{8,}")  # shorter runs are numbers by chance
OF_A_MACHINE = re.compile(rb'site-packages|\w{3,}\.pyc?\b|File "|Traceback|/(home|root|tmp|usr|opt|Users)/|:\\Users\\')
CLEARED = ("metadata_props", "doc_string", "producer_name", "producer_version")


def assert_silent(file: Path) -> None:
    """Assert that no text in a file names a place, and that an ONNX file has no metadata and no doc strings."""
    for text in PRINTABLE.findall(file.read_bytes()):
        assert not OF_A_MACHINE.search(text), text
    if file.suffix == ".onnx":
        import onnx

        model = onnx.load(file)
        for tensor in model.graph.initializer:
            tensor.ClearField("raw_data")
        assert not noted(model)


def noted(model: Any) -> list[str]:
    """Return the fields of CLEARED that hold something somewhere in an ONNX model."""
    return [field for field in CLEARED if re.search(rf"\b{field}(:| {{)", str(model))]


def documented() -> Any:
    """Return a model with metadata and doc strings wherever ONNX has room for them."""
    from onnx import TensorProto, helper

    def note(message: Any) -> Any:
        if hasattr(message, "metadata_props"):
            helper.set_model_props(message, {"pkg.torch.onnx.stack_trace": 'File "/home/me/net.py", line 1'})
        message.doc_string = "made in /home/me"
        return message

    def value(name: str) -> Any:
        return note(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))

    def branch(name: str) -> Any:
        tensor = note(helper.make_tensor(f"{name}_held", TensorProto.FLOAT, [1], [1.0]))
        node = note(helper.make_node("Constant", [], [name], value=tensor))
        return note(helper.make_graph([node], name, [], [value(name)], [tensor]))

    choice = note(helper.make_node("If", ["on"], ["y"], then_branch=branch("yes"), else_branch=branch("no")))
    note(choice.attribute[0])
    call = note(helper.make_node("same", ["y"], ["z"], domain="own"))
    inner = note(helper.make_node("Identity", ["a"], ["b"]))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    function = note(helper.make_function("own", "same", ["a"], ["b"], [inner], opsets, value_info=[value("b")]))
    on = note(helper.make_tensor_value_info("on", TensorProto.BOOL, []))
    graph = note(helper.make_graph([choice, call], "g", [on], [value("z")], value_info=[value("y")]))
    return note(helper.make_model(
        graph, functions=[function], opset_imports=opsets, ir_version=10, producer_name="pytorch", producer_version="2"
    ))  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_file_says_nothing_of_where_it_was_made(file: Path) -> None:
    assert_silent(file)


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix == ".safetensors"], ids=lambda file: file.name)
def test_a_header_says_the_kind_and_the_net_alone(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, "np") as opened:
        assert set(opened.metadata() or {}) <= {"kind", "net"}


def test_every_kind_of_model_is_looked_at() -> None:
    assert {file.parents[1].name for file in FILES} == {
        "any_picture",
        "loss-networks",
        "predictors",
        "segmenters",
        "styles",
    }


@pytest.mark.parametrize("kind", ["segmenter", "style"])
def test_a_fresh_export_says_nothing_of_where_it_was_made(kind: str, tmp_path: Path) -> None:
    """A segmenter goes through the exporter of PyTorch; the graph of a style is our own."""
    import torch

    from livestyle.nets.architectures.transform import SlimNet
    from livestyle.nets.export.shipped import Shipped, export_onnx, ship

    torch.manual_seed(0)
    if kind == "segmenter":
        export_onnx(Shipped(torch.nn.Conv2d(3, 1, 1), kind), tmp_path / "net.onnx", 4)
        written = [tmp_path / "net.onnx"]
    else:
        written = ship(SlimNet(), kind, tmp_path, "net", arch="slim")
    for file in written:
        assert_silent(file)


def test_strip_reaches_every_depth_and_keeps_the_rest() -> None:
    import numpy as np
    from onnx import checker
    from onnx.reference import ReferenceEvaluator

    from livestyle.nets.export.shipped import strip

    model = documented()
    assert noted(model) == list(CLEARED)
    inputs = {"on": np.array(True)}
    before = ReferenceEvaluator(model).run(None, inputs)
    strip(model)
    assert not noted(model)
    checker.check_model(model)
    np.testing.assert_array_equal(ReferenceEvaluator(model).run(None, inputs), before)
