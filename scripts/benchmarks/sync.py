"""How far sound and picture of a recording are apart: flashes before the camera, beeps before the microphone.

Needs PulseAudio or PipeWire with a microphone that hears the speaker, such as one without hardware:

    pactl load-module module-null-sink sink_name=speaker
    pactl load-module module-remap-source source_name=mic master=speaker.monitor
    pactl set-default-sink speaker && pactl set-default-source mic
    python scripts/measure_sync.py --seconds 60

What is printed includes the time that the beep takes to the speaker.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np

from livestyle.image.types import Frame
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream
from livestyle.video.sound import SAMPLE_RATE_HZ, Microphone

SIZE, FPS, EVERY, LENGTH = (320, 180), 30, 2.0, 0.1


@contextmanager
def speaker() -> Iterator[subprocess.Popen[bytes]]:
    command = [
        "pacat",
        "--playback",
        "--raw",
        f"--rate={SAMPLE_RATE_HZ}",
        "--channels=1",
        "--format=s16le",
        "--latency-msec=5",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def record(folder: Path, seconds: float, name: str) -> list[str]:
    """Flash and beep together while a recording is on."""
    beep = (
        (12000 * np.sin(2 * np.pi * 1000 * np.arange(round(LENGTH * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ))
        .astype(np.int16)
        .tobytes()
    )
    switch = SimpleNamespace(take=1, end_take=lambda number: None)
    stream = Stream(SIZE, FPS, microphone=lambda: Microphone(name))
    with speaker() as out, Recorder(folder, stream, switch) as recorder:
        start, beeped = time.monotonic(), 0
        for index in range(round(seconds * FPS)):
            time.sleep(max(0.0, start + index / FPS - time.monotonic()))
            now = time.monotonic()
            is_on = (now - start) % EVERY < LENGTH and now - start > 1
            if is_on and (now - start) // EVERY > beeped:
                beeped = int((now - start) // EVERY)
                assert out.stdin
                out.stdin.write(beep)
                out.stdin.flush()
            picture = np.full((*SIZE[::-1], 3), 255 * is_on, np.uint8)
            recorder.send(Frame(picture, index, now - start, now))
    return recorder.messages()


def onsets(times: np.ndarray, loud: np.ndarray) -> list[float]:
    """When it becomes loud, or light, after it was not for half a second."""
    active = times[loud]
    return active[np.diff(active, prepend=-np.inf) > 0.5].tolist()


def read(path: Path) -> tuple[list[float], list[float]]:
    """Of flashes and beeps."""
    with av.open(str(path)) as container:
        shown = [(float(f.time or 0), f.to_ndarray(format="gray").mean() > 128) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        parts = [(float(p.time or 0), p.to_ndarray()[0]) for p in container.decode(audio=0)]
    times = np.concatenate([at + np.arange(part.size) / SAMPLE_RATE_HZ for at, part in parts])
    flashes = onsets(*map(np.array, zip(*shown, strict=True)))
    return flashes, onsets(times, np.abs(np.concatenate([part for _, part in parts])) > 0.15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--microphone", default="default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(record(Path(folder), arguments.seconds, arguments.microphone)))
        flashes, beeps = read(next(Path(folder).iterdir()))
    late = np.array([min((beep - flash for beep in beeps), key=abs) for flash in flashes]) * 1000
    print(f"{len(flashes)} flashes, {len(beeps)} beeps; sound after picture, ms: "
          f"median {np.median(late):.0f}, from {late.min():.0f} to {late.max():.0f}; "
          f"first five {np.median(late[:5]):.0f}, last five {np.median(late[-5:]):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
