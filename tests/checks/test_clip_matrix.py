"""A flash and a beep stay together through the filter. `scripts/checks/clip_matrix.py` tries every pair there is."""

from pathlib import Path
from types import ModuleType

import pytest
from support.scripts import load_check


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    return load_check("clip_matrix")


@pytest.mark.parametrize(
    ("form", "picture", "sound", "rate", "start", "suffix", "codec"),
    [
        ("mpeg", "mpeg2video", "mp2", 48000, 0.5, ".mp4", "aac"),
        ("mpegts", "libx264", "aac", 44100, 100, ".mp4", "aac"),
        ("mpegts", "libx264", "ac3", 48000, 5, ".mov", "ac3"),
        ("mpegts", "libx264", "mp2", 48000, 0, ".m4v", "aac"),
        ("matroska", "libx264", "libopus", 48000, 100, ".mp4", "opus"),
        ("matroska", "libx264", "libopus", 48000, 5, ".mov", "aac"),
        ("matroska", "libx264", "eac3", 48000, 100, ".m4v", "aac"),
        ("matroska", "libx264", "flac", 44100, 0.5, ".mkv", "flac"),
        ("webm", "libvpx", "libopus", 48000, 100, ".mkv", "opus"),
        ("avi", "mpeg4", "libmp3lame", 44100, 0, ".mp4", "mp3float"),
        ("avi", "mpeg4", "pcm_s16le", 11024, 0, ".mp4", "aac"),
        ("avi", "mpeg4", "pcm_s16le", 22222, 0, ".mov", "pcm_s16le"),
        ("mov", "libx264", "pcm_s24le", 192000, 5, ".m4v", "aac"),
        ("flv", "flv", "libmp3lame", 44100, 5, ".mp4", "mp3float"),
        ("asf", "wmv2", "wmav2", 44100, 0.5, ".mp4", "aac"),
    ],
)
def test_flash_and_beep_stay_together(
    matrix: ModuleType, tmp_path: Path, form: str, picture: str, sound: str, rate: int, start: float, suffix: str,
    codec: str,
) -> None:  # fmt: skip
    pair = matrix.Pair(form, picture, sound, rate, "stereo")
    ((_, moved, written, problem),) = matrix.check(pair, start, tmp_path, (suffix,))
    assert not problem
    assert abs(moved) < matrix.TOLERANCE_S / 2
    assert written == codec
