"""Segmenters without a model card: clustering without training, published networks, and those of plug-ins."""

import atexit
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from livestyle.config.names import did_you_mean, find_name
from livestyle.config.settings import TRAINABLE, Settings
from livestyle.errors import UserError, has_package, pip_install
from livestyle.files import save_tensors, sha256
from livestyle.image.pixels import fit, input_size
from livestyle.image.types import Image, Matte, Segmenter, size_of
from livestyle.matting.kmeans import kmeans
from livestyle.nets.engine import Engine
from livestyle.nets.fetch import fetch, silent_progress
from livestyle.nets.library import find_cards, model_folders, user_folder
from livestyle.types import OpenProgress

if TYPE_CHECKING:
    from torch import Tensor, nn

Classes = Callable[[], Sequence[str]]  # returns the names of the classes a segmenter tells apart, in its own order

NOT_CLASSES = {"__background__", "N/A"}
MIN_INSTANCE_SCORE = 0.5  # above which an instance of Mask R-CNN counts
# Areas of the inputs:
MEDIAPIPE_PIXELS = 256 * 256
DEEPLAB_PIXELS = 416 * 416  # 520 on the short side, at which it was tested, is too slow for live pictures on a CPU
MASKRCNN_PIXELS = 800 * 600


@dataclass(frozen=True)
class Published:
    """Weights that others published.

    Args:
        url: of the file.
        digest: its SHA-256, or the beginning of that.
        files: names of files in a models folder that can stand in for it, best first. `*` stands for anything.
    """

    url: str
    digest: str
    files: tuple[str, ...]


def people() -> Sequence[str]:
    """Return the classes of a segmenter that knows nothing but people."""
    return ("person",)


@dataclass(frozen=True)
class OtherSegmenter:
    """A segmenter without a model card: a row of SEGMENTERS.

    Args:
        title: what a person reads.
        license, source, data: as in a model card.
        make: returns the segmenter. It takes the file of the weights or None, the engine, and the numbers of the
            classes to keep.
        packages: the packages it imports.
        extra: the extra of livestyle that installs them.
        published: its weights, or None.
        classes: returns the names of the classes it tells apart, in its own order.
    """

    title: str
    license: str
    source: str
    data: str
    make: Callable[[Path | None, Engine, list[int]], Segmenter]
    packages: tuple[str, ...] = ()
    extra: str = ""
    published: Published | None = None
    classes: Classes = people


def load_other_segmenter(
    name: str, engine: Engine, settings: Settings, progress: OpenProgress = silent_progress
) -> Segmenter:
    """Load a row of SEGMENTERS. Its weights are fetched if they are not here yet.

    Raises:
        UserError: a package is missing, `keep` names a class that it does not know, or the weights cannot be fetched.
    """
    kept = kept_classes(name, settings)
    return SEGMENTERS[name].make(weights_file(name, settings, progress), engine, kept)


def fetch_weights(settings: Settings, progress: OpenProgress) -> None:
    """Fetch the weights of the segmenter that the settings name, if they are published and not here yet.

    Raises:
        UserError: as `load_other_segmenter`.
    """
    name = segmenter_name(settings)
    if name in SEGMENTERS and name not in find_cards("segmenter", settings.models):
        kept_classes(name, settings)
        weights_file(name, settings, progress)


def segmenter_name(settings: Settings) -> str | None:
    """Return the exact name of the segmenter that the settings mean; a text that means none as it is."""
    if settings.segmenter is None:
        return None
    return find_name(settings.segmenter, known_segmenters(settings.models)) or settings.segmenter


def known_segmenters(models: Path | None = None) -> dict[str, str]:
    """Return the titles of all segmenters by name, of those too that are not trained here."""
    cards = {name: card.title for name, card in find_cards("segmenter", models).items()}
    return dict.fromkeys(TRAINABLE, "") | {name: row.title for name, row in SEGMENTERS.items()} | cards


def kept_classes(name: str, settings: Settings) -> list[int]:
    """Return the numbers of the classes to keep.

    Raises:
        UserError: a package is missing, or `keep` names a class that the segmenter does not know.
    """
    row = SEGMENTERS[name]
    if lacking := install_command(row):
        raise UserError(f"The segmenter '{name}' is not installed.", f"Run: {lacking}")
    return class_numbers(name, settings.keep, row.classes())


def install_command(row: OtherSegmenter) -> str:
    """Return the command that installs missing packages, or "" if none is missing."""
    return "" if all(map(has_package, row.packages)) else pip_install(row.extra)


def state(name: str, settings: Settings) -> str:
    """Return "ready" for a row of SEGMENTERS, or what is still to be done."""
    row = SEGMENTERS[name]
    ready = row.published is None or find_weights(name, settings) is not None
    return install_command(row) or ("ready" if ready else "fetched on first use")


def class_numbers(name: str, keep: str, classes: Sequence[str]) -> list[int]:
    """Return the indices in `classes` of the names in `keep`.

    Args:
        name: of the segmenter, for messages.
        keep: names separated by commas.
        classes: what the segmenter tells apart.

    Raises:
        UserError: none is named, or one that this segmenter does not know.
    """
    numbers = {known: number for number, known in enumerate(classes) if known not in NOT_CLASSES}
    wanted = [word.strip().lower() for word in keep.split(",") if word.strip()]
    if not wanted:
        raise UserError("Nothing was named that stays.", "Name something, such as: person", "keep")
    for word in wanted:
        if word not in numbers and list(numbers) == list(people()):
            others = " or ".join(other for other, row in SEGMENTERS.items() if row.classes is not people)
            raise UserError(f"The segmenter '{name}' finds people only, not '{word}'.", f"Use {others}.", "segmenter")
        if word not in numbers:
            near = did_you_mean(word, numbers)
            step = "Name another." if near else f"It knows: {', '.join(numbers)}."
            raise UserError(f"The segmenter '{name}' knows no '{word}'.{near}", step)
    return [numbers[word] for word in wanted]


def weights_file(name: str, settings: Settings, progress: OpenProgress = silent_progress) -> Path | None:
    """Return the file of a segmenter's weights, fetched if it is not here; None for a segmenter without weights.

    Raises:
        UserError: `model_file` is no file, the segmenter takes none, or the weights cannot be fetched.
    """
    published = SEGMENTERS[name].published
    if published is None:
        refuse_model_file(name, settings)
        return None
    if settings.model_file and not settings.model_file.is_file():
        raise UserError(f"There is no file {settings.model_file}.", "Check the name.", "model_file")
    here = settings.model_file or find_weights(name, settings)
    if here is None:
        target = user_folder() / "segmenters" / name / published.url.rpartition("/")[2]
        with progress(f"fetching {target.name}", 1.0) as watch:
            here = fetch(published.url, published.digest, target, watch)
    return here


def find_weights(name: str, settings: Settings) -> Path | None:
    """Return the file of a segmenter's weights in a models folder, under segmenters/NAME, or None."""
    published = SEGMENTERS[name].published
    patterns = published.files if published else ()
    places = [folder / "segmenters" / name for folder in model_folders(settings.models)]
    return next((f for place in places for pattern in patterns for f in sorted(place.glob(pattern))), None)


def refuse_model_file(name: str, settings: Settings) -> None:
    """Refuse a file of weights for a segmenter that takes none.

    Raises:
        UserError: `model_file` is given.
    """
    if settings.model_file:
        raise UserError(f"The segmenter '{name}' takes no weights of others.", "Leave them away.", "model_file")


def mediapipe(file: Path | None, engine: Engine, kept: list[int]) -> Segmenter:
    """Return MediaPipe's selfie segmentation."""
    from mediapipe import Image as MpImage
    from mediapipe import ImageFormat
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions

    assert file is not None
    options = ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_buffer=file.read_bytes()), output_confidence_masks=True
    )
    try:
        task = ImageSegmenter.create_from_options(options)
    except (RuntimeError, ValueError):
        raise UserError(f"{file} is no model that MediaPipe can segment with.", "Give another one.") from None
    # It closes through an executor, which is gone by the time of atexit. Left open, it complains.
    getattr(threading, "_register_atexit", atexit.register)(task.close)

    def segment(image: Image) -> Matte:
        small = fit(image, input_size(size_of(image), MEDIAPIPE_PIXELS, 1))
        masks = task.segment(MpImage(ImageFormat.SRGB, np.ascontiguousarray(small))).confidence_masks
        return np.array(masks[-1].numpy_view(), np.float32).reshape(small.shape[:2])

    return segment


def voc_classes() -> Sequence[str]:
    """Return the 20 classes of PASCAL VOC."""
    from torchvision.models.segmentation import DeepLabV3_MobileNet_V3_Large_Weights as Known

    names: Sequence[str] = Known.DEFAULT.meta["categories"]
    return names


def coco_classes() -> Sequence[str]:
    """Return the 80 classes of COCO."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights as Known

    names: Sequence[str] = Known.DEFAULT.meta["categories"]
    return names


def deeplabv3_mobilenet(file: Path | None, engine: Engine, kept: list[int]) -> Segmenter:
    """Return DeepLabv3 (Chen et al. 2017) on MobileNetV3 (Howard et al. 2019): the probability of the kept classes.

    Args:
        file: of the weights; engine: what runs it; kept: numbers of the classes that stay.
    """
    import torch
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large as build

    net, device = (
        with_published_weights(build(weights=None, weights_backbone=None), "deeplabv3-mobilenet", file),
        torch_device(engine),
    )
    net = net.to(device)
    mean = torch.tensor((0.485, 0.456, 0.406), device=device).view(3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225), device=device).view(3, 1, 1)

    def segment(image: Image) -> Matte:
        small = to_tensor(fit(image, input_size(size_of(image), DEEPLAB_PIXELS, 16)), device)
        with torch.inference_mode():
            scores = net(((small - mean) / deviation)[None])["out"][0].softmax(0)
            return np.asarray(scores[kept].sum(0).clamp(0, 1).cpu().numpy(), np.float32)

    return segment


def maskrcnn(file: Path | None, engine: Engine, kept: list[int]) -> Segmenter:
    """Return Mask R-CNN (He et al. 2017): every instance of a kept class stays, the rest is background.

    It takes seconds for a picture on a CPU, so it is for stills.

    Args:
        file: of the weights; engine: what runs it; kept: numbers of the classes that stay.
    """
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn as build

    net, device = build(weights=None, weights_backbone=None, box_score_thresh=MIN_INSTANCE_SCORE), torch_device(engine)
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.eps = 0.0  # with which these weights were made
    net = with_published_weights(net, "maskrcnn", file).to(device)
    chosen = torch.tensor(kept, device=device)

    def segment(image: Image) -> Matte:
        small = to_tensor(fit(image, input_size(size_of(image), MASKRCNN_PIXELS, 1)), device)
        with torch.inference_mode():
            found = net([small])[0]
            masks = found["masks"][torch.isin(found["labels"], chosen), 0]
            nobody = torch.zeros((1, *small.shape[1:]), device=device)
            return np.asarray(torch.cat([nobody, masks]).amax(0).clamp(0, 1).cpu().numpy(), np.float32)

    return segment


def torch_device(engine: Engine) -> str:
    """Return the device of a PyTorch network: the CPU beside OpenVINO."""
    return engine.device if engine.name == "torch" else "cpu"


def to_tensor(image: Image, device: str) -> "Tensor":
    """Return an image, uint8 (H, W, 3), as float32 (3, H, W) in 0..1 on a device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1).float() / 255


def with_published_weights(net: "nn.Module", name: str, file: Path | None) -> "nn.Module":
    """Return a network with its published weights, in evaluation mode.

    A published .pth is unpickled only after its SHA-256 was checked, and only tensors are read. One in the user's
    models folder is replaced by safetensors.

    Raises:
        UserError: the file is altered, or holds something else.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    published = SEGMENTERS[name].published
    assert file is not None
    assert published is not None
    is_safe = file.suffix == ".safetensors"
    if not is_safe and not sha256(file).startswith(published.digest):
        raise UserError(f"{file} is not the published {published.url}.", "Remove it, and it is fetched anew.")
    try:
        tensors = load_file(file) if is_safe else torch.load(file, map_location="cpu", weights_only=True)
        net.load_state_dict({key: tensors[key] for key in tensors if not key.startswith("aux_classifier.")})
    except (RuntimeError, SafetensorError):
        raise UserError(f"{file} holds no weights of '{name}'.", "Remove it, and it is fetched anew.") from None
    if not is_safe and file.is_relative_to(user_folder()):
        save_tensors(file.with_suffix(".safetensors"), net.state_dict())
        file.unlink()
    return net.eval()


def torchvision_weights(file: str) -> Published:
    """Return weights of torchvision, whose file name ends in the beginning of their SHA-256."""
    stem = file.removesuffix(".pth")
    url = f"https://download.pytorch.org/models/{file}"
    return Published(url, stem.rpartition("-")[2], (f"{stem}.safetensors", file))


SEGMENTERS: dict[str, OtherSegmenter] = {  # by name; a model card of the same name goes first
    "kmeans": OtherSegmenter(
        "two clusters over colour and position", "MIT", "livestyle; Lloyd (1982)", "none: it is not trained", kmeans
    ),
    "deeplabv3-mobilenet": OtherSegmenter(
        "DeepLabv3 on MobileNetV3: people and 19 kinds of things",
        "BSD-3-Clause", "torchvision; Chen et al. (2017)", "COCO 2017 (photos of Flickr, CC BY 4.0 annotations)",
        deeplabv3_mobilenet, ("torch", "torchvision", "safetensors"), "torch",
        torchvision_weights("deeplabv3_mobilenet_v3_large-fc3c493d.pth"), voc_classes,
    ),
    "maskrcnn": OtherSegmenter(
        "Mask R-CNN on ResNet-50: people and 79 kinds of things, one by one",
        "BSD-3-Clause", "torchvision; He et al. (2017)", "COCO 2017 (photos of Flickr, CC BY 4.0 annotations)",
        maskrcnn, ("torch", "torchvision", "safetensors"), "torch",
        torchvision_weights("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"), coco_classes,
    ),
    "mediapipe": OtherSegmenter(
        "MediaPipe selfie segmentation", "Apache-2.0", "Google", "not published", mediapipe,
        ("mediapipe",), "mediapipe",
        Published(
            "https://storage.googleapis.com/mediapipe-models/image_segmenter/selfie_segmenter/float16/latest/selfie_segmenter.tflite",
            "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c", ("*.tflite",),
        ),
    ),
}  # fmt: skip
