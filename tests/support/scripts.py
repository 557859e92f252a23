"""Scripts as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

CHECKS = Path(__file__).parents[2] / "scripts" / "checks"


def load_check(name: str) -> ModuleType:
    """Import a script of `scripts/checks` by its name."""
    spec = importlib.util.spec_from_file_location(name, CHECKS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
