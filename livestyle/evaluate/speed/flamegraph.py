"""Where the CPU time of a run goes: sampled calls of every thread, down to the layers of the networks, as a flame
graph.

Samplers from outside (py-spy, perf) see either Python's calls or native ones, and no layer of a network. Here each
sample counts for the CPU time that its thread spent since the last one. So waiting counts for nothing, and native code
counts for the line that called it. The time inside a network is divided as OpenVINO's own counters divide it.
"""

import linecache
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import livestyle
from livestyle.errors import UserError
from livestyle.evaluate.speed.roofline import NetRun, read_graph
from livestyle.files import atomic_write, check_target
from livestyle.nets.openvino_net import openvino_core

SAMPLE_INTERVAL_S = 0.001
PACKAGE = str(Path(livestyle.__file__).parent)
THREADS_FOLDER = Path("/proc/self/task")
DRIVER = ("driver.Session.run", "driver.run")  # as Python 3.11 and 3.10 name it; its callers are left out
NATIVE, WAITING = "threads of libraries", "threads that wait"
NET = "OpenVINO"
LAYER_RUNS = 8
WIDTH_PX, ROW_PX, LETTER_PX, MIN_BOX_PX = 1200, 18, 5.9, 0.3  # of the picture, a row, a letter, the narrowest box
PALETTE = (  # the colour of a box, by a part of its label
    ("I8", "#c8553d"), ("i8", "#c8553d"), (NET, "#e07a5f"), ("avx", "#f2a07b"), ("cv2.", "#2a6f97"), ("np.", "#61a5c2"),
    (" of ", "#f6c8b0"), (NATIVE, "#8d99ae"), (WAITING, "#8d99ae"),
)  # fmt: skip

Stack = tuple[str, ...]  # labels of calls, from the outside in
Costs = Mapping[Stack, float]  # CPU time in seconds


def check_flame(path: Path) -> None:
    """Check, before the work, that a flame graph can be drawn.

    Raises:
        UserError: the system does not give the CPU time of threads, or the file cannot be written.
    """
    if not (THREADS_FOLDER / str(threading.get_native_id()) / "schedstat").exists():
        raise UserError("This system does not tell what each thread spends.", "Profile on Linux.")
    if path.suffix.lower() != ".svg":
        raise UserError(f"{path} is no name of an SVG.", "End it in .svg.")
    check_target(path)


class Sampler:
    """Sample the stacks of this process's threads, inside `with`.

    Attributes:
        costs: the CPU time of each stack, in seconds.
    """

    def __init__(self) -> None:
        self.costs: dict[Stack, float] = defaultdict(float)
        self._last: dict[int, tuple[float, Stack]] = {}  # by thread: its CPU time and stack at the last sample
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            frames, idents = sys._current_frames(), {t.native_id: t.ident for t in threading.enumerate()}
            now = cpu_by_thread()
            now.pop(self._thread.native_id or 0, None)
            found = {thread: frames.get(idents.get(thread) or 0) for thread in now}
            self.note(now, {thread: stack_of(frame) if frame else (NATIVE,) for thread, frame in found.items()})

    def note(self, spent: Mapping[int, float], stacks: Mapping[int, Stack]) -> None:
        """Take one sample.

        A thread that waits now has spent its time on its last stack.

        Args:
            spent: seconds of CPU time of each thread so far; stacks: of each thread.
        """
        for thread, stack in stacks.items():
            before, last = self._last.get(thread, (spent[thread], stack))
            self.costs[last if stack == (WAITING,) else stack] += spent[thread] - before
            self._last[thread] = spent[thread], stack


def cpu_by_thread() -> dict[int, float]:
    """Return the CPU time of each thread of this process so far, in seconds."""
    found = {}
    for task in THREADS_FOLDER.iterdir():
        try:
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
        except (OSError, IndexError):  # it has ended
            continue
    return found


def stack_of(frame: FrameType) -> Stack:
    """Return this package's functions from the outside in, then the running line; for a network, NET."""
    calls: list[str] = []
    line, current = "", frame
    while True:
        code = current.f_code
        if f"{os.sep}openvino{os.sep}" in code.co_filename:
            calls, line = [NET], ""
        elif code.co_filename.startswith(PACKAGE):
            name = getattr(code, "co_qualname", code.co_name).replace("<locals>.", "")
            calls.append(f"{Path(code.co_filename).stem}.{name}")
            if calls[-1] in DRIVER:
                break
            if not line and NET not in calls:
                line = linecache.getline(code.co_filename, current.f_lineno).strip()
        if current.f_back is None:
            break
        current = current.f_back
    return (*reversed(calls), line) if line else tuple(reversed(calls)) or (WAITING,)


def with_layers(costs: Costs, works: Sequence[NetRun]) -> Costs:
    """Return the costs, where those of networks are divided among their layers.

    Args:
        costs: of stacks; works: the networks.
    """
    shares = {kind: layer_shares([work for work in works if work.card.kind == kind]) for kind in ("segmenter", "style")}
    found: dict[Stack, float] = defaultdict(float)
    for stack, seconds in costs.items():
        if "flamegraph.Sampler.__exit__" in stack:
            continue
        if stack[-1] != NET:
            found[stack] += seconds
            continue
        kind = "segmenter" if any("matt" in call.lower() or "segment" in call for call in stack) else "style"
        for layer, share in shares[kind].items() or [((), 1.0)]:
            found[(*stack, *layer)] += seconds * share
    return found


def layer_shares(works: Sequence[NetRun]) -> dict[Stack, float]:
    """Return the share of each layer in the networks' time, by kind of layer and name."""
    spent: dict[Stack, float] = defaultdict(float)
    for work in works:
        config = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": True}
        compiled = openvino_core().compile_model(read_graph(work.card, work.picture.shape), "CPU", config)
        request = compiled.create_infer_request()
        for _ in range(LAYER_RUNS):
            request.infer([work.picture], share_inputs=True)
            for layer in request.profiling_info:
                name = f"{layer.node_type} {layer.exec_type}"
                spent[name, f"{layer.node_name} of {work.card.name}"] += layer.real_time.total_seconds()
    total = sum(spent.values())
    return {layer: seconds / total for layer, seconds in spent.items() if seconds} if total else {}


def costliest(costs: Costs, frames: int, rows: int = 15) -> list[dict[str, Any]]:
    """Return what takes the most CPU time by itself: functions of this package, and kinds of layers.

    Args:
        costs: of stacks; frames: that were filtered; rows: how many.
    """
    alone: dict[str, float] = defaultdict(float)
    for stack, seconds in costs.items():
        alone[stack[stack.index(NET) + 1] if NET in stack[:-1] else owner(stack)] += seconds
    total = sum(alone.values()) or 1.0
    longest = sorted(alone.items(), key=lambda item: -item[1])[:rows]
    ms = 1000 / max(1, frames)
    return [{"name": name, "ms_per_frame": round(ms * seconds, 3), "share": round(seconds / total, 4)}
            for name, seconds in longest]  # fmt: skip


def owner(stack: Stack) -> str:
    """Return the function that contains the line of a stack."""
    return stack[-2] if len(stack) > 1 and stack[-1] != NET else stack[-1]


def draw_flame(costs: Costs, frames: int, path: Path) -> None:
    """Draw each call as wide as its CPU time, with the calls that it made above it, as an SVG.

    Args:
        costs: of stacks; frames: that were filtered; path: of the SVG.

    Raises:
        UserError: the file cannot be written.
    """
    total = sum(costs.values()) or 1.0
    boxes = list(lay_out(sorted(costs.items()), 0, 0.0, WIDTH_PX / total))
    height = ROW_PX * (2 + max((depth for depth, *_ in boxes), default=0) + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" width="{WIDTH_PX}" '
        f'height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH_PX}" height="{height}" fill="white"/>',
        f'<text x="4" y="13" font-size="13">CPU time of a frame: {1000 * total / max(1, frames):.1f} ms</text>',
    ]
    for depth, left, width, words in boxes:
        top = height - ROW_PX * (depth + 1)
        title = f"{words}: {1000 * width * total / WIDTH_PX / max(1, frames):.2f} ms, {width / WIDTH_PX:.1%}"
        label = words if len(words) * LETTER_PX < width - 4 else words[: max(0, int((width - 10) / LETTER_PX))] + "…"
        lines.append(
            f'<g><title>{escape(title)}</title><rect x="{left:.2f}" y="{top}" width="{max(width - 0.4, 0.1):.2f}" '
            f'height="{ROW_PX - 1}" rx="2" fill="{color_of(words)}"/>'
            + (f'<text x="{left + 3:.2f}" y="{top + 12}">{escape(label)}</text>' if width > 30 else "") + "</g>"
        )  # fmt: skip
    with atomic_write(path) as part:
        part.write_text("\n".join([*lines, "</svg>\n"]), "utf-8")


def lay_out(
    rows: Sequence[tuple[Stack, float]], depth: int, left: float, scale: float
) -> Iterator[tuple[int, float, float, str]]:
    """Yield depth, left edge, width and label of each box.

    Args:
        rows: sorted stacks that are equal below `depth`; left: of the first; scale: pixels per second.
    """
    groups: dict[str, list[tuple[Stack, float]]] = {}
    for stack, seconds in rows:
        if len(stack) > depth:
            groups.setdefault(stack[depth], []).append((stack, seconds))
    for words, group in groups.items():
        width = scale * sum(seconds for _, seconds in group)
        if width >= MIN_BOX_PX:
            yield depth, left, width, words
            yield from lay_out(group, depth + 1, left, scale)
        left += width


def color_of(words: str) -> str:
    """Return the colour of a box."""
    return next((color for sign, color in PALETTE if sign in words), "#e9c46a")
