"""Clips as other programs make them, for tests: with several tracks, and notes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

SIZE, FPS = (64, 48), 25
PLACE = "+52.5200+013.4050/"
SAID = ("Guten Tag", "Auf Wiedersehen")  # the subtitles, of a second each


def write_tracks(
    path: Path, sounds: tuple[str, ...] = ("aac",), seconds: float = 1.0, sound_s: float = 1.0, subtitles: str = "",
    rate_hz: int = 48000, notes: dict[str, str] | None = None, hold_s: float = 1 / FPS, start: float = 0.0,
) -> Path:  # fmt: skip
    """Write a clip, and return its path.

    Args:
        sounds: the codec of each track of sound, all of them a tone.
        seconds, sound_s: of the picture and of the sound.
        subtitles: their codec, "" for none.
        notes: of the file.
        hold_s: for how long the last picture is shown.
        start: where the clock of the file begins, in seconds.
    """
    with av.open(str(path), "w") as out:
        out.metadata.update(notes or {})
        video: Any = out.add_stream("libx264", FPS, options={"bf": "0"})
        video.width, video.height = SIZE
        tracks: list[Any] = [out.add_stream(codec, rate_hz, layout="mono") for codec in sounds]
        for number, track in enumerate(tracks):
            track.metadata.update({"language": ("fra", "spa")[number % 2], "title": f"Sound {number}"})
            track.codec_context.options = {"strict": "-2"}
        texts: Any = out.add_stream(subtitles) if subtitles else None
        if texts:
            texts.metadata["language"] = "ger"
            texts.codec_context.subtitle_header = HEADER.encode()
            texts.codec_context.time_base = Fraction(1, 1000)
        if notes and "chapter" in notes:
            where = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
            out.set_chapters([where | {"metadata": {"title": notes["chapter"]}}])
        out.start_encoding()
        for number, text in enumerate(SAID if texts else ()):
            line = SubtitleSet.create(f"0,0,Default,,0,0,0,,{text}".encode(), 0, 1000)
            packet = texts.codec_context.encode_subtitle(line)
            packet.pts = packet.dts = round(start * 1000) + number * 1000
            packet.duration, packet.time_base, packet.stream = 1000, Fraction(1, 1000), texts
            out.mux(packet)
        for track in tracks:
            out.mux(track.encode(tone(rate_hz, sound_s, start)))
            out.mux(track.encode(None))
        pictures = []
        for index in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), index * 5, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(start * FPS) + index, Fraction(1, FPS)
            pictures += video.encode(frame)
        pictures += video.encode(None)
        pictures[-1].duration = round(hold_s / pictures[-1].time_base)
        out.mux(pictures)
    return path


HEADER = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def tone(rate_hz: int, seconds: float, start: float) -> av.AudioFrame:
    samples = 9000 * np.sin(2 * np.pi * 440 * np.arange(round(rate_hz * seconds)) / rate_hz)
    frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), round(start * rate_hz)
    return frame
