"""A still that is not finished: its state, kept beside the result, so that the same command resumes."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from livestyle.files import beside, save_tensors
from livestyle.image.types import Image
from livestyle.stills.loss_curve import LossRow


@dataclass
class PaintState:
    """How far a still has come.

    Args:
        place: plane and scale that are painted next, counted from 0. What comes before is finished.
        pictures: uint8 (H, W, 3) RGB of each plane so far, at the size of its last finished scale.
        optimizer: state of the optimizer within a scale; empty at its beginning.
        history: a row for each iteration.
        frames: JPEGs of a time-lapse.
        plan: long side in pixels, and name of the optimizer. They are decided once, at the beginning.
    """

    place: tuple[int, int] = (0, 0)
    pictures: dict[str, Image] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    history: list[LossRow] = field(default_factory=list)
    plan: tuple[int, str] | None = None
    frames: list[bytes] = field(default_factory=list)


class Unfinished:
    """The file OUT.part.safetensors beside a result.

    Args:
        target: the result.
        digest: of all that it is made from. The state of another digest is not used.
    """

    def __init__(self, target: Path, digest: str) -> None:
        self.path, self._digest = beside(target, target.name, ".part.safetensors"), digest

    @property
    def is_there(self) -> bool:
        """Whether a state of the digest is saved."""
        return self.load().plan is not None

    def load(self) -> PaintState:
        """Return the saved state; the initial one where none is saved, or one of another digest."""
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                if facts["digest"] != self._digest:
                    return PaintState()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return PaintState()
        groups: dict[str, dict[str, Tensor]] = {"pictures": {}, "painter": {}, "frames": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        pictures = {plane: tensor.numpy() for plane, tensor in groups["pictures"].items()}
        history = [(plane, width, height, losses) for plane, width, height, losses in facts["history"]]
        plane, scale = facts["place"]
        long_side, optimizer = facts["plan"]
        frames = [groups["frames"][name].numpy().tobytes() for name in sorted(groups["frames"], key=int)]
        return PaintState((plane, scale), pictures, groups["painter"], history, (long_side, optimizer), frames)

    def save(self, state: PaintState) -> None:
        """Write the state, whole or not at all.

        Raises:
            UserError: it cannot be written.
        """
        facts = {"digest": self._digest, "place": state.place, "history": state.history, "plan": state.plan}
        tensors = {f"pictures.{plane}": torch.from_numpy(image) for plane, image in state.pictures.items()}
        tensors |= {
            f"frames.{n}": torch.frombuffer(bytearray(one), dtype=torch.uint8) for n, one in enumerate(state.frames)
        }
        tensors |= {f"painter.{name}": tensor for name, tensor in state.optimizer.items()}
        save_tensors(self.path, tensors, {"facts": json.dumps(facts)})

    def remove(self) -> None:
        """Remove the file, once the still is finished."""
        self.path.unlink(missing_ok=True)
