"""Parsers fed with broken input: python scripts/fuzz.py PARSER [--minutes 10] [--found DIR]

Inputs of tests/corpus/PARSER are changed at random, and so are those that reached new lines of Python, for as long as
asked. A child process parses them, its memory limited, its time watched: so crashes and hangs of native decoders are
seen, too. Whatever is neither parsed nor refused by a UserError is kept in DIR; the exit code is then 1.
`--replay` parses the files of the corpus alone, as the tests do.
"""

import argparse
import itertools
import json
import os
import random
import selectors
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(os.environ.get("FUZZ_CORPUS") or Path(__file__).parents[2] / "tests" / "corpus")
MEMORY = 3 << 30  # bytes of addresses that a parser may take beyond what it has once all is imported
BUSY, STUCK = 20.0, 120.0  # seconds of the processor, and of the clock, that one input may take
LARGEST = 1 << 17  # bytes of an input
LIFE = 5000  # inputs that one child parses
FRAMES = 12  # of a clip
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (
    b"none", b"blur:", b"bokeh:", b"color:#", b"image:", b"video:", b"both", b"great_wave", b"+", b"@", b"nan", b"inf",
    b"-1", b"1e999", b"../", b"/", b"~", b"file://", b".onnx", b".safetensors", b"\0", b"\xff", b"\xed\xa0\x80",
    b'"', b"'", b"[", b"]", b"{", b"}", b"null", b"true", b"words", b"token", b"style", b"status", b"panic", b"files",
    b"background", b"person", b"strength", b"[profile.a]", b"[keys]", b"=", b"\n", b"1979-05-27", b"#" * 300,
    "٣".encode(), "\u202e".encode(), b"99999999999999999999999999",
)  # fmt: skip


def picture(path: Path) -> None:
    """A photo, as the commands for stills read it."""
    from livestyle.errors import UserError
    from livestyle.image.io import load_image, load_notes, load_picture, save_image

    load_notes(path)
    with suppress(UserError):
        load_image(path, 8)
    image, notes = load_picture(path)
    assert image.ndim == 3
    if notes.own is not None:
        save_image(path.with_name("saved.png"), image, notes)


def video(path: Path) -> None:
    """A clip: its first frames, and what it holds beside them, carried into another clip."""
    from livestyle.video.sinks.clip import ClipSink
    from livestyle.video.sinks.sink import Stream
    from livestyle.video.sources.clip import ClipSource

    with ClipSource(str(path), loop=True) as source:
        info, frames = source.info, list(itertools.islice(source, FRAMES))
        assert all(frame.image.shape[1::-1] == info.size for frame in frames)
    stream = Stream(info.size, info.fps, info.audio, info.start, keep_location=True, ending=lambda: frames[-1].time)
    with ClipSink(path.with_name("carried.mp4"), stream) as sink:
        for frame in frames:
            sink.send(frame)


def config(path: Path) -> None:
    """A config file: the user's own, and a folder's."""
    from livestyle.config.load import File
    from livestyle.errors import UserError

    with suppress(UserError):
        File(path, is_project=True)
    File(path)


def card(path: Path) -> None:
    """A model's card, and the files that it names; or the cards and the first row of a gallery."""
    from livestyle.errors import UserError
    from livestyle.nets.card import load_card
    from livestyle.nets.gallery_rows import load_gallery, read_row

    with suppress(UserError):
        for found in load_gallery(path).values():
            hash((found.words, found.thumbnail))
            read_row(found)
    found = load_card(path)
    hash((found.name, found.title, found.width + found.pixels + found.multiple, found.default))
    for suffix in (".onnx", ".safetensors"):
        with suppress(UserError):
            found.path(suffix)
    with suppress(UserError):
        found.painting_file()


def look(path: Path) -> None:
    """A LOOK as it is typed."""
    from livestyle.config.look import anchored, look_of, parse_plane
    from livestyle.config.settings import Settings

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    anchored(text, path.parent)
    str(parse_plane(text))
    str(look_of(Settings(background=text, person=text), "great_wave"))


def ctl(path: Path) -> None:
    """What a client sends to a running filter, which must answer the next one."""
    import socket

    from livestyle.live.client import ask, connect, endpoints

    folder = serve()
    connection, _ = connect(endpoints(folder)[0])
    with connection, suppress(ConnectionError):
        connection.sendall(path.read_bytes())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    assert "status" in ask(["status"], folder=folder)


def safetensors(path: Path) -> None:
    """Weights for PyTorch."""
    from livestyle.nets.engine import choose_engine
    from livestyle.nets.torch_net import TorchNet
    from livestyle.render.stylizer import style_card

    TorchNet(choose_engine("torch:cpu"), style_card(str(path)))


def onnx(path: Path) -> None:
    """A net for OpenVINO, up to where it computes."""
    from livestyle.nets.engine import choose_engine
    from livestyle.nets.openvino_net import OpenVinoNet
    from livestyle.render.stylizer import style_card

    OpenVinoNet(choose_engine("cpu"), style_card(str(path)).path(".onnx"), 1, "style").prepare((1, 32, 32, 3))


PARSERS: dict[str, Callable[[Path], None]] = {
    one.__name__: one for one in (picture, video, config, card, look, ctl, safetensors, onnx)
}
SERVED: list[Any] = []
REACHED: set[tuple[str, int]] = set()


def serve() -> Path:
    """Return the folder of a server's endpoint, with real controls behind it. It is opened once."""
    from livestyle.config.settings import Settings
    from livestyle.live import server
    from livestyle.live.actions import open_controls

    if not SERVED:
        server.MAX_CLIENTS_PER_S = 1 << 20
        folder, controls = Path(tempfile.mkdtemp()), open_controls(Settings())
        SERVED.extend((folder, server.Server(controls.press, controls.status, folder=folder)))
        threading.settrace(trace)
        SERVED[1].__enter__()
    return Path(SERVED[0])


# What follows runs in the child.


def obey(name: str, limited: bool) -> None:
    """Parse what comes in, and tell what came of it, a line of JSON each."""
    replies, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    sys.argv = sys.argv[:1]
    first = next(iter(sorted((CORPUS / name).iterdir())))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        parse(name, first.read_bytes(), Path(folder) / f"input{first.suffix}")  # all is imported now
        if limited:
            limit()
        while header := sys.stdin.buffer.readline():
            facts = json.loads(header)
            file = Path(folder) / f"input{facts['suffix']}"
            print(json.dumps(parse(name, sys.stdin.buffer.read(facts["size"]), file)), file=replies, flush=True)
            file.unlink()


def limit() -> None:
    """Have what takes too much memory fail."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 0
    most = pages * os.sysconf("SC_PAGESIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def parse(name: str, data: bytes, file: Path) -> dict[str, Any]:
    """What came of an input: which lines of Python it reached, how it was refused, what broke, the peak of memory."""
    from livestyle.errors import UserError

    file.write_bytes(data)
    said = fault = ""
    REACHED.clear()
    sys.settrace(trace)
    try:
        PARSERS[name](file)
    except UserError as error:
        said = str(error)
    except Exception:
        fault = traceback.format_exc()
    finally:
        sys.settrace(None)
    return {"reached": hash(frozenset(REACHED)), "said": said, "fault": fault, "peak": peak()}


def trace(frame: Any, event: str, _: Any) -> Any:
    """Note the lines of our parsers and of Pillow's."""
    code = frame.f_code
    if "/livestyle/" not in code.co_filename and "/PIL/" not in code.co_filename:
        return None
    REACHED.add((code.co_filename, frame.f_lineno))
    return trace


def peak() -> float:
    """The most memory that this process has held, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# What follows runs in the parent.


@dataclass(frozen=True)
class Input:
    """Something to parse, as the file that it would be."""

    data: bytes
    suffix: str


class Child:
    """A process that parses."""

    def __init__(self, name: str, limited: bool = True) -> None:
        self.said = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, __file__, name, "--child", *(["--unlimited"] if not limited else [])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, bufsize=0,
            env={**os.environ, "LIVESTYLE_CONFIG": "none", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        self.parsed = 0

    def parse(self, given: Input) -> dict[str, Any]:
        """What `parse` tells of an input; "fault" says so where the child hangs or dies."""
        self.parsed += 1
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            header = json.dumps({"suffix": given.suffix, "size": len(given.data)})
            self.process.stdin.write(header.encode() + b"\n" + given.data)
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            until, most = time.monotonic() + STUCK, self.spent() + BUSY
            while not (found := ready.select(1.0)) and time.monotonic() < until and self.spent() < most:
                pass
        is_silent = not found
        line = b"" if is_silent else self.process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self.process.kill()
        code = self.process.wait()
        self.said.seek(0)
        said = self.said.read().decode(errors="replace")[-2000:]
        return {"fault": f"{'hang' if is_silent else f'death by {-code}'}\n{said}"}

    def spent(self) -> float:
        """Seconds of the processor that it has had; on a busy machine these count."""
        with suppress(OSError, IndexError):
            ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
        self.said.close()


def seeds(name: str) -> list[Input]:
    """The corpus."""
    return [Input(file.read_bytes(), file.suffix) for file in sorted((CORPUS / name).iterdir())]


def change(given: Input, others: list[Input], rng: random.Random) -> Input:
    """The same with a few things wrong."""
    data = bytearray(given.data)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 9))):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.3:  # where headers are
            at = min(at, rng.randrange(64))
        size = min(rng.choice((1, 2, 4, 8, 32, 256)), len(data) - at)
        number = rng.choice(NUMBERS) & 0xFFFFFFFF
        kind = rng.randrange(9)
        if kind == 0 and size:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and size:
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif kind == 3:
            data[at : at + 2] = struct.pack(rng.choice("<>") + "H", number & 0xFFFF)
        elif kind == 4:
            del data[at : at + size]
        elif kind == 5:
            data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
        elif kind == 6:
            other = rng.choice(others).data
            start = rng.randrange(len(other) + 1)
            data[at : at + size] = other[start : start + rng.choice((4, 16, 64, 512))]
        elif kind == 7:
            data[at:at] = rng.choice(WORDS)
        elif rng.random() < 0.2:
            del data[at:]
    whole = bytes(data[:LARGEST])
    return Input(mended(whole) if rng.random() < 0.8 else whole, given.suffix)


def mended(data: bytes) -> bytes:
    """A PNG with its checksums put right, so that more than these is put to the test."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + size]
        parts.append(data[at : at + 8 + size] + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return b"".join([*parts, data[at:]])


def fuzz(name: str, minutes: float, found: Path, seed: int) -> int:
    """Parse changed inputs for some minutes; how many things were found."""
    rng, known, child = random.Random(seed), seeds(name), Child(name)
    reached, faults, counts = set(), dict[str, str](), Counter[str]()
    until, peak = time.monotonic() + 60 * minutes, 0.0
    for given in itertools.chain(known, endless(known, rng)):
        if time.monotonic() > until:
            break
        if child.parsed >= LIFE:
            child.close()
            child = Child(name)
        result = child.parse(given)
        peak = max(peak, result.get("peak", 0.0))
        counts["refused" if result.get("said") else "broken" if result["fault"] else "parsed"] += 1
        if result["fault"]:
            sign = signature(result["fault"])
            if sign not in faults:
                found.mkdir(parents=True, exist_ok=True)
                file = found / f"{name}-{len(faults):02}{given.suffix}"
                file.write_bytes(given.data)
                faults[sign] = f"{file}: {sign}"
                file.with_suffix(".txt").write_text(result["fault"])
                print(faults[sign], flush=True)
            if "reached" not in result:
                child.close()
                child = Child(name)
        elif result["reached"] not in reached and len(known) < 4000:
            reached.add(result["reached"])
            known.append(given)
    child.close()
    print(f"{name}: {counts.total()} inputs in {minutes:g} min ({dict(counts)}), {len(reached)} ways through the code, "
          f"peak {peak:.0f} MB, {len(faults)} findings")  # fmt: skip
    return len(faults)


def endless(known: list[Input], rng: random.Random) -> Iterator[Input]:
    """Changed inputs; `known` may grow meanwhile."""
    while True:
        yield change(rng.choice(known), known, rng)


def signature(fault: str) -> str:
    """What tells one fault from another: where it was, and what."""
    lines = fault.strip().splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File ")]
    return " ".join([lines[0] if not places else lines[-1].split(":")[0], *places[-1:]])


def replay(name: str, limited: bool = True) -> list[str]:
    """What is wrong with files of the corpus."""
    child, wrong = Child(name, limited), []
    for file in sorted((CORPUS / name).iterdir()):
        result = child.parse(Input(file.read_bytes(), file.suffix))
        if result["fault"]:
            wrong.append(f"{file}: {result['fault']}")
            child.close()
            child = Child(name, limited)
    child.close()
    return wrong


def main() -> None:
    """Fuzz, replay, or be a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parser", choices=PARSERS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path("found"))
    for flag in ("--replay", "--child", "--unlimited"):
        parser.add_argument(flag, action="store_true")
    given = parser.parse_args()
    if given.child:
        obey(given.parser, not given.unlimited)
    elif given.replay:
        sys.exit("\n".join(replay(given.parser)) or 0)
    else:
        sys.exit(bool(fuzz(given.parser, given.minutes, given.found, given.seed)))


if __name__ == "__main__":
    main()
