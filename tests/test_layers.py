"""Imports go strictly downward, and heavy ones stay out of the way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import livestyle

PACKAGE = Path(livestyle.__file__).parent
LAYERS = (
    {"__main__"},
    {"cli"},
    {"cli_config", "cli_ctl", "cli_jobs"},
    {"console", "completion"},
    {"bundle", "cost"},
    {"follow", "bench", "doctor", "evaluate", "evaluate_style", "leak", "sheets", "stills", "paint_in"},
    {"live", "studio", "train", "config"},
    {"guard"},
    {"preview"},
    {"easel", "memory", "deck", "control", "flame"},
    {"filter", "album", "recipe", "naive", "charts", "recording", "queued", "peak"},
    {"ondevice"},
    {"masked", "options", "remote", "planes", "tensors"},
    {"segment", "stylize", "gatys", "look"},
    {"segmenters", "crf", "matting", "loss_network", "encoded"},
    {"engine"},
    {"sources", "sinks", "weights", "nets", "steady", "unfinished", "jobs"},
    {"overlay", "canvas", "sound"},
    {"faults", "light", "blending", "bokeh", "composites", "metrics", "region", "painter", "paintings", "loss_curve"},
    {"image", "cores", "loopback", "autoquality"},
    {"files", "onnx_file"},
    {"errors", "settings", "toml_text", "devices", "v4l2", "meter"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(module: str) -> str:
    """The module or package right below livestyle."""
    return module.removeprefix("livestyle").lstrip(".").split(".")[0]


def imports(file: Path) -> set[str]:
    """The parts of livestyle that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "livestyle":
            names = {part_of(node.module)} if node.module != "livestyle" else {alias.name for alias in node.names}
            found |= names
        elif isinstance(node, ast.Import):
            found |= {part_of(alias.name) for alias in node.names if alias.name.startswith("livestyle.")}
    return {name for name in found if name in LEVEL}


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        assert not imports(file)
        return
    assert own in LEVEL, f"{own} has no layer"
    for other in imports(file) - {own}:
        assert LEVEL[other] > LEVEL[own], f"{own} imports {other}, which is not below it"


def test_the_docstring_shows_the_layers() -> None:
    shown = [set(line.split()) for line in (livestyle.__doc__ or "").splitlines() if line.startswith("    ")]
    assert [set(layer) for layer in LAYERS[1:]] == shown


@pytest.mark.parametrize(
    ("code", "kept_out"),
    [
        ("from livestyle import cli", ("numpy", "cv2", "torch", "openvino", "av")),
        ("from livestyle.engine import import_openvino; import_openvino()", ("openvino_telemetry.main", "torch")),
        ("from livestyle import live, stills, bench, doctor", ("torch", "mediapipe", "pyvirtualcam")),
    ],
)
def test_heavy_imports_stay_out(code: str, kept_out: tuple[str, ...]) -> None:
    check = f"import sys; {code}; print([m for m in {kept_out!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
