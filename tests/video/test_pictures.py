"""Clips of all kinds are read as players show them."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pil
from support.pictures import draw_card

from livestyle.image.types import Frame, Image
from livestyle.video.sources import hdr
from livestyle.video.sources.open import open_source

SIZE = 64, 48
COLOURS = np.array([(230, 230, 230), (120, 120, 120), (200, 60, 50), (60, 160, 70), (50, 80, 190), (20, 20, 20)])
WIDTH_PX = 16  # of a stripe of each


def encode(path: Path, codec: str, pixels: str, pictures: Iterator[av.VideoFrame], **options: Any) -> Path:
    """Write frames, and return the path. `aspect` is that of a pixel; what else there is goes to the encoder."""
    aspect = options.pop("aspect", Fraction(1))
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream(codec, 25, options=options)
        stream.pix_fmt = pixels
        for index, picture in enumerate(pictures):
            if not index:
                stream.width, stream.height = picture.width, picture.height
                stream.codec_context.sample_aspect_ratio = aspect
                for name in ("color_trc", "color_primaries", "colorspace", "color_range"):
                    setattr(stream.codec_context, name, getattr(picture, name))
            picture.pts, picture.time_base = index, Fraction(1, 25)
            clip.mux(stream.encode(picture))
        clip.mux(stream.encode(None))
    return path


def pictures(images: list[NDArray[Any]], layout: str = "rgb24", pixels: str = "yuv420p") -> Iterator[av.VideoFrame]:
    for image in images:
        yield av.VideoFrame.from_ndarray(image, format=layout).reformat(format=pixels)


def filtered(frames: Iterator[av.VideoFrame], *filters: tuple[str, str]) -> Iterator[av.VideoFrame]:
    """Send frames through filters of FFmpeg, each with what it is told."""
    graph = av.filter.Graph()
    for index, frame in enumerate(frames):
        if not index:
            begin = graph.add_buffer(template=frame, time_base=Fraction(1, 25))
            graph.link_nodes(begin, *(graph.add(*each) for each in filters), graph.add("buffersink")).configure()
        graph.push(frame)
        yield graph.vpull()


def frames_of(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        frames = list(source)
        assert source.warning == ""
    return frames


def patched(path: Path, box: bytes, at: int, numbers: list[int]) -> Path:
    """Overwrite 32-bit numbers in a box of an MP4."""
    data = bytearray(path.read_bytes())
    start = data.index(box) + 4 + at
    data[start : start + 4 * len(numbers)] = np.array(numbers, ">i4").tobytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mirrored", [1, -1])
@pytest.mark.parametrize("turn", [(1, 0), (0, 1), (-1, 0), (0, -1)], ids=["0", "90", "180", "270"])
def test_each_of_eight_orientations_is_shown_as_its_matrix_says(
    tmp_path: Path, turn: tuple[int, int], mirrored: int
) -> None:
    (a, b), (c, d) = turn, (-turn[1] * mirrored, turn[0] * mirrored)
    card = draw_card(*SIZE)
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p", pictures([card]), crf="1")
    one = 1 << 16
    shown = frames_of(patched(path, b"tkhd", 40, [a * one, b * one, 0, c * one, d * one]))[0].image
    assert shown.shape == (*(SIZE if b else SIZE[::-1]), 3)
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):  # quadrants, from the middle
        assert quadrant(shown, a * x + c * y, b * x + d * y) == pytest.approx(quadrant(card, x, y), abs=12)


def quadrant(image: Image, x: int, y: int) -> NDArray[np.float64]:
    """Return the mean colour in the middle of a quadrant."""
    height, width = image.shape[:2]
    top, left = height * (2 + y) // 4, width * (2 + x) // 4
    return np.asarray(image[top - 4 : top + 4, left - 4 : left + 4].mean((0, 1)), np.float64)


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(64, 45), 92), (Fraction(8, 9), 56), (Fraction(1), 64), (Fraction(1, 60), 64)]
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, width: int) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p", pictures([draw_card(*SIZE)] * 2), aspect=aspect)
    with open_source(str(path)) as source:
        assert source.info.size == (width, 48)
        shown = next(iter(source)).image
    assert quadrant(shown, 1, -1) == pytest.approx(quadrant(draw_card(*SIZE), 1, -1), abs=16)


def coded_hdr(colours: NDArray[np.float64], transfer: int, white: float) -> NDArray[np.float64]:
    """Return SDR colours in 0..1 as HDR in BT.2020: the formulas of BT.2100, backwards."""
    light = white * colours**hdr.SDR_GAMMA @ np.linalg.inv(hdr.TO_BT709[9]).T
    if transfer == hdr.PQ:
        return hdr.encode_pq(light)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.maximum(light / 1000, 1e-9)
    scene = scene * (scene @ (0.2627, 0.6780, 0.0593))[..., None] ** (1 / 1.2 - 1)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def hdr_clip(path: Path, transfer: int, white: float, colours: NDArray[np.float64]) -> Path:
    """Write stripes of colours as a clip of 10 bits."""
    coded = np.round(65535 * coded_hdr(colours / 255, transfer, white)).astype(np.uint16)
    image = np.repeat(np.repeat(coded, WIDTH_PX, axis=0)[None], 32, axis=0)
    to_bt2020 = ("scale", "out_color_matrix=bt2020:out_range=tv"), ("format", "yuv420p10le")
    frames = list(filtered(pictures([image] * 2, "rgb48le", "rgb48le"), *to_bt2020))
    for frame in frames:
        frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = transfer, 9, 9, 1
    return encode(path, "ffv1", "yuv420p10le", iter(frames))


def stripes(path: Path) -> NDArray[np.float64]:
    with open_source(str(path)) as source:
        assert source.info.is_bt709
        _, shown = (frame.image for frame in source)
    return np.array([shown[8:24, left + 4 : left + 12].mean((0, 1)) for left in range(0, shown.shape[1], WIDTH_PX)])


@pytest.mark.parametrize("white", [hdr.SDR_WHITE, hdr.HDR_WHITE])
@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG], ids=["pq", "hlg"])
def test_hdr_becomes_its_sdr_original(tmp_path: Path, transfer: int, white: float) -> None:
    shown = stripes(hdr_clip(tmp_path / "a.mkv", transfer, white, COLOURS.astype(float)))
    assert np.abs(shown - COLOURS).max() < 10


@pytest.mark.parametrize(
    ("primaries", "matrix", "is_wide"), [(9, 9, True), (2, 9, True), (2, 10, True), (1, 9, False), (2, 1, False)]
)
def test_the_matrix_of_bt2020_tells_its_colours(primaries: int, matrix: int, is_wide: bool) -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.color_trc, frame.color_primaries, frame.colorspace = hdr.UNMARKED, primaries, matrix
    assert hdr.needs_mapping(frame) is is_wide


def test_highlights_of_hdr_are_told_apart(tmp_path: Path) -> None:
    lights = np.array([50, 100, 203, 400, 700, 1000.0])
    grey = 255 * np.repeat((lights / hdr.HDR_WHITE)[:, None] ** (1 / hdr.SDR_GAMMA), 3, axis=1)
    shown = stripes(hdr_clip(tmp_path / "a.mkv", hdr.PQ, hdr.HDR_WHITE, grey))
    assert np.all(np.diff(shown[:4, 1]) >= 4)
    assert shown[0] == pytest.approx(grey[0], abs=4)
    assert shown[-1].min() >= 250


@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=3, max_size=3), st.sampled_from([hdr.PQ, hdr.HLG]))
def test_tone_mapping_gives_back_what_was_sdr(colour: list[float], transfer: int) -> None:
    coded = coded_hdr(np.array([colour]), transfer, hdr.SDR_WHITE)
    assert hdr.to_sdr(coded, transfer, 9, hdr.SDR_WHITE)[0] == pytest.approx(colour, abs=0.04)


@given(st.floats(1, 10_000), st.floats(1, 10_000))
def test_brighter_stays_brighter(peak: float, light: float) -> None:
    pair = hdr.encode_pq(np.array([[light], [light * 1.1]]).clip(0, 10_000) * np.ones(3))
    one, other = hdr.to_sdr(pair, hdr.PQ, 1, peak)[:, 0]
    assert 0 <= one <= other + 1e-9 <= 1 + 2e-9


def woven(count: int) -> Iterator[av.VideoFrame]:
    """Return interlaced frames of a bar that moves to the right: its second field is later than its first."""
    images = []
    for index in range(count):
        image = np.zeros((48, 64, 3), np.uint8)
        for field in (0, 1):
            left = 4 + 8 * index + 6 * field
            image[field::2, left : left + 12] = 255
        images.append(image)
    return filtered(pictures(images), ("setparams", "tff"))


def combs(frame: Frame) -> float:
    """Return how much each row differs from those beside it."""
    grey = frame.image.mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def test_interlaced_frames_lose_their_combs_and_none_is_lost(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mpg", "mpeg2video", "yuv420p", woven(6), flags="+ildct+ilme", b="2M")
    frames = frames_of(path)
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(6)], abs=1e-3)
    with av.open(str(path)) as clip:
        raw = [Frame(frame.to_ndarray(format="rgb24"), 0, 0.0) for frame in clip.decode(video=0)]
    assert sum(map(combs, frames)) < sum(map(combs, raw)) / 4


def test_a_clip_whose_frames_change_midway_is_read_whole(tmp_path: Path) -> None:
    """Interlaced, then progressive and of another size, then interlaced again."""
    one = encode(tmp_path / "a.m2v", "mpeg2video", "yuv420p", woven(5), flags="+ildct+ilme").read_bytes()
    other = encode(tmp_path / "b.m2v", "mpeg2video", "yuv420p", pictures([draw_card(96, 32)] * 4)).read_bytes()
    path = tmp_path / "c.m2v"
    path.write_bytes(one + other + one)
    with av.open(str(path)) as clip:
        count = len(list(clip.decode(video=0)))
    assert [frame.image.shape for frame in frames_of(path)] == [(48, 64, 3)] * count


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "prores_ks", "yuva444p10le"), ("b.mov", "qtrle", "argb")],
)
def test_transparency_lies_on_the_backdrop(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    image = np.zeros((48, 64, 4), np.uint8)
    image[..., 0] = 200  # red, also where it is transparent
    image[:, 32:, 3] = 255
    image[:24, 32:, 3] = 128
    path = encode(tmp_path / name, codec, pixels, pictures([image] * 3, "rgba", pixels))
    for backdrop, mixed in (((255, 255, 255), (227, 127, 127)), ((0, 100, 0), (100, 50, 0))):
        with open_source(str(path), backdrop=backdrop) as source:
            shown = list(source)[1].image
        for x, y, colour in ((-1, 1, backdrop), (1, 1, (200, 0, 0)), (1, -1, mixed)):
            assert quadrant(shown, x, y) == pytest.approx(colour, abs=6)


def test_a_picture_lies_on_the_backdrop(tmp_path: Path) -> None:
    Pil.new("LA", (64, 48), (0, 0)).save(tmp_path / "a.png")
    for backdrop in ((255, 255, 255), (0, 100, 0)):
        with open_source(str(tmp_path / "a.png"), backdrop=backdrop) as source:
            assert tuple(next(iter(source)).image[0, 0]) == backdrop


def test_what_an_edit_list_hides_is_not_missed(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), 8 * index, np.uint8) for index in range(30)]
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p", pictures(images), bf="0", g="10")
    with av.open(str(path)) as clip:
        tick = clip.streams.video[0].time_base
    first = round(Fraction(12, 25) / tick)
    frames = frames_of(patched(path, b"elst", 8, [18 * 40, first]))  # so many milliseconds, from there
    assert len(frames) == 18
    assert frames[0].image.mean() == pytest.approx(8 * 12, abs=3)


@pytest.mark.parametrize("name", ["a:b.mp4", "http:a.mp4", "faults:7.mp4", "concat:a|b.mp4"])
def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from livestyle.config.look import parse_plane
    from livestyle.image.io import save_image
    from livestyle.render.backgrounds import Backgrounds
    from livestyle.video.sinks.open import open_sinks, parse_sinks
    from livestyle.video.sinks.sink import Stream

    monkeypatch.chdir(tmp_path)
    with open_sinks(parse_sinks([f"file:{name}"]), Stream(SIZE, 25), is_live=False) as outputs:
        outputs.sink.send(Frame(draw_card(*SIZE), 0, 0.0))
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert len(frames_of(Path(name))) == 1
    backgrounds = Backgrounds()
    assert backgrounds.clip_frame(parse_plane(f"video:{name}").path, 0.0, SIZE).shape == (48, 64, 3)
    backgrounds.close()
    save_image(Path("a:b.png"), draw_card(*SIZE))
    assert np.array_equal(backgrounds.picture(parse_plane("image:a:b.png").path, SIZE), draw_card(*SIZE))
