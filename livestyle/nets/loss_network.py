"""Which network measures how good a style is: the user's file, torchvision's VGG-19, or livestyle's compact one."""

from pathlib import Path
from pickle import UnpicklingError

import torch

from livestyle.errors import UserError
from livestyle.files import save_tensors, sha256
from livestyle.nets.architectures.vgg import LossNetwork, from_tensors, load_loss_network
from livestyle.nets.fetch import Unreachable, fetch, silent_progress
from livestyle.nets.library import cache_folder, find_card
from livestyle.types import OpenProgress, Say

PUBLISHED = {  # torchvision's weights: their URL, and the beginning of their SHA-256
    "vgg19": ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "vgg16": ("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
}
VGG19, COMPACT = Path("vgg19"), Path("compact")  # names that are accepted instead of a file, as is "vgg16"

OpenedNetwork = tuple[LossNetwork, Path]  # and its file


def open_loss_network(
    choice: Path | None, device: str, say: Say, models: Path | None = None, wanted: str = "vgg19",
    progress: OpenProgress = silent_progress,
) -> OpenedNetwork:  # fmt: skip
    """Load a loss network on a device, frozen.

    Args:
        choice: a safetensors file of VGG-19, VGG-16 or the compact network, or a folder of vgg19.safetensors. Also
            "vgg19" or "vgg16" for torchvision's, or "compact". None takes `wanted`, or what is here where that cannot
            be fetched.
        device: as PyTorch calls it.
        say: takes a message about a choice that the user did not make.
        models: a folder of models that takes precedence.
        wanted: one of PUBLISHED.
        progress: shows a download.

    Returns:
        The network and its file.

    Raises:
        UserError: the file is missing, damaged or another network's, or cannot be fetched.
    """
    path = find_loss_network(choice, say, models, wanted, progress)
    try:
        network = load_loss_network(path)
    except UserError as error:
        was_fetched = path in map(cached_file, PUBLISHED)
        raise UserError(error.problem, "Remove it, and it is fetched anew.") if was_fetched else error from None
    return network.to(device).to(memory_format=torch.channels_last), path


def find_loss_network(
    choice: Path | None, say: Say, models: Path | None = None, wanted: str = "vgg19",
    progress: OpenProgress = silent_progress,
) -> Path:  # fmt: skip
    """Return the file of a choice; see `open_loss_network`."""
    if choice == COMPACT:
        return compact_file(models)
    if choice is not None and str(choice) not in PUBLISHED:
        return choice / "vgg19.safetensors" if choice.is_dir() else choice
    try:
        return published_file(str(choice or wanted), progress)
    except Unreachable as error:
        if choice:
            raise
        if cached_file("vgg19").is_file():
            say(f"{error.problem} VGG-19 takes its place.")
            return cached_file("vgg19")
        ratio = find_card("loss-network", str(COMPACT), models).figures["gatys_loss_ratio"]
        say(f"{error.problem} The compact loss network takes its place: what is made with it has about {ratio} times "
            f"the loss, as VGG-19 sees it.")  # fmt: skip
        return compact_file(models)


def quick_network(network: LossNetwork) -> LossNetwork | None:
    """Return the compact network on another one's device, for a third of its cost; None where that one is compact."""
    if network.taps:
        return None
    device = next(network.parameters()).device
    return load_loss_network(compact_file()).to(device).to(memory_format=torch.channels_last)


def compact_file(models: Path | None = None) -> Path:
    """Return the file of the compact network, its SHA-256 verified."""
    return find_card("loss-network", str(COMPACT), models).path(".safetensors")


def cached_file(name: str = "vgg19") -> Path:
    """Return the file in which torchvision's weights are kept, once they are fetched."""
    return cache_folder() / "loss-network" / f"{name}.safetensors"


def published_file(name: str = "vgg19", progress: OpenProgress = silent_progress) -> Path:
    """Return the file of torchvision's weights, fetched where it is not here yet, without what losses do not need.

    They are unpickled only once their SHA-256 is verified, and as tensors alone.

    Args:
        name: one of PUBLISHED; progress: shows the download.

    Raises:
        UserError: they cannot be fetched or kept, or are not the published ones.
    """
    target, (url, digest) = cached_file(name), PUBLISHED[name]
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
