"""Recordings: what was shown, whole after any end, and never in the way of the call."""

import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import av
import numpy as np
import pytest
from support.pictures import draw_card

from livestyle.image.types import Frame
from livestyle.video import worker
from livestyle.video.sinks import recording
from livestyle.video.sinks.clip import ClipWriter
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources.open import open_source

SIZE, FPS = (64, 48), 25.0


class Switch:
    """Hands out a number for each take, as the controls do."""

    def __init__(self) -> None:
        self.take: int | None = 1
        self.last = 1

    def turn(self, is_on: bool) -> None:
        self.last += is_on
        self.take = self.last if is_on else None

    def end_take(self, number: int) -> None:
        if self.take == number:
            self.take = None


@pytest.fixture
def switch() -> Switch:
    return Switch()


def show(recorder: Recorder, count: int, start: int = 0) -> None:
    """Send frames, each when the one before is taken."""
    for index in range(start, start + count):
        recorder.send(Frame(draw_card(*SIZE, seed=index), index, 7 + index / FPS))
        while recorder._takes and recorder._takes[-1].is_alive and recorder._takes[-1].waiting:
            pass


def clips(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_shown_while_the_switch_is_on_is_recorded(tmp_path: Path, switch: Switch) -> None:
    folder = tmp_path / "new" / "clips"
    with Recorder(folder, Stream(SIZE, FPS), switch) as recorder:
        for start in (0, 100):
            switch.turn(True)
            show(recorder, 30, start)
            switch.turn(False)
            show(recorder, 5, start + 30)
    first, second = clips(folder)
    assert first.suffix == second.suffix == ".mkv"
    for clip, start in ((first, 0), (second, 100)):
        with open_source(str(clip)) as source:
            frames = list(source)
            assert not source.warning
        assert len(frames) == 30
        assert [frame.time for frame in frames] == pytest.approx([n / FPS for n in range(30)], abs=2e-3)
        assert np.abs(frames[0].image.astype(int) - draw_card(*SIZE, seed=start)).mean() < 6
    assert sorted(line.split()[0] for line in recorder.messages()) == ["Recorded"] * 2 + ["Recording"] * 2


def test_nothing_is_made_unless_it_is_wanted(tmp_path: Path, switch: Switch) -> None:
    switch.turn(False)
    with Recorder(tmp_path / "clips", Stream(SIZE, FPS), switch) as recorder:
        show(recorder, 3)
    assert not (tmp_path / "clips").exists()
    assert not recorder.messages()


def test_an_encoder_that_is_slow_does_not_hold_the_call_up(
    tmp_path: Path, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, write = threading.Event(), ClipWriter.write

    def slow(clip: ClipWriter, frame: Frame) -> None:
        assert gate.wait(10)
        write(clip, frame)

    monkeypatch.setattr(ClipWriter, "write", slow)
    with Recorder(tmp_path, Stream(SIZE, FPS), switch) as recorder:
        for index in range(500):
            recorder.send(Frame(draw_card(*SIZE), index, index / FPS))
        gate.set()
    (clip,) = clips(tmp_path)
    with open_source(str(clip)) as source:
        kept = len(list(source))
    assert recording.MAX_QUEUED_FRAMES <= kept <= recording.MAX_QUEUED_FRAMES + 2
    assert f"{500 - kept} frames were left out." in recorder.messages()[-1]


def test_a_disk_that_fills_up_ends_the_recording_with_the_file_whole(
    tmp_path: Path, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    free = [recording.MIN_FREE_BYTES]
    monkeypatch.setattr(worker, "DISK_CHECK_S", 0.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free[0]))
    with Recorder(tmp_path, Stream(SIZE, FPS), switch) as recorder:
        show(recorder, 20)
        free[0] -= 1
        show(recorder, 1, 20)
        for take in [*recorder._takes]:  # none where it has ended already
            take.join()
        assert switch.take is None
        show(recorder, 3, 21)
        switch.turn(True)
        show(recorder, 1, 24)
    (clip,) = clips(tmp_path)
    with open_source(str(clip)) as source:
        assert 0 < len(list(source)) <= 21  # which of them was written when the room was gone is the encoder's affair
        assert not source.warning
    said = recorder.messages()
    assert any("MB are free" in line for line in said[1:])
    assert "another folder for recordings" in said[-1]  # the second was not begun
    assert switch.take is None


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, switch: Switch) -> None:
    (tmp_path / "file").touch()
    with Recorder(tmp_path / "file" / "clips", Stream(SIZE, FPS), switch) as recorder:
        show(recorder, 1)
    assert "cannot be written" in recorder.messages()[0]
    assert switch.take is None


def test_a_take_that_fails_while_it_ends_does_not_stop_a_newer_one(
    tmp_path: Path, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails when its file is finished, and by then the next one has begun."""
    gate, finish, finished = threading.Event(), ClipWriter.finish, list[ClipWriter]()

    def fail_first(clip: ClipWriter) -> bool:
        finished.append(clip)
        if len(finished) > 1:
            return finish(clip)
        assert gate.wait(10)
        raise OSError("The disk is gone.")

    monkeypatch.setattr(ClipWriter, "finish", fail_first)
    with Recorder(tmp_path, Stream(SIZE, FPS), switch) as recorder:
        show(recorder, 5)
        (first,), (failed,) = recorder._takes, clips(tmp_path)
        switch.turn(False)
        show(recorder, 1, 5)
        switch.turn(True)
        show(recorder, 5, 6)
        gate.set()
        first.join()
        assert switch.take == 2
        show(recorder, 5, 11)
        assert switch.take == 2
    assert "Recording ended: The disk is gone." in recorder.messages()
    (newer,) = set(clips(tmp_path)) - {failed}
    with open_source(str(newer)) as source:
        assert len(list(source)) == 10


def test_off_and_on_again_between_two_frames_makes_a_new_file(tmp_path: Path, switch: Switch) -> None:
    with Recorder(tmp_path, Stream(SIZE, FPS), switch) as recorder:
        for start in (0, 5):
            show(recorder, 5, start)
            switch.turn(False)
            switch.turn(True)
    assert len(clips(tmp_path)) == 2


def test_names_are_never_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording.time, "strftime", lambda _: "now")
    assert [recording.claim(tmp_path).name for _ in range(3)] == ["now.mkv", "now-2.mkv", "now-3.mkv"]


KILLED = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from livestyle.image.types import Frame
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream
import numpy as np
recorder = Recorder(Path(sys.argv[1]), Stream((320, 240), 25.0), SimpleNamespace(take=1))
noise = np.random.default_rng(0)
for index in range(150):
    recorder.send(Frame(noise.integers(0, 255, (240, 320, 3), dtype=np.uint8), index, index / 25))
    while recorder._takes[-1].waiting: pass
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill")
def test_a_process_that_is_killed_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "sent\n"
        process.kill()
    (clip,) = clips(tmp_path)
    with av.open(str(clip)) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert times == sorted(times)
    assert times[-1] >= 150 / 25 - 1.1


def test_vp9_stands_in_where_there_is_no_h264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: Switch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    with Recorder(tmp_path, Stream(SIZE, FPS), switch) as recorder:
        show(recorder, 10)
    (clip,) = clips(tmp_path)
    with av.open(str(clip)) as container:
        assert container.streams.video[0].codec_context.name.startswith(("vp9", "libvpx-vp9"))
        assert len(list(container.decode(video=0))) == 10
