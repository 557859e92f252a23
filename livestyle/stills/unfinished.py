"""A picture that is not finished: how far it has come, kept beside the result, so that the same command goes on."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from livestyle.files import save_tensors
from livestyle.image.types import Image
from livestyle.stills.loss_curve import Row


@dataclass
class Checkpoint:
    """How far a picture has come.

    Args:
        place: the plane and the scale that are painted next, counted from 0; what is before them is done.
        pictures: of each plane, as painted so far, at the size of its last whole scale.
        painter: the state of the painter amid a scale; empty at its beginning.
        history: a row for each iteration.
        plan: the long side and the optimizer that were decided on at the beginning, and hold to the end.
    """

    place: tuple[int, int] = (0, 0)
    pictures: dict[str, Image] = field(default_factory=dict)
    painter: dict[str, Tensor] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    plan: tuple[int, str] | None = None


class Unfinished:
    """The file OUT.part.safetensors beside a result.

    Args:
        target: the result; digest: of all that it is made from: the state of another is not taken up.
    """

    def __init__(self, target: Path, digest: str) -> None:
        self.path, self._digest = target.with_name(f"{target.name}.part.safetensors"), digest

    def load(self) -> Checkpoint:
        """What was saved; the beginning where nothing was, or from something else."""
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                if facts["digest"] != self._digest:
                    return Checkpoint()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return Checkpoint()
        groups: dict[str, dict[str, Tensor]] = {"pictures": {}, "painter": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        pictures = {plane: tensor.numpy() for plane, tensor in groups["pictures"].items()}
        history = [(plane, width, height, losses) for plane, width, height, losses in facts["history"]]
        plane, scale = facts["place"]
        long_side, optimizer = facts["plan"]
        return Checkpoint((plane, scale), pictures, groups["painter"], history, (long_side, optimizer))

    def save(self, progress: Checkpoint) -> None:
        """Write it aside, then rename it.

        Raises:
            UserError: it cannot be written.
        """
        facts = {"digest": self._digest, "place": progress.place, "history": progress.history, "plan": progress.plan}
        tensors = {f"pictures.{plane}": torch.from_numpy(image) for plane, image in progress.pictures.items()}
        tensors |= {f"painter.{name}": tensor for name, tensor in progress.painter.items()}
        save_tensors(self.path, tensors, {"facts": json.dumps(facts)})

    def remove(self) -> None:
        """The picture is finished."""
        self.path.unlink(missing_ok=True)
