"""What a clip's file holds beside its picture comes along: sound, subtitles, chapters, notes, and how long a picture is
held."""

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.clips import FPS, PLACE, SAID, tone, write_tracks

from livestyle.config.settings import LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.live.actions import open_controls
from livestyle.live.driver import run_live
from livestyle.matting.segmenter import register_segmenter, unregister_segmenter
from livestyle.video.notes import file_notes
from livestyle.video.sinks.clip import CLIPS
from livestyle.video.sources.open import open_source

NOTES = {"title": "A walk", "creation_time": "2020-01-02T03:04:05.000000Z", "location": PLACE, "chapter": "one"}


@pytest.fixture(autouse=True)
def nobody() -> Any:
    """A segmenter that loads no network."""
    register_segmenter("nobody", lambda image: np.zeros(image.shape[:2], np.float32))
    yield
    unregister_segmenter("nobody")


def filter_clip(clip: Path, out: Path, **more: Any) -> list[str]:
    """Filter a clip into another one, and return what was said."""
    frames, settings = more.pop("frames", None), Settings(background="none", segmenter="nobody", **more)
    said: list[str] = []
    live = LiveSettings(str(clip), (f"file:{out}",), frames=frames)
    run_live(settings, live, open_controls(settings), said.append, lambda frames: None)
    return said[1:]


def ends(path: Path, kind: str) -> tuple[int, float]:
    """Return the number of packets of a kind of track, and when the last one ends, in seconds."""
    with av.open(str(path)) as clip:
        packets = [packet for packet in clip.demux(**{kind: 0}) if packet.size]
        return len(packets), max(float((p.pts + p.duration) * p.time_base) for p in packets)


@pytest.mark.parametrize(
    ("suffix", "subtitles", "start"), [(".mkv", "subrip", 5.0), (".mp4", "mov_text", 0.0), (".mov", "mov_text", 0.5)]
)
def test_all_tracks_and_notes_come_along_but_the_place(
    tmp_path: Path, suffix: str, subtitles: str, start: float
) -> None:
    clip = write_tracks(
        tmp_path / f"in{suffix}", ("aac", "ac3"), 2.0, 2.0, subtitles=subtitles, notes=NOTES, start=start
    )
    for out in (tmp_path / f"out{kind}" for kind in CLIPS):
        (said,) = filter_clip(clip, out)
        assert "--keep-location" in said
        with av.open(str(out)) as made:
            languages = [stream.language for stream in (*made.streams.audio, *made.streams.subtitles)]
            assert languages == ["fra", "spa", "ger"]
            assert made.metadata["title"] == "A walk"
            assert made.metadata["creation_time"] == NOTES["creation_time"]
            assert PLACE[:5] not in str(made.metadata)
            titles = [stream.metadata.get("title") or stream.metadata["handler_name"] for stream in made.streams.audio]
            assert titles == ["Sound 0", "Sound 1"]
            begins = float(made.start_time or 0) / 1e6
            texts = [(float(p.pts * p.time_base), p.decode()) for p in made.demux(subtitles=0) if p.size > 2]
        assert [at - begins for at, _ in texts] == pytest.approx([0.0, 1.0], abs=0.03)
        assert all(word in told[0].dialogue.decode() for word, (_, told) in zip(SAID, texts, strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_chapters_come_along_and_the_place_if_asked(tmp_path: Path, suffix: str) -> None:
    clip = write_tracks(tmp_path / f"in{suffix}", notes=NOTES)
    assert filter_clip(clip, tmp_path / f"out{suffix}", keep_location=True) == []
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        (chapter,) = made.chapters()
        assert chapter["metadata"]["title"] == "one"
        assert float(chapter["end"] * chapter["time_base"]) == pytest.approx(0.5)
        assert "+52.52" in str(made.metadata)


def test_the_place_has_many_names() -> None:
    names = ("location", "location-eng", "com.apple.quicktime.location.ISO6709", "LOCATION", "©xyz", "GPSLatitude")
    notes, place = file_notes(dict.fromkeys(names, PLACE) | {"title": "T", "creation_time": "yesterday"})
    assert notes == {"title": "T"}  # of a time that is none FFmpeg would write no file
    assert set(place) == set(names)


@pytest.mark.parametrize("suffix", CLIPS)
def test_sound_that_is_longer_holds_the_last_picture(tmp_path: Path, suffix: str) -> None:
    clip = write_tracks(tmp_path / "in.mp4", seconds=0.4, sound_s=2.0)
    out = tmp_path / f"out{suffix}"
    assert filter_clip(clip, out) == []
    assert ends(out, "audio")[1] == pytest.approx(2.0, abs=0.06)
    assert ends(out, "video") == (10, pytest.approx(2.0, abs=0.06))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_picture_that_is_held_is_held(tmp_path: Path, suffix: str) -> None:
    clip = write_tracks(tmp_path / "in.mp4", (), 0.4, hold_s=3.0)
    assert ends(clip, "video") == (10, pytest.approx(3.36, abs=0.01))
    assert filter_clip(clip, tmp_path / f"out{suffix}") == []
    assert ends(tmp_path / f"out{suffix}", "video") == (10, pytest.approx(3.36, abs=0.01))


def test_sound_ends_with_a_clip_that_is_cut_short(tmp_path: Path) -> None:
    clip = write_tracks(tmp_path / "in.mp4", ("aac", "flac"), 1.0, 1.0)
    filter_clip(clip, tmp_path / "out.mp4", frames=10)
    assert ends(tmp_path / "out.mp4", "video") == (10, pytest.approx(0.4, abs=0.01))
    with av.open(str(tmp_path / "out.mp4")) as made:
        for track in made.streams.audio:
            assert float(track.duration * track.time_base) == pytest.approx(0.5, abs=0.1)


def test_what_a_clip_cannot_hold_is_said(tmp_path: Path) -> None:
    clip = tmp_path / "in.mkv"
    write_tracks(tmp_path / "part.mkv", ("aac",))
    with av.open(str(tmp_path / "part.mkv")) as part, av.open(str(clip), "w") as out:
        copies = {stream.index: out.add_stream_from_template(stream) for stream in part.streams}
        out.add_attachment("font.ttf", "font/ttf", b"glyphs")
        for packet in part.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    (said,) = filter_clip(clip, tmp_path / "out.mp4")
    assert said == "Left out of the .mp4 clip: a file."
    assert filter_clip(clip, tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio", "attachment"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_broken_sound_costs_no_picture(tmp_path: Path, suffix: str) -> None:
    clip = write_tracks(tmp_path / "in.mkv", ("flac",))
    with av.open(str(clip)) as whole:
        packets = [bytes(packet) for packet in whole.demux(audio=0) if packet.size]
    noise = np.random.default_rng(0)
    damaged = clip.read_bytes()
    for packet in packets:
        damaged = damaged.replace(packet, noise.bytes(len(packet)))
    clip.write_bytes(damaged)
    said = filter_clip(clip, tmp_path / f"out{suffix}")
    assert any("Broken pieces" in line for line in said) == (suffix == ".mp4")  # Matroska holds FLAC, broken or not
    assert ends(tmp_path / f"out{suffix}", "video")[0] == FPS


def silences(path: Path) -> Sequence[float]:
    """Return when the sound becomes loud, in seconds."""
    with av.open(str(path)) as clip:
        parts = [(float(part.time or 0), np.abs(part.to_ndarray()[0])) for part in clip.decode(audio=0)]
    times = np.concatenate([at + np.arange(loud.size) / 48000 for at, loud in parts])
    loud_at = times[np.concatenate([loud for _, loud in parts]) > 0.1]
    return [float(at) for at in loud_at[np.diff(loud_at, prepend=-1.0) > 0.1]]


def test_gaps_in_the_sound_stay_where_they_are(tmp_path: Path) -> None:
    """Turned into AAC, which knows none."""
    clip = tmp_path / "in.mkv"
    with av.open(str(write_tracks(tmp_path / "part.mkv", (), 2.0))) as part, av.open(str(clip), "w") as out:
        video: Any = out.add_stream_from_template(part.streams.video[0])
        sound: Any = out.add_stream("pcm_s16le", 48000, layout="mono")
        for at in (0.3, 1.1, 1.7):
            for packet in sound.encode(tone(48000, 0.2, at)):
                out.mux(packet)
        for packet in part.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    assert filter_clip(clip, tmp_path / "out.mp4") == []
    assert silences(tmp_path / "out.mp4") == pytest.approx([0.3, 1.1, 1.7], abs=0.01)


def test_a_song_with_a_cover_is_no_clip(tmp_path: Path) -> None:
    song = tmp_path / "song.mp3"
    with av.open(str(song), "w") as out:
        track: Any = out.add_stream("mp3", 48000, layout="mono")
        cover: Any = out.add_stream("mjpeg", 1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        picture.pts, picture.time_base = 0, Fraction(1, 1)
        for packet in (*cover.encode(picture), *cover.encode(None)):
            out.mux(packet)
        for packet in (*track.encode(tone(48000, 0.5, 0.0)), *track.encode(None)):
            out.mux(packet)
    with pytest.raises(UserError, match="no moving picture"):
        open_source(str(song))


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 800)
    with pytest.raises(UserError, match="no moving picture"):
        open_source(str(tmp_path / "a.wav"))
