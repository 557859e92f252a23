"""Write the styles of a models folder anew from their weights: python scripts/ship_styles.py models [NAME ...]

For when what is made of the weights changes: the ONNX file, its precision, the thumbnail, the card's digests.
"""

import sys
from pathlib import Path

from livestyle.nets.export.shipped import load_shipped
from livestyle.nets.library import find_nets
from livestyle.train.photos import demo_frame
from livestyle.train.publish import publish, save_thumbnail


def main() -> None:
    """Ship each again, or those that are named."""
    models, wanted = Path(sys.argv[1]), sys.argv[2:]
    for name, card in find_nets("style", models).items():
        if (
            card.folder is None
            or models.resolve() not in card.folder.resolve().parents
            or name not in (wanted or [name])
        ):
            continue
        net = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width).net
        shipped = publish(card, net, models)
        save_thumbnail(models, name, demo_frame())
        print(name, shipped.figures)


if __name__ == "__main__":
    main()
