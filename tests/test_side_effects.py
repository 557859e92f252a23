"""Importing livestyle changes nothing that the whole process shares."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import livestyle

PACKAGE = Path(livestyle.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
CHECK = """
import importlib, json, os, signal, sys, threading, warnings

def state():
    cv2, pil, torch = (sys.modules.get(name) for name in ("cv2", "PIL.Image", "torch"))
    return {
        "environment": dict(os.environ),
        "hidden modules": sorted(name for name, module in sys.modules.items() if module is None),
        "warnings": [str(one) for one in warnings.filters],
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "threads": threading.active_count(),
        "OpenCV's threads": cv2 and cv2.getNumThreads(),
        "Pillow's limit": pil and pil.MAX_IMAGE_PIXELS,
        "PyTorch's threads": torch and torch.get_num_threads(),
    }

libraries, rooms = json.loads(sys.argv[1])
for name in libraries:  # their own effects are not livestyle's
    try:
        importlib.import_module(name)
    except ImportError:
        pass
changes = {}
for room, modules in rooms.items():
    before = state()
    for name in modules:
        importlib.import_module(name)
    after = state()
    changes[room] = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
print(json.dumps(changes))
"""


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def libraries_of(file: Path) -> set[str]:
    """Return the modules of others that are imported when a file is."""
    found = set[str]()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] not in {"livestyle", *sys.stdlib_module_names}}


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0]


@pytest.fixture(scope="module")
def changes() -> dict[str, dict[str, object]]:
    """What the import of each room changed, after the rooms before it."""
    rooms: dict[str, list[str]] = {}
    for file in FILES:
        rooms.setdefault(room_of(file), []).append(module_of(file))
    arguments = json.dumps([sorted(set().union(*map(libraries_of, FILES))), rooms])
    done = subprocess.run([sys.executable, "-c", CHECK, arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("room", sorted(set(map(room_of, FILES))))
def test_an_import_changes_nothing_of_the_process(room: str, changes: dict[str, dict[str, object]]) -> None:
    assert changes[room] == {}
