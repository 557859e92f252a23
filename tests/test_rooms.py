"""Imports go strictly downward between rooms, siblings do not know one another, and heavy ones stay out of the way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import livestyle

PACKAGE = Path(livestyle.__file__).parent
GROUND = ("config", "files", "errors", "types")
ROOMS = {  # what each may import, besides itself
    "__init__": ("live", "video", "image", "config", "errors"),  # when its names are first used
    "__main__": ("cli", "live", "errors"),
    "types": (),
    "errors": (),
    "files": ("errors",),
    "config": ("files", "errors", "types"),
    "image": GROUND,
    "video": ("image", *GROUND),
    "nets": ("image", *GROUND),
    "matting": ("nets", "image", *GROUND),
    "render": ("matting", "nets", "video", "image", *GROUND),
    "live": ("render", "matting", "nets", "video", "image", *GROUND),
    "stills": ("render", "matting", "nets", "video", "image", *GROUND),
    "train": ("stills", "render", "matting", "nets", "video", "image", *GROUND),
    "evaluate": ("stills", "live", "render", "matting", "nets", "video", "image", *GROUND),
    "cli": ("evaluate", "train", "stills", "live", "render", "matting", "nets", "video", "image", *GROUND),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """The room of a module, or of a name that `livestyle` itself gives."""
    return module.split(".")[1]


def imports(file: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "livestyle":
            names = [node.module] if "." in node.module else [f"livestyle.{alias.name}" for alias in node.names]
            found |= {room_of(name) for name in names}
        elif isinstance(node, ast.Import):
            found |= {room_of(alias.name) for alias in node.names if alias.name.startswith("livestyle.")}
    return {room for room in found if room in ROOMS}


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert imports(file) - {own} <= set(ROOMS[own])


def test_a_newcomer_sees_few_entries() -> None:
    shown = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(shown) <= 20
    assert {name.removesuffix(".py") for name in shown} - {"demo.mp4", "py.typed", "models"} == set(ROOMS)


def test_modules_and_functions_are_short() -> None:
    long = []
    for file in FILES:
        text = file.read_text("utf-8")
        long += [f"{file.relative_to(PACKAGE)}"] if text.count("\n") > 400 else []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60:
                long.append(f"{file.relative_to(PACKAGE)}: {node.name}")
    assert not long


@pytest.mark.parametrize(
    ("code", "kept_out"),
    [
        ("import livestyle", ("numpy", "cv2", "torch", "openvino", "av", "typer", "rich")),
        ("from livestyle.cli import main", ("numpy", "cv2", "torch", "openvino", "av")),
        (
            "from livestyle.nets.openvino_net import import_openvino; import_openvino()",
            ("openvino_telemetry.main", "torch"),
        ),
        (
            "from livestyle.live import driver; from livestyle.stills import batch; "
            "from livestyle.evaluate.speed import bench; from livestyle.cli import doctor",
            ("torch", "mediapipe", "pyvirtualcam"),
        ),
    ],
)
def test_heavy_imports_stay_out(code: str, kept_out: tuple[str, ...]) -> None:
    check = f"import sys; {code}; print([m for m in {kept_out!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
