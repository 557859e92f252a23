"""How near mattes come to a true alpha, by --refine: python scripts/measure_matting.py PAIRS ROOMS [PICTURES]

Each portrait of PAIRS (NAME.jpg, NAME.png) is enlarged twice, given hair (strands drawn from its outline, of the
person's own colours), and set before a picture of ROOMS: so its alpha is known. PICTURES takes the cutouts.
"""

import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from livestyle.config.settings import Settings
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import cover, fast_foreground, fit, fit_matte
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.datasets import Pair, read_truth
from livestyle.render.filter import Filter

PORTRAITS = 30
STRANDS = 600


def main() -> None:
    """Print MAD, the error near the edge and the error of the colours, with hair and without."""
    pairs, rooms = (sorted(Path(place).glob("*.jpg")) for place in sys.argv[1:3])
    keep = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    filters = {name: Filter(Settings(refine=name), live=False) for name in ("guided", "crf", "matting")}
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for number, picture in enumerate(pairs[:: max(1, len(pairs) // PORTRAITS)]):
        rng = np.random.default_rng(number)
        room = load_image(rooms[number * 7 % len(rooms)])
        for kind, strands in (("as it is", 0), ("with hair", STRANDS)):
            image, truth, alone = composed(picture, room, strands, rng)
            for name, filter in filters.items():
                start = perf_counter()
                matte = filter.matte(Frame(image, 0, 0.0))
                seconds = perf_counter() - start
                rows[kind, name].append(
                    (*errors(matte, truth), color_error(filter.foreground(image, matte), alone, truth), seconds)
                )
                if keep:
                    save_image(
                        keep / f"{picture.stem}.{kind[:2]}.{name}.png", shown(filter.foreground(image, matte), matte)
                    )
            if keep:
                save_image(keep / f"{picture.stem}.{kind[:2]}.a.png", image)
    for (kind, name), values in rows.items():
        mad, near, gradient, colors, seconds = np.mean(values, 0)
        print(f"{kind:10} {name:8} MAD {mad:.4f}  near the edge {near:.4f}  gradient {gradient:.4f}  "
              f"colours {colors:.2f}  {seconds:.2f} s")  # fmt: skip


def shown(person: Image, matte: Matte) -> Image:
    """Before green, where faults show."""
    return np.asarray(cv2.blendLinear(person, np.full_like(person, (40, 160, 60)), matte, 1 - matte), np.uint8)


def composed(picture: Path, room: Image, strands: int, rng: np.random.Generator) -> tuple[Image, Matte, Image]:
    """A portrait before a room, its true alpha, and the person's colours."""
    image, matte = read_truth(Pair(picture, picture.with_suffix(".png")))
    size = image.shape[1] * 2, image.shape[0] * 2
    image, matte = fit(image, size), fit_matte(matte, size)
    person = fast_foreground(image, matte)
    if strands:
        person, matte = with_hair(person, matte, strands, rng)
    behind = cv2.GaussianBlur(cover(room, size), (0, 0), 2)
    mixed = matte[..., None] * person + (1 - matte[..., None]) * behind
    noisy = mixed + rng.normal(0, 2, mixed.shape)
    return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8), matte, person


def with_hair(person: Image, matte: Matte, strands: int, rng: np.random.Generator) -> tuple[Image, Matte]:
    """Strands that grow outward from the upper outline, each of the colour at its root."""
    rows = np.where(matte.max(1) > 0.5)[0]
    top, tall = rows[0], rows[-1] - rows[0]
    outline = max(
        cv2.findContours((matte > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len
    )[:, 0]
    outline = outline[outline[:, 1] < top + 0.45 * tall]
    middle = outline.mean(0)
    person, matte = person.copy(), matte.copy()
    for root in outline[rng.integers(0, len(outline), strands)].astype(float):
        away = (root - middle) / np.linalg.norm(root - middle) + rng.normal(0, 0.35, 2)
        length, bend = tall * rng.uniform(0.008, 0.045), rng.normal(0, 0.5)
        t = np.linspace(-0.3, 1, 12)[:, None]
        line = root + length * (t * away + bend * t**2 * away[::-1] * (1, -1))
        strand = np.zeros(matte.shape, np.uint8)
        cv2.polylines(strand, [np.round(line * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
        alpha = strand.astype(np.float32) / 255 * np.float32(rng.uniform(0.3, 0.9))
        inside = np.clip(np.round(root - 0.02 * tall * away), 0, np.array(matte.shape[::-1]) - 1).astype(int)
        color = person[inside[1], inside[0]]
        new = alpha * (1 - matte)
        share = (new / np.maximum(matte + new, 1e-6))[..., None]
        person = np.asarray((1 - share) * person + share * color + 0.5, np.uint8)
        matte = matte + new
    return person, np.clip(matte, 0, 1)


def errors(matte: Matte, truth: Matte) -> tuple[float, float, float]:
    """MAD over the picture and near the edge, and the mean error of the gradient there, each in 0..1."""
    side = round(0.05 * min(truth.shape)) | 1
    near = (cv2.blur(truth, (side, side)) > 0.001) & (cv2.blur(truth, (side, side)) < 0.999)
    slopes = [cv2.Sobel(m, cv2.CV_32F, 1, 0) + 1j * cv2.Sobel(m, cv2.CV_32F, 0, 1) for m in (matte, truth)]
    wrong = np.abs(matte - truth)
    return float(wrong.mean()), float(wrong[near].mean()), float(np.abs(slopes[0] - slopes[1])[near].mean())


def color_error(person: Image, truth: Image, matte: Matte) -> float:
    """Mean error of the person's colours where the true matte is soft, of 255, weighted by it."""
    soft = (matte > 0.02) & (matte < 0.98)
    return float((np.abs(person.astype(int) - truth)[soft].mean(1) * matte[soft]).sum() / max(1e-6, matte[soft].sum()))


if __name__ == "__main__":
    main()
