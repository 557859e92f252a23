"""Put a small picture of each style's painting beside its card: python scripts/assets/ship_paintings.py FOLDER

FOLDER holds the pictures from which the styles were trained; their cards name them by SHA-256. Each becomes a JPEG in
sRGB without notes of any kind. Only works in the public domain stand in PAINTINGS: whoever adds one must know why.
"""

import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from livestyle.files import atomic_write, sha256
from livestyle.image.io import load_image
from livestyle.nets.card import save_card
from livestyle.nets.library import find_nets

MODELS = Path(__file__).parents[2] / "models"
LONG_SIDE_PX, MAX_BYTES = 1024, 250_000
QUALITIES = range(92, 40, -2)  # the first whose file is small enough
FLAT = "The picture is a faithful photograph of a flat work."


@dataclass(frozen=True)
class Painting:
    """What is known of a painting.

    Args:
        title: its own; artist: with the years of life, "" where nobody knows; died: the artist's last year.
        year: when it was made; held: where it is; copy: from where the picture was taken.
    """

    title: str
    artist: str
    year: str
    held: str
    copy: str
    died: int = 0

    def proof(self) -> str:
        """Why the picture may be passed on."""
        if not self.died:
            return f"It was made in the {self.year}, long before any copyright. {FLAT}"
        name = self.artist.partition(" (")[0]
        return f"{name} died in {self.died}, more than 70 years ago. It was made before 1930. {FLAT}"


PAINTINGS = {
    "bayeux_tapestry": Painting(
        "Bayeux Tapestry (detail: HIC EST WADARD)", "anonymous", "11th century", "Bayeux Museum",
        "fefagundes-15/Lumora-Gallery",
    ),
    "great_wave": Painting(
        "The Great Wave off Kanagawa", "Katsushika Hokusai (1760-1849)", "c. 1831", "a woodblock print in many museums",
        "Leonavici/Style_Transfer", 1849,
    ),
    "impression_sunrise": Painting(
        "Impression, Sunrise", "Claude Monet (1840-1926)", "1872", "Musée Marmottan Monet, Paris",
        "marionchan/Painting", 1926,
    ),
    "little_blue_horse": Painting(
        "The Little Blue Horse", "Franz Marc (1880-1916)", "1912", "Saarland Museum, Saarbrücken",
        "fefagundes-15/Lumora-Gallery", 1916,
    ),
    "seine_at_grande_jatte": Painting(
        "The Seine at La Grande Jatte", "Georges Seurat (1859-1891)", "1888",
        "Royal Museums of Fine Arts of Belgium, Brussels", "ajpkim/neural-artistic-style-transfer", 1891,
    ),
    "shipwreck": Painting(
        "The Wreck of a Transport Ship", "J. M. W. Turner (1775-1851)", "c. 1810",
        "Calouste Gulbenkian Museum, Lisbon", "lengstrom/fast-style-transfer", 1851,
    ),
    "starry_night": Painting(
        "The Starry Night", "Vincent van Gogh (1853-1890)", "1889", "Museum of Modern Art, New York",
        "jcjohnson/neural-style", 1890,
    ),
    "street_berlin": Painting(
        "Street, Berlin", "Ernst Ludwig Kirchner (1880-1938)", "1913", "Museum of Modern Art, New York",
        "naoto0804/pytorch-AdaIN", 1938,
    ),
    "the_scream": Painting(
        "The Scream", "Edvard Munch (1863-1944)", "1893", "National Museum, Oslo", "jcjohnson/fast-neural-style", 1944,
    ),
    "wheat_field_cypresses": Painting(
        "Wheat Field with Cypresses", "Vincent van Gogh (1853-1890)", "1889", "one of three versions",
        "gordicaleksa/pytorch-neural-style-transfer", 1890,
    ),
}  # fmt: skip


def encoded(picture: Path) -> bytes:
    """A small JPEG of a picture, without notes."""
    image = Image.fromarray(load_image(picture))
    image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MAX_BYTES:
            return file.getvalue()
    raise SystemExit(f"{picture} does not fit into {MAX_BYTES} bytes")


def main() -> None:
    """Ship the painting of each style whose picture is found."""
    pictures = {sha256(file): file for file in Path(sys.argv[1]).iterdir() if file.is_file()}
    for name, card in find_nets("style", MODELS).items():
        picture, known = pictures.get(card.painting_sha256), PAINTINGS.get(name)
        if picture is None or known is None or card.folder is None or MODELS not in card.folder.parents:
            print(f"{name}: no picture of it may ship, or none is here")
            continue
        file = card.folder / f"{name}.jpg"
        with atomic_write(file) as part:
            part.write_bytes(encoded(picture))
        facts = {
            "file": file.name, "sha256": sha256(file), "title": known.title, "artist": known.artist,
            "year": known.year, "source": f"{known.held}; the picture is from the GitHub repository {known.copy}",
            "public_domain": known.proof(),
        }  # fmt: skip
        save_card(replace(card, painting=facts), card.folder)
        print(f"{name}: {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
