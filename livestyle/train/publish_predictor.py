"""Turn a checkpoint of a predictor into what is shipped: safetensors, ONNX, card."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from livestyle.files import save_tensors, sha256, write_error
from livestyle.nets.architectures.style_rows import StylePredictor, load_predictor
from livestyle.nets.card import KIND_FOLDERS, Card, save_card
from livestyle.nets.export.row_graph import row_model
from livestyle.nets.export.shipped import write_onnx
from livestyle.train.checkpoint import Figures, load_facts
from livestyle.train.predictor import load_own
from livestyle.train.style_pictures import StyleTargets

PARTS = ("net.", "rows.")  # of a checkpoint that are kept


def publish_predictor(checkpoint: Path, targets: StyleTargets, card: Card, models: Path) -> Path:
    """Write the network and the predictor, or the table, in half precision into MODELS/predictors/NAME, with its card.

    A predictor comes with an ONNX file of the network, which takes rows. The rows of a gallery lie beside the
    checkpoint, in NAME.gallery.safetensors.

    Args:
        checkpoint: of a finished training; targets: what it learnt from.
        card: without files, figures and folder; models: the folder to write to.

    Returns:
        The file of the weights.

    Raises:
        UserError: the checkpoint is damaged, or the folder cannot be written to.
    """
    facts = load_facts(checkpoint)
    with safe_open(checkpoint, "pt") as file:
        kept = {key: file.get_tensor(key) for key in file.keys() if key.startswith(PARTS)}  # noqa: SIM118
    folder = models / KIND_FOLDERS[card.kind] / card.name
    written = [folder / f"{card.name}.safetensors"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        halves = {key: tensor.half().contiguous() for key, tensor in kept.items()}
        save_tensors(written[0], halves, {"kind": card.kind, "net": card.net})
        if "rows.read.weight" in kept:
            written.append(folder / f"{card.name}.onnx")
            net, predictor = load_predictor(written[0])
            write_onnx(row_model(net), written[1])
            save_gallery(checkpoint, predictor, targets)
    except OSError as error:
        raise write_error(folder, error) from None
    figures: Figures = {"minutes": round(facts.pop("seconds") / 60, 1)}
    figures |= {key: value for key, value in facts.items() if key != "pictures"} | {"pictures": len(targets.files)}
    files = {one.name: sha256(one) for one in written}
    save_card(replace(card, files=files, figures=figures, folder=folder), folder)
    return written[0]


@torch.no_grad()
def save_gallery(checkpoint: Path, predictor: StylePredictor, targets: StyleTargets) -> None:
    """Write the rows of the gallery's pictures in half precision, where there are some, with the pictures' names."""
    own = load_own(checkpoint)
    places = [number for number, file in enumerate(targets.files) if file.name in own]
    if not places:
        return
    names = [targets.files[place].name for place in places]
    statistics = targets.statistics[[place * targets.views for place in places]]
    rows = predictor(statistics) + torch.stack([own[name] for name in names])
    save_tensors(checkpoint.with_suffix(".gallery.safetensors"), {"rows": rows.half()}, {"pictures": "\n".join(names)})
