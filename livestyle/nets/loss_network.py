"""Which network tells how good a style is: a file of the user's, torchvision's VGG-19, or the compact one of ours."""

from pathlib import Path
from pickle import UnpicklingError

import torch

from livestyle.errors import UserError
from livestyle.files import save_tensors, sha256
from livestyle.nets.architectures.vgg import LossNetwork, from_tensors, load_loss_network
from livestyle.nets.fetch import Unreachable, fetch, silent_progress
from livestyle.nets.library import cache_folder, find_card
from livestyle.types import OpenProgress, Say

PUBLISHED = {  # where torchvision publishes its weights, and how their SHA-256 begins
    "vgg19": ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "vgg16": ("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
}
VGG19, COMPACT = Path("vgg19"), Path("compact")  # these, and "vgg16", can be named instead of a file


def open_loss_network(
    choice: Path | None, device: str, say: Say, models: Path | None = None, wanted: str = "vgg19",
    progress: OpenProgress = silent_progress,
) -> tuple[LossNetwork, Path]:  # fmt: skip
    """A loss network on a device, frozen, and the file that it is from.

    Args:
        choice: a safetensors file of VGG-19, VGG-16 or the compact network, or a folder of vgg19.safetensors; "vgg19"
            or "vgg16" for torchvision's, "compact" for ours; None for the wanted one of torchvision's, or what is here
            where that cannot be fetched.
        say: is told of a choice that the user did not make.
        models: a folder of models that goes before all others.
        wanted: one of PUBLISHED.

    Raises:
        UserError: the file is missing, damaged, or another network's; or it cannot be fetched.
    """
    path = find_loss_network(choice, say, models, wanted, progress)
    try:
        network = load_loss_network(path)
    except UserError as error:
        ours = path in map(cached, PUBLISHED)
        raise UserError(error.problem, "Remove it, and it is fetched anew.") if ours else error from None
    return network.to(device).to(memory_format=torch.channels_last), path


def find_loss_network(
    choice: Path | None, say: Say, models: Path | None = None, wanted: str = "vgg19",
    progress: OpenProgress = silent_progress,
) -> Path:  # fmt: skip
    """The file of a choice; see `open_loss_network`."""
    if choice == COMPACT:
        return compact(models)
    if choice is not None and str(choice) not in PUBLISHED:
        return choice / "vgg19.safetensors" if choice.is_dir() else choice
    try:
        return published(str(choice or wanted), progress)
    except Unreachable as error:
        if choice:
            raise
        if cached("vgg19").is_file():
            say(f"{error.problem} VGG-19 takes its place.")
            return cached("vgg19")
        ratio = find_card("loss-network", str(COMPACT), models).figures["gatys_loss_ratio"]
        say(f"{error.problem} The compact loss network takes its place: what is made with it has about {ratio} times "
            f"the loss, as VGG-19 sees it.")  # fmt: skip
        return compact(models)


def quicker(network: LossNetwork) -> LossNetwork | None:
    """The compact network on the device of another one, for a third of its cost; None where that is it already."""
    if network.taps:
        return None
    device = next(network.parameters()).device
    return load_loss_network(compact()).to(device).to(memory_format=torch.channels_last)


def compact(models: Path | None = None) -> Path:
    """The file of the compact network, its SHA-256 checked."""
    return find_card("loss-network", str(COMPACT), models).path(".safetensors")


def cached(name: str = "vgg19") -> Path:
    """Where torchvision's weights are kept, once they have been fetched."""
    return cache_folder() / "loss-network" / f"{name}.safetensors"


def published(name: str = "vgg19", progress: OpenProgress = silent_progress) -> Path:
    """The file of torchvision's weights, one of PUBLISHED, fetched where it is not here yet; of them, what losses need.

    They are unpickled only once their SHA-256 is found right, and tensors alone.

    Raises:
        UserError: they cannot be fetched, or kept, or are not the published ones.
    """
    target, (url, digest) = cached(name), PUBLISHED[name]
    if target.is_file():
        return target
    source = target.with_name(url.rpartition("/")[2])
    if not source.is_file():
        with progress(f"fetching {source.name}", 1.0) as watch:
            fetch(url, digest, source, watch)
    elif not sha256(source).startswith(digest):
        raise UserError(f"{source} is not the published {url}.", "Remove it, and it is fetched anew.")
    try:
        network = from_tensors(torch.load(source, map_location="cpu", weights_only=True))
    except (UnpicklingError, KeyError, RuntimeError, StopIteration):
        raise UserError(
            f"{source} does not hold {name[:3].upper()}-{name[3:]}.", "Remove it, and it is fetched anew."
        ) from None
    save_tensors(target, network.state_dict())
    source.unlink(missing_ok=True)
    return target
