"""Sound and picture stay together: a flash and a beep, in every pair of file format and sound codec that FFmpeg offers.

Each pair is written as a small clip whose clock starts at 0, 0.5, 5 and 100 s. It is filtered into every kind of clip,
and the beep may not move against the flash. Formats that cannot hold a codec, or cannot be read back, are left out.

    python scripts/checks/clip_matrix.py
    python scripts/checks/clip_matrix.py --formats avi,mpegts --codecs mp2,aac --starts 0,100
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.codec import Codec
from av.format import ContainerFormat

from livestyle.config.settings import Settings
from livestyle.live.actions import open_controls
from livestyle.live.driver import run_video
from livestyle.matting.segmenter import register_segmenter
from livestyle.video.sinks.clip import CLIPS

SIZE, FPS = (64, 48), 25
FLASH, LENGTH = 0.6, 1.2  # seconds
TOLERANCE_S = 0.02
HELD_S = 0.2  # between flash and beep of the input; beyond it the format cannot hold when a track starts
PICTURES = ("libx264", "mpeg4", "mpeg2video", "libvpx", "mjpeg", "flv", "wmv2", "dvvideo", "rv20", "amv", "gif")
RATES_HZ = (48000, 44100, 32000, 16000, 8000, 22050)
BIT_RATES = {"wmav1": 128000, "wmav2": 128000, "g723_1": 6300, "libopencore_amrnb": 12200}  # that must be given
NO_SOUND = {"anull", "comfortnoise"}
UNFIT = {("wtv", "aac")}  # FFmpeg writes it without borders between its packets
NOT_FILES = {  # they write several files, send, or only sum up
    "dash", "hls", "hds", "smoothstreaming", "segment", "stream_segment,ssegment", "tee", "null", "fifo", "rtp",
    "rtp_mpegts", "rtsp", "sap", "whip", "webm_chunk", "webm_dash_manifest", "image2", "image2pipe", "hash", "md5",
    "crc", "framecrc", "framehash", "framemd5", "streamhash", "uncodedframecrc", "ffmetadata", "fbdev", "alsa", "oss",
    "video4linux2,v4l2", "mkvtimestamp_v2",
}  # fmt: skip


register_segmenter("nobody", lambda image: np.zeros(image.shape[:2], np.float32))  # which takes no time


class Pair(NamedTuple):
    """A file format with the codecs of its picture and sound, by FFmpeg's names. "" is no sound."""

    form: str
    picture: str
    sound: str = ""
    rate_hz: int = 0
    layout: str = ""


def pairs(forms: list[str], sounds: list[str]) -> Iterator[Pair]:
    """Yield what can be written and read back."""
    for form in forms:
        picture = next((name for name in PICTURES if works(Pair(form, name))), None)
        for sound in (one for one in sounds if picture and (form, one) not in UNFIT):
            shapes = product(("mono", "stereo"), RATES_HZ)
            found = (Pair(form, picture, sound, rate, layout) for layout, rate in shapes)
            yield from islice((pair for pair in found if works(pair)), 1)


def works(pair: Pair) -> bool:
    """Return whether a pair can be written and read back."""
    with tempfile.TemporaryDirectory() as folder, suppress(av.FFmpegError, ValueError, OSError, IndexError):
        write(Path(folder, "clip"), pair, 0)
        flash, beep = onsets(Path(folder, "clip"))
        with av.open(str(Path(folder, "clip"))) as clip:  # some formats write every rate as one
            is_right = not pair.sound or clip.streams.audio[0].codec_context.sample_rate == pair.rate_hz
        return flash is not None and (beep is not None or not pair.sound) and is_right
    return False


def write(path: Path, pair: Pair, start: float) -> None:
    """Write a clip whose picture is white and whose sound is loud from FLASH to FLASH + 0.2 s."""
    with av.open(str(path), "w", pair.form) as out:
        video: Any = out.add_stream(pair.picture, FPS)
        video.width, video.height = (720, 576) if pair.picture == "dvvideo" else SIZE
        known = [one.name for one in video.codec.video_formats or ()]
        video.pix_fmt = known[0] if known and "yuv420p" not in known else "yuv420p"
        video.codec_context.options = {"bf": "0"} if pair.picture == "libx264" else {}
        sound: Any = out.add_stream(pair.sound, pair.rate_hz, layout=pair.layout) if pair.sound else None
        if sound:
            sound.codec_context.options = {"strict": "-2"}
            sound.bit_rate = BIT_RATES.get(pair.sound, 0)
        out.start_encoding()
        for index in range(round(LENGTH * FPS)):
            level = 255 if FLASH <= index / FPS + 1e-6 < FLASH + 0.2 else 0
            frame = av.VideoFrame.from_ndarray(np.full((video.height, video.width, 3), level, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(start * FPS) + index, Fraction(1, FPS)
            out.mux(video.encode(frame))
            out.mux(sound.encode(heard(index, start, pair)) if sound else [])
        out.mux(video.encode(None))
        out.mux(sound.encode(None) if sound else [])


def heard(index: int, start: float, pair: Pair) -> av.AudioFrame:
    first, last = (number * pair.rate_hz // FPS for number in (index, index + 1))
    times = np.arange(first, last) / pair.rate_hz
    loud = np.where((times >= FLASH) & (times < FLASH + 0.2), 20000 * np.cos(2 * np.pi * 1000 * times), 0)
    channels = 1 if pair.layout == "mono" else 2
    frame = av.AudioFrame.from_ndarray(np.repeat(loud.astype(np.int16), channels)[None], "s16", pair.layout)
    frame.sample_rate, frame.time_base = pair.rate_hz, Fraction(1, pair.rate_hz)
    frame.pts = round(start * pair.rate_hz) + first
    return frame


def onsets(path: Path) -> tuple[float | None, float | None]:
    """Return when the picture becomes white and the sound loud, as FFmpeg reads them; None for never."""
    with av.open(str(path)) as clip:
        shown = ((float(f.time or 0), f.to_ndarray(format="gray").mean()) for f in clip.decode(video=0))
        flash = next((at for at, level in shown if level > 128), None)
    with av.open(str(path)) as clip:
        parts, follows = [], 0.0
        for part in readable(clip):
            loud = np.abs(as_floats(part)).max(axis=0)
            at = follows if part.time is None else float(part.time)
            follows = at + part.samples / part.sample_rate
            parts.append((at, part.sample_rate, loud))
    top = max((loud.max() for _, _, loud in parts if loud.size), default=0)
    beeps = (at + float(np.argmax(loud > top / 2)) / rate for at, rate, loud in parts if (loud > top / 2).any())
    return flash, next(beeps, None) if top > 0.05 else None


def readable(clip: Any) -> Iterator[av.AudioFrame]:
    """Yield the sound that can be decoded."""
    for packet in clip.demux(clip.streams.audio[0]) if clip.streams.audio else ():
        with suppress(av.FFmpegError):
            yield from packet.decode()


def as_floats(part: av.AudioFrame) -> np.ndarray:
    """Return the samples as (channels, N) in -1..1."""
    samples = part.to_ndarray()
    if samples.dtype.kind == "u":
        samples = (samples.astype(np.float64) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / float(np.iinfo(samples.dtype).max)
    return samples if part.format.is_planar else samples.reshape(-1, part.layout.nb_channels).T


def filtered(clip: Path, out: Path) -> tuple[float | None, float | None, str, list[str]]:
    """Filter a clip, and return when it flashes and beeps, its sound's codec, and what was said."""
    said: list[str] = []
    settings = Settings(background="none", segmenter="nobody")
    run_video(settings, str(clip), out, open_controls(settings), said.append, lambda frames: None)
    with av.open(str(out)) as written:
        codec = written.streams.audio[0].codec_context.name if written.streams.audio else "-"
    return *onsets(out), codec, said


def check(
    pair: Pair, start: float, folder: Path, suffixes: Sequence[str] = CLIPS
) -> Iterator[tuple[str, float, str, str]]:
    """Yield for each kind of clip: its suffix, by how much the beep moved, the codec, and what is wrong.

    It yields nothing where the format cannot hold the pair from this start on.
    """
    clip = folder / "clip"
    flash, beep = None, None
    with suppress(av.FFmpegError, ValueError):
        write(clip, pair, start)
        flash, beep = onsets(clip)
    if flash is None or beep is None or abs(flash - beep) > HELD_S:
        return
    for suffix in suffixes:
        try:
            shown, heard, codec, said = filtered(clip, folder / f"out{suffix}")
        except Exception as error:
            yield suffix, 0.0, "", f"{type(error).__name__}: {error}"
            continue
        if shown is None or heard is None:
            yield suffix, 0.0, codec, f"no {'flash' if shown is None else 'beep'}: {said}"
        else:
            moved = (heard - shown) - (beep - flash)
            yield suffix, moved, codec, "" if abs(moved) <= TOLERANCE_S else f"input {beep - flash:+.3f}"
        (folder / f"out{suffix}").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    forms = sorted(n for n in av.formats_available if n not in NOT_FILES and ContainerFormat(n).is_output)
    sounds = sorted(name for name in av.codecs_available if is_sound(name))
    parser.add_argument("--formats", type=lambda text: text.split(","), default=forms)
    parser.add_argument("--codecs", type=lambda text: text.split(","), default=sounds)
    parser.add_argument("--starts", type=lambda text: [float(s) for s in text.split(",")], default=[0, 0.5, 5, 100])
    asked = parser.parse_args()
    av.logging.set_level(None)
    begun, count, wrong, worst = time.monotonic(), 0, list[str](), 0.0
    print(f"{'format':18} {'sound':18} {'start':>6}  beep after flash, as in the input, ms, and codec")
    for pair, start in ((pair, start) for pair in pairs(asked.formats, asked.codecs) for start in asked.starts):
        with tempfile.TemporaryDirectory() as folder:
            cells = []
            for suffix, moved, codec, problem in check(pair, start, Path(folder)):
                count, worst = count + 1, max(worst, abs(moved))
                cells.append(f"{suffix} {moved * 1000:+6.1f} {codec}")
                if problem:
                    wrong.append(f"{pair.form} {pair.sound} from {start:g} s to {suffix}: {moved:+.3f} s {problem}")
            cells = cells or ["the format cannot hold it"]
            print(f"{pair.form[:18]:18} {pair.sound:18} {start:6g}  {'  '.join(cells)}", flush=True)
    print(f"\n{count} clips in {time.monotonic() - begun:.0f} s, the worst moved by {worst * 1000:.1f} ms")
    print("\n".join([f"{len(wrong)} are wrong:", *wrong]) if wrong else "All are right.")
    sys.exit(bool(wrong))


def is_sound(name: str) -> bool:
    """Return whether a name is that of a codec that FFmpeg can write and read."""
    with suppress(ValueError):
        return Codec(name, "w").type == "audio" and name not in NO_SOUND
    return False


if __name__ == "__main__":
    main()
