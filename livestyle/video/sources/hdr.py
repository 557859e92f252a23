"""HDR and wide colour become SDR: the table that FFmpeg's filter `lut3d` applies to a clip's frames."""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

Values = NDArray[np.float64]  # (..., 3) RGB
Decode = Callable[[Values], Values]  # coded values in 0..1 become light in cd/m2

SDR_WHITE, HDR_WHITE = 100.0, 203.0  # cd/m2 of a white paper: graded as SDR, and as BT.2408 has it in HDR
SDR_GAMMA = 2.4  # of BT.1886
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # of the display that BT.2100 means
HDR_FROM = 110.0  # cd/m2 of its brightest parts, from which a clip is not graded as SDR
BRIGHT_PERCENTILE = 99.5  # of a frame's pixels, which small lights do not reach
TABLE_POINTS = 49  # along each axis
SAMPLE_PX = 160  # width at which brightness is measured
SAMPLES = 8  # frames of a clip that are measured
TO_BT709 = {  # by FFmpeg's number for the primaries: the matrix to those of BT.709
    9: ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    12: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}
PQ, HLG = 16, 18  # FFmpeg's numbers for the transfer curves
BT2020_MATRICES = (9, 10)  # and for colour spaces
UNMARKED = 2  # its number for what a clip does not name


def decode_pq(coded: Values) -> Values:
    """Return the light of PQ (SMPTE ST 2084)."""
    power = coded ** (32 / 2523)
    return 10_000 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)


def encode_pq(light: Values) -> Values:
    """Return the PQ values of light in cd/m2."""
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def decode_hlg(coded: Values) -> Values:
    """Return the light of HLG (BT.2100) on its nominal display."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return HLG_PEAK * scene * (scene @ (0.2627, 0.6780, 0.0593))[..., None] ** (HLG_GAMMA - 1)


def decode_sdr(coded: Values) -> Values:
    """Return the light of SDR (BT.1886)."""
    return SDR_WHITE * coded**SDR_GAMMA


CURVES: dict[int, Decode] = {PQ: decode_pq, HLG: decode_hlg}


def needs_mapping(frame: "VideoFrame") -> bool:
    """Return whether a frame is more than SDR in BT.709. One that names only the matrix of BT.2020 has its colours."""
    is_wide = frame.color_primaries == UNMARKED and frame.colorspace in BT2020_MATRICES
    return is_wide or frame.color_trc in CURVES or frame.color_primaries in TO_BT709


def brightness(frame: "VideoFrame") -> float:
    """Return the light of the brightest parts of a frame, in cd/m2."""
    height = max(2, frame.height * SAMPLE_PX // frame.width)
    small = frame.reformat(SAMPLE_PX, height, "rgb48le").to_ndarray()
    light = CURVES.get(frame.color_trc, decode_sdr)(small / 65535)
    return float(np.percentile(light.max(axis=-1), BRIGHT_PERCENTILE))


def brightest(container: "InputContainer", video: "VideoStream") -> float:
    """Return the light of the brightest parts of a clip's pictures, in cd/m2, from frames all along it."""
    import av

    found, length = [], container.duration or 0
    for share in range(SAMPLES if length else 1):
        with suppress(av.FFmpegError, OSError, ValueError, MemoryError, StopIteration):
            if share:
                container.seek(length * share // SAMPLES)
            found.append(brightness(next(container.decode(video))))
    return max(found, default=HLG_PEAK)


def to_sdr(coded: Values, transfer: int, primaries: int, peak: float) -> Values:
    """Map coded RGB to SDR in BT.709.

    A clip that is nowhere brighter than SDR's white keeps its tones. In a brighter one the white of BT.2408 becomes
    SDR's, and the tones above it are rolled off as in BT.2390.

    Args:
        coded: in 0..1.
        transfer, primaries: FFmpeg's numbers.
        peak: light of the clip's brightest parts, in cd/m2.

    Returns:
        Values in 0..1, of the same shape.
    """
    light = CURVES.get(transfer, decode_sdr)(coded)
    matrix = TO_BT709[primaries if primaries in TO_BT709 else 9] if primaries != 1 else np.eye(3)
    light = np.maximum(light @ np.transpose(matrix), 0)
    white = SDR_WHITE if peak < HDR_FROM else HDR_WHITE
    return np.clip(rolled_off(light, white, max(peak, white)) / white, 0, 1) ** (1 / SDR_GAMMA)


def rolled_off(light: Values, white: float, peak: float) -> Values:
    """Return light whose largest channel reaches `white` where it reached `peak` before; see BT.2390, 5.4.1."""
    largest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    full, end = encode_pq(np.array([peak, white]))
    top = end / full
    value, knee = np.minimum(encode_pq(largest) / full, 1), 1.5 * top - 0.5
    t = np.maximum(value - knee, 0) / max(1 - knee, 1e-6)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    shown: Values = light * decode_pq(np.where(value < knee, value, bent) * full) / largest
    return shown


@lru_cache(4)
def table(transfer: int, primaries: int, peak: float) -> str:
    """Return the mapping of `to_sdr` as the text of a .cube file."""
    axis = np.linspace(0, 1, TABLE_POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red changes fastest
    values = to_sdr(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer, primaries, peak)
    lines = (f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in values.tolist())
    return "\n".join([f"LUT_3D_SIZE {TABLE_POINTS}", *lines, ""])
