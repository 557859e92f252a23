"""Times of pictures where a file does not say them, or says them wrongly."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.video.sources.clip import ClipSource

FPS = 25


def write(path: Path, codec: str, times: list[int], kind: str | None = None) -> Path:
    """Write a clip with a picture at each of the times, in pictures, and return its path."""
    with av.open(str(path), "w", format=kind) as out:
        video: Any = out.add_stream(codec, FPS, options={} if codec == "mjpeg" else {"bf": "2"})
        video.width, video.height = 64, 48
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * time, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, FPS)
            out.mux(video.encode(frame.reformat(format=video.pix_fmt)))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("x264.avi", "libx264", None),  # the order of showing is lost
        ("xvid.avi", "mpeg4", None),
        ("camera.mpg", "mpeg1video", "mpeg"),  # FFmpeg's guess runs backwards
        ("camera_2.mpg", "libx264", "mpeg"),  # most pictures have no time
        ("bare.h264", "libx264", "h264"),  # none has
        ("bare.m2v", "mpeg2video", "mpeg2video"),
    ],
)
def test_pictures_are_evenly_spaced(tmp_path: Path, name: str, codec: str, kind: str | None) -> None:
    with ClipSource(str(write(tmp_path / name, codec, list(range(50)), kind))) as clip:
        times = [frame.time for frame in clip]
    assert times == pytest.approx([n / FPS for n in range(50)], abs=1e-3)


def test_pictures_of_avi_begin_with_its_sound(tmp_path: Path) -> None:
    with ClipSource(str(write(tmp_path / "clip.avi", "libx264", list(range(9))))) as clip:
        assert clip.info.start == 0


def test_pictures_that_avi_leaves_empty_are_not_missed(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 23, 25, 49]
    with ClipSource(str(write(tmp_path / "gaps.avi", "mjpeg", times))) as clip:
        assert [frame.time for frame in clip] == pytest.approx([n / FPS for n in times], abs=1e-3)
        assert clip.info.total == len(times)
        assert not clip.warning
