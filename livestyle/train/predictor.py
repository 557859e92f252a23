"""Train one transform network for all pictures: shared convolutions, and a row of norm numbers for each style.

A table holds the rows of some pictures (Dumoulin et al. 2017). A predictor computes them from the statistics of any
picture (Ghiasi et al. 2017). Both are trained together with the convolutions.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from livestyle.image.io import list_pictures, load_image
from livestyle.image.pixels import cover
from livestyle.nets import losses
from livestyle.nets.architectures.style_rows import StyledPaint, StylePredictor, row_of
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.export.shipped import build
from livestyle.nets.tensors import as_batch
from livestyle.render.stylizer import style_card
from livestyle.train.checkpoint import load_facts, load_weights
from livestyle.train.curves import Terms
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.muon import Muon
from livestyle.train.painting import LossWeights, paint_terms
from livestyle.train.photos import Feed, Photos, load_photo
from livestyle.train.ranks import Ranks, mixed
from livestyle.train.style import descend
from livestyle.train.style_pictures import StyleTargets, even_weights

CROP_PX = 224  # side of the training squares
STYLES, PHOTOS = 4, 2  # in a step; each photo is painted in every second style
STABILITY_INTERVAL = 6  # steps
PHOTO_HOLD_OUT_INTERVAL, VALIDATION_PHOTOS, VALIDATION_SIDE_PX = 20, 2, 256
HOLD_OUT_INTERVAL = 120  # one picture of so many is held out for validation
ROW_RATES = {True: 1e-2, False: 4e-4}  # of a table, whose rows are seldom drawn, and of a predictor
GALLERY_SHARE, OWN_SHARE = 0.5, 0.8  # of the pictures drawn, those of the gallery; of these, with their own rows
WEIGHTS = LossWeights(people=1.0, usual=2.5)
FIT_STEPS, FIT_RATE, FIT_NOISE = 200, 2e-4, 1.0  # of the predictor's start from the rows of a table


@dataclass(frozen=True)
class PredictorTraining:
    """What to train, and how.

    Args:
        targets: the pictures, and what is known of them.
        photos: to paint.
        held_out: photos for validation, uint8 (H, W, 3) RGB of one size.
        network: the loss network of the pictures' Gram matrices, on the device.
        checkpoint: the file to resume from, and to write.
        start: a checkpoint or a SlimNet's weights to start from.
        is_table: learn a table of the pictures' rows instead of a predictor.
        gallery: names of files among the pictures whose rows are learnt, too, as differences from predicted ones.
        minutes: to train, over all runs together.
        rate, row_rate: highest learning rates of Adam, of the network and of what gives rows; None takes ROW_RATES'.
        weights: of the losses; ranks: the processes that train together; seed: of all chance.
    """

    targets: StyleTargets
    photos: Photos
    held_out: Tensor
    network: LossNetwork
    checkpoint: Path
    start: Path
    is_table: bool = False
    gallery: tuple[str, ...] = ()
    minutes: float = 60.0
    rate: float = 1.2e-3
    row_rate: float | None = None
    weights: LossWeights = WEIGHTS
    ranks: Ranks = field(default_factory=Ranks)
    seed: int = 0


class StyleTable(nn.Module):
    """Hold the rows of known pictures, as differences from a base that all share.

    Shape: numbers of pictures to rows (N, numbers).

    Args:
        base: the row that all start from, (numbers,); count: of pictures.
    """

    def __init__(self, base: Tensor, count: int) -> None:
        super().__init__()
        self.base = nn.Parameter(base.clone())
        self.rows = nn.ParameterList(nn.Parameter(torch.zeros_like(base)) for _ in range(count))

    def forward(self, pictures: list[int]) -> Tensor:
        return self.base + torch.stack([self.rows[number] for number in pictures])


class OwnRows(nn.Module):
    """Hold the differences of some pictures' rows from what is predicted.

    Shape: numbers of pictures to (N, numbers); 0 for a picture that has no row of its own.

    Args:
        numbers: of a row; places: the pictures' numbers.
    """

    def __init__(self, numbers: int, places: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(numbers), persistent=False)
        self.rows = nn.ParameterDict({str(place): nn.Parameter(torch.zeros(numbers)) for place in places})

    nothing: Tensor

    def forward(self, pictures: Sequence[int]) -> Tensor:
        rows: list[Tensor] = [self.rows[str(n)] if str(n) in self.rows else self.nothing for n in pictures]  # noqa: SIM401
        return torch.stack(rows)


def train_predictor(job: PredictorTraining) -> Iterator[TrainingStatus]:
    """Train, or resume from the checkpoint.

    Yields:
        The status after each step.

    Raises:
        UserError: no photo can be read, the weights do not fit, or the checkpoint cannot be written or is of another
            training. Or the training diverges.
    """
    torch.manual_seed(job.seed)
    net = build("slim").train()
    load_weights(job.start, net, "net")
    rows = StyleTable(row_of(net), len(job.targets.files)) if job.is_table else start_predictor(job, net)
    own = start_own(job, OwnRows(len(row_of(net)), places_of(job)))
    net, rows = net.to(job.ranks.device).to(memory_format=torch.channels_last), rows.to(job.ranks.device)
    both = nn.ModuleDict({"net": net, "rows": rows, "own": own.to(job.ranks.device)})
    optimizer = Muon(both, job.rate, {"rows": job.row_rate or ROW_RATES[job.is_table], "own": ROW_RATES[True]})
    step = PredictorStep(job, both, optimizer)
    names = "\n".join(file.name for file in job.targets.files)
    yield from run_training(Training(
        dict(both.items()), optimizer, job.checkpoint, job.minutes, job.seed, step, step.validate,
        notes={"pictures": names, "start": job.start.stem}, ranks=job.ranks,
    ))  # fmt: skip


class PredictorStep:
    """Take one optimizer step on a few pictures and photos.

    Args:
        job: the training; both: the network `net`, the source of `rows`, and the `own` rows; optimizer: of all.
    """

    def __init__(self, job: PredictorTraining, both: nn.ModuleDict, optimizer: torch.optim.Optimizer) -> None:
        self._job, self._both, self._optimizer = job, both, optimizer
        self._feed = Feed(job.photos, job.seed, PHOTOS * job.ranks.count)
        everything = range(len(job.targets.files))
        self._held_out = [] if job.is_table else list(everything[HOLD_OUT_INTERVAL // 2 :: HOLD_OUT_INTERVAL])
        self._pictures = [number for number in everything if number not in self._held_out]
        weights = even_weights(job.targets.files)
        self._chances = [weights[number] for number in self._pictures]
        self._gallery = places_of(job)

    def __call__(self, progress: float, images: int) -> tuple[int, Terms]:
        """Take a step; return the pictures that all processes painted, and the named losses."""
        job, count = self._job, STYLES * self._job.ranks.count
        first = images // STYLES * PHOTOS + job.ranks.rank * PHOTOS
        samples = self._feed.take(range(first, first + PHOTOS), CROP_PX)
        chance = random.Random(f"{job.seed}/{images}/{job.ranks.rank}")
        pictures = chance.choices(self._pictures, self._chances, k=STYLES)
        if self._gallery and chance.random() < GALLERY_SHARE:
            pictures = chance.sample(self._gallery, STYLES)
        views = [job.targets.views * number + self._choose_view(chance) for number in pictures]
        rows = self._rows(pictures, views)
        if chance.random() < OWN_SHARE:
            rows = rows + self._both["own"](pictures)
        paint = StyledPaint(self._both["net"], rows)
        is_stable = images // count % STABILITY_INTERVAL == 0
        grams = {layer: gram.to(job.ranks.device) for layer, gram in job.targets.grams_of(views).items()}
        terms = paint_terms(paint, job.network, grams, samples, job.weights, job.ranks.device, is_stable)
        return count, descend(self._both, terms, self._optimizer, job.ranks)

    def _choose_view(self, chance: random.Random) -> int:
        return 0 if self._job.is_table else chance.randrange(self._job.targets.views)  # a row is of the whole picture

    def _rows(self, pictures: list[int], views: list[int]) -> Tensor:
        rows = self._both["rows"]
        statistics = self._job.targets.statistics[views].to(self._job.ranks.device)
        found: Tensor = rows(pictures) if self._job.is_table else rows(statistics)
        return found

    @torch.no_grad()
    def validate(self) -> Terms:
        """Return the mean content and style losses of photos and pictures that were held out."""
        job = self._job
        pictures = self._held_out or self._pictures[::10]
        views = [number * job.targets.views for number in pictures]
        grams, rows = job.targets.grams_of(views), self._rows(pictures, views)
        batch, found = job.held_out.to(job.ranks.device), []
        with mixed(job.ranks.device):
            content = job.network(batch, losses.CONTENT_LAYER)
            for number in range(len(pictures)):
                paint = StyledPaint(self._both["net"], rows[number : number + 1].expand(len(batch), -1))
                maps = job.network(paint(batch).clamp(0, 1))
                target = {layer: gram[number : number + 1].to(job.ranks.device) for layer, gram in grams.items()}
                found.append((losses.content_loss(maps, content), job.weights.style * losses.style_loss(maps, target)))
        means = torch.tensor(found).mean(0)
        return {"content": float(means[0]), "style": float(means[1])}


def places_of(job: PredictorTraining) -> list[int]:
    """Return the numbers of the gallery's pictures."""
    return [number for number, file in enumerate(job.targets.files) if file.name in job.gallery]


def split_photos(folder: Path) -> tuple[Photos, Tensor]:
    """Return the photos of a folder to train on, and squares of some others for validation.

    Every PHOTO_HOLD_OUT_INTERVAL-th of the sorted photos is held out of all training.

    Raises:
        UserError: there are none, or one that is held out cannot be read.
    """
    paths = list_pictures(folder)
    held_out = paths[::PHOTO_HOLD_OUT_INTERVAL]
    kept = [path for path in paths if path not in held_out] or held_out
    squares = [
        cover(load_image(path), (VALIDATION_SIDE_PX, VALIDATION_SIDE_PX)) for path in held_out[:VALIDATION_PHOTOS]
    ]
    return Photos([(path.name, partial(load_photo, path)) for path in kept], str(folder)), as_batch(squares, "cpu")


def start_file(start: str) -> Path:
    """Return the weights to start from: a file, or those of a style.

    Raises:
        UserError: there is no such style, or it has no weights for PyTorch.
    """
    return Path(start) if start.endswith(".safetensors") else style_card(start, None).path(".safetensors")


def start_predictor(job: PredictorTraining, net: nn.Module) -> StylePredictor:
    """Return the predictor to begin with: the start's own, or one fitted to its table, or one of the network's row."""
    predictor = StylePredictor(job.targets.statistics.shape[1], len(row_of(net)))
    with safe_open(job.start, "pt") as file:
        if "rows.read.weight" in file.keys():  # noqa: SIM118
            load_weights(job.start, predictor, "rows")
            return predictor
    predictor.start(job.targets.statistics, row_of(net))
    table = load_table(job.start)
    places = {file.name: number for number, file in enumerate(job.targets.files)}
    known = [name for name in table if name in places]
    if known:
        rows = torch.stack([table[name] for name in known])
        fit_rows(predictor, job.targets.statistics[[places[name] * job.targets.views for name in known]], rows)
    return predictor


def start_own(job: PredictorTraining, own: OwnRows) -> OwnRows:
    """Return the gallery's rows with those of the start, where it has some."""
    known = load_own(job.start)
    with torch.no_grad():
        for place in places_of(job):
            if (row := known.get(job.targets.files[place].name)) is not None:
                own.rows[str(place)].copy_(row)
    return own


def load_own(checkpoint: Path) -> dict[str, Tensor]:
    """Return the gallery's differences from predicted rows by the names of the pictures; nothing for other files."""
    with safe_open(checkpoint, "pt") as file:
        keys = [key for key in file.keys() if key.startswith("own.rows.")]  # noqa: SIM118
        names = str(load_facts(checkpoint)["pictures"]).split("\n") if keys else []
        return {Path(names[int(key.rpartition(".")[2])]).name: file.get_tensor(key).float() for key in keys}


def load_table(checkpoint: Path) -> dict[str, Tensor]:
    """Return the rows of a table by the names of the pictures; nothing for another file."""
    with safe_open(checkpoint, "pt") as file:
        if "rows.base" not in file.keys():  # noqa: SIM118
            return {}
        names, base = str(load_facts(checkpoint)["pictures"]).split("\n"), file.get_tensor("rows.base").float()
        return {Path(name).name: base + file.get_tensor(f"rows.rows.{number}") for number, name in enumerate(names)}


def fit_rows(predictor: StylePredictor, statistics: Tensor, rows: Tensor) -> None:
    """Fit a predictor to known rows, with noise on the statistics so that it does not learn them by heart.

    Args:
        predictor: changed in place; statistics: (N, inputs); rows: (N, numbers).
    """
    predictor.write.bias.data.copy_(rows.mean(0))
    optimizer = Muon(predictor, FIT_RATE)
    for _ in range(FIT_STEPS):
        noisy = statistics + FIT_NOISE * predictor.deviation * torch.randn_like(statistics)
        loss = (predictor(noisy) - rows).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
