"""Turn a checkpoint of a predictor into what is shipped: safetensors, ONNX, card."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from livestyle.files import save_tensors, sha256, write_error
from livestyle.nets.architectures.style_rows import load_predictor
from livestyle.nets.card import KIND_FOLDERS, Card, save_card
from livestyle.nets.export.row_graph import row_model
from livestyle.nets.export.shipped import write_onnx
from livestyle.train.checkpoint import Figures, load_facts

PARTS = ("net.", "rows.")  # of a checkpoint that are kept


def publish_predictor(checkpoint: Path, pictures: int, card: Card, models: Path) -> Path:
    """Write the network and the predictor, or the table, in half precision into MODELS/predictors/NAME, with its card.

    A predictor comes with an ONNX file of the network, which takes rows.

    Args:
        checkpoint: of a finished training; pictures: how many it learnt from.
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
        save_tensors(written[0], halves, {"facts": json.dumps(facts)})
        if "rows.read.weight" in kept:
            written.append(folder / f"{card.name}.onnx")
            with torch.no_grad():
                write_onnx(row_model(load_predictor(written[0])[0]), written[1])
    except OSError as error:
        raise write_error(folder, error) from None
    figures: Figures = {"minutes": round(facts.pop("seconds") / 60, 1)}
    figures |= {key: value for key, value in facts.items() if key != "pictures"} | {"pictures": pictures}
    files = {one.name: sha256(one) for one in written}
    save_card(replace(card, files=files, figures=figures, folder=folder), folder)
    return written[0]
