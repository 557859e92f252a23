"""A process that pretends to make a style better, by a mode, for tests: `python better.py MODE`."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

FRAME_BYTES = 64 * 48 * 3


def say(**facts: Any) -> None:
    print(json.dumps({"seconds": 1.0, "images": 4, "loss": 2.0, "start_loss": 2.0, "saved": None, **facts}), flush=True)


def save(order: dict[str, Any], loss: float) -> None:
    """Write a network, and say so."""
    net = Path(os.environ["TEST_NET"])
    saved = Path(order["folder"]) / f"{order['name']}.onnx"
    for suffix in (".onnx", ".safetensors"):
        part = saved.with_suffix(".part")
        shutil.copyfile(net.with_suffix(suffix), part)
        part.replace(saved.with_suffix(suffix))
    say(seconds=12.0, loss=loss, saved=str(saved))


def main(mode: str) -> int:
    order = json.loads(sys.stdin.buffer.readline())
    read = len(sys.stdin.buffer.read(order["frames"] * FRAME_BYTES)) / FRAME_BYTES
    say(images=read)
    if mode == "good":
        save(order, 1.8)
        save(order, 1.5)
        say(images=read, loss=1.5)
    elif mode == "worse":
        save(order, 1.9)
    elif mode in ("crash", "late"):
        say(seconds=31.0 if mode == "late" else 2.0)
        print("Traceback\nit fell over", file=sys.stderr)
        return 3
    elif mode == "nonsense":
        print('{"seconds": "many"}', flush=True)
    elif mode == "problem":
        print('{"problem": "The picture is gone.", "step": ""}', flush=True)
    elif mode == "broken":
        say(saved=str(Path(order["folder"]) / "not_there.onnx"))
    sys.stdin.buffer.read()  # until the parent is gone, or ends it
    if "TEST_GONE" in os.environ:
        Path(os.environ["TEST_GONE"]).write_text("gone")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
