"""Stills taken while the filter runs: saved on a thread of their own, and painted by jobs that outlive the run."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import Empty, Full, Queue
from types import TracebackType

import platformdirs

from livestyle.config.look import Look, Plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import to_gray
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.jobs import Jobs
from livestyle.nets.library import find_cards

ROOM = 3  # stills that may wait to be saved: 8 MB each at 1280x720
POLL = 1.0  # seconds between looks at the jobs


@dataclass(frozen=True)
class Shot:
    """A frame as it was shown: the source's own picture, its matte, the finished picture, and the look of that."""

    original: Image
    matte: Matte
    styled: Image
    look: Look
    taken: float = field(default_factory=time.time)  # seconds since the epoch


class Snapshots:
    """Saves stills, and has jobs paint them.

    Args:
        settings: what cuts the person out, and models, for the jobs.
        folder: of the stills; None is `livestyle` in the user's pictures. It is created with the first.
        painting: what to paint from where the look's own painting is not known.
        jobs: where they are kept; None is the user's own.

    Raises:
        UserError: the painting cannot be read.
    """

    def __init__(
        self, settings: Settings, folder: Path | None = None, painting: Path | None = None, jobs: Jobs | None = None
    ) -> None:
        if painting is not None:
            load_image(painting, 32)
        self._settings, self._painting, self._jobs = settings, painting, jobs or Jobs()
        self._folder = (folder or Path(platformdirs.user_pictures_dir()) / "livestyle").absolute()
        self._orders: Queue[tuple[Shot, bool] | None] = Queue(ROOM)
        self._news: deque[str] = deque()
        self._thread = threading.Thread(target=self._work, name="snapshots", daemon=True)

    def take(self, shot: Shot, paint: bool) -> None:
        """Have a still saved, and painted by optimisation where asked; never waits."""
        try:
            self._orders.put_nowait((shot, paint))
        except Full:
            self._news.append("The last stills are still being saved: this one was not taken.")

    def attend(
        self, orders: Iterable[bool], frame: Frame, styled: Image, look: Look, matte: Callable[[Frame], Matte]
    ) -> Iterator[str]:
        """Take the stills of a frame that were ordered, and yield what people should read.

        Args:
            orders: whether each is to be painted too.
            matte: computes the matte of the frame.
        """
        for paint in orders:
            if frame.is_blank:
                yield "No still was taken: the camera sends nothing."
                continue
            try:
                shot = Shot(frame.image, matte(frame), styled, look)
            except Exception as error:  # in a call, a segmenter that fails must not end the run
                yield f"No still was taken: {error}"
            else:
                self.take(shot, paint)
        yield from self.messages()

    def messages(self) -> Iterator[str]:
        """Yield what people should read: where stills are, and which jobs have ended."""
        while self._news:
            yield self._news.popleft()

    def close(self) -> None:
        """Save what is left."""
        if self._thread.is_alive():
            self._orders.put(None)
            self._thread.join()

    def __enter__(self) -> "Snapshots":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _work(self) -> None:
        with suppress(UserError):
            self._jobs.start_runner()
        while True:
            with suppress(UserError):
                self._news.extend(job.sentence for job in self._jobs.pop_ended())
            try:
                order = self._orders.get(timeout=POLL)
            except Empty:
                continue
            if order is None:
                return
            try:
                self._keep(*order)
            except Exception as error:  # the run goes on
                self._news.append(str(error) if isinstance(error, UserError) else f"The still was not saved: {error}")

    def _keep(self, shot: Shot, paint: bool) -> None:
        pictures = {"original": shot.original, "matte": to_gray(shot.matte), "styled": shot.styled}
        with claimed(self._folder, time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(shot.taken))) as stem:
            files = {kind: stem.with_name(f"{stem.name}-{kind}.png") for kind in (*pictures, "gatys")}
            for kind, picture in pictures.items():
                save_image(files[kind], picture)
        self._news.append(f"Saved {files['original']}, with -matte and -styled beside it.")
        if paint:
            job = self._jobs.add(self._command(shot.look, files["original"], files["gatys"]), files["gatys"])
            self._news.append(f"Job {job.id} paints {files['gatys']} in the background. See: livestyle jobs")

    def _command(self, look: Look, source: Path, target: Path) -> list[str]:
        """What paints a still by optimisation. On the CPU, so that a GPU is left to the live view."""
        for name in ("torch", "safetensors"):
            if not has_package(name):
                raise UserError(
                    f"Painting by optimisation needs the package {name}.", "Run: pip install 'livestyle[torch]'"
                )
        behind, ahead = looks_to_paint(look, self._painting, self._settings.models)
        words = ["photo", str(source), str(target), "--method", "gatys", "--background", behind, "--person", ahead]
        words += ["--device", "cpu", *(["--keep-colors"] if look.keep_colors else [])]
        for name in ("background_strength", "person_strength"):
            words += [flag(name), f"{getattr(look, name):g}"] if getattr(look, name) < 1 else []
        for name in ("segmenter", "keep", "person_count", "model_file", "models"):
            value = getattr(self._settings, name)
            if value != getattr(Settings(), name):
                words += [flag(name), str(value.absolute() if isinstance(value, Path) else value)]
        return words


def flag(name: str) -> str:
    """A setting's name as typed."""
    return f"--{name.replace('_', '-')}"


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[Path]:
    """A path in a folder with which no file's name begins, and which no other process takes meanwhile: named as asked,
    or with a number behind.

    Raises:
        UserError: the folder cannot be written.
    """
    for number in count(1):
        stem = folder / (name if number == 1 else f"{name}_{number}")
        mark = folder / f".{stem.name}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch(exist_ok=False)
        except FileExistsError:
            if not folder.is_dir():
                raise UserError(f"{folder} is a file.", "Choose a folder with --stills.") from None
            continue
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error.strerror}.", "Choose another with --stills.") from None
        try:
            if not any(folder.glob(f"{stem.name}-*")):
                yield stem
                return
        finally:
            mark.unlink(missing_ok=True)


def looks_to_paint(look: Look, given: Path | None, models: Path | None) -> tuple[str, str]:
    """Background and person as LOOKs of `photo --method gatys`: paintings, or none where a plane is not painted.

    Args:
        given: for styles whose own painting is not known; for the background, where the look paints nothing.

    Raises:
        UserError: a painting is missing, or nothing is to be painted.
    """
    behind, ahead = (look_to_paint(plane, given, models) for plane in (look.background, look.person))
    if (behind, ahead) != ("none", "none"):
        return behind, ahead
    if given is None:
        raise UserError("Nothing in this look is painted.", "Choose a style, or start with --gatys-style PICTURE.")
    return str(given.absolute()), "none"


def look_to_paint(plane: Plane, given: Path | None, models: Path | None) -> str:
    """The painting of a plane, two with their shares, or none; see `looks_to_paint`."""
    if plane.kind == "image":
        return str(Path(plane.path).absolute())
    if not plane.styles:
        return "none"
    found = [(painting_of(style, given, models), share) for style, share in plane.styles]
    first, (last, share) = found[0][0], found[-1]
    return str(first) if first == last else f"{first}+{last}@{share:g}"


def painting_of(style: str, given: Path | None, models: Path | None) -> Path:
    """The painting of a style trained here, as long as it lies where it lay; else the one that is given."""
    card = find_cards("style", models).get(style)
    digest = card.figures.get("painting_sha256") if card else None
    with suppress(OSError):  # the source may be any words
        if card and digest and Path(card.source).is_file() and sha256(Path(card.source)) == digest:
            return Path(card.source).absolute()
    if given is None:
        raise UserError(f"The painting of '{style}' is not on this machine.", "Start with --gatys-style PICTURE.")
    return given.absolute()
