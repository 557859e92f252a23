"""Stills of a live run: saved on a thread of their own, and painted by background jobs that outlive the run."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType

import platformdirs

from livestyle.config.look import Look, Plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import to_gray
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.jobs import Jobs
from livestyle.nets.library import find_painting
from livestyle.video.worker import Worker

MAX_QUEUED_STILLS = 3  # 8 MB each at 1280x720
JOBS_POLL_S = 1.0  # between looks for jobs that have ended


@dataclass(frozen=True)
class Shot:
    """A frame as it was shown.

    Args:
        original: uint8 (H, W, 3) RGB, as the source gave it.
        matte: float32 (H, W), 1 is person.
        styled: uint8 (H, W, 3) RGB, as it was shown.
        look: of `styled`.
        taken: in seconds since the epoch.
    """

    original: Image
    matte: Matte
    styled: Image
    look: Look
    taken: float = field(default_factory=time.time)


class Snapshots:
    """Save stills on a thread of their own, and queue jobs that paint them. Close it, or use it in `with`.

    Args:
        settings: segmenter and models, for the jobs.
        folder: of the stills, created with the first; None is `livestyle` in the user's pictures.
        style_image: picture file to paint from if that of a style is not on this machine; None for none.
        jobs: where jobs are queued; None is the user's own.

    Raises:
        UserError: the style image cannot be read.
    """

    def __init__(
        self, settings: Settings, folder: Path | None = None, style_image: Path | None = None, jobs: Jobs | None = None
    ) -> None:
        if style_image is not None:
            load_image(style_image, 32)
        self._settings, self._style_image, self._jobs = settings, style_image, jobs or Jobs()
        self._folder = stills_folder(folder)
        self._messages: deque[str] = deque()
        self._worker = Worker(self._work, "snapshots", MAX_QUEUED_STILLS, self._report_jobs, JOBS_POLL_S)

    def take(self, shot: Shot, paint: bool) -> None:
        """Have a still saved, unless MAX_QUEUED_STILLS wait already. This never waits.

        Args:
            paint: also queue a job that paints it by optimisation.
        """
        if not self._worker.put((shot, paint)):
            self._messages.append("The last stills are still being saved: this one was not taken.")

    def attend(
        self, orders: Iterable[bool], frame: Frame, styled: Image, look: Look, matte: Callable[[Frame], Matte]
    ) -> Iterator[str]:
        """Take the stills of a frame that were ordered, and yield messages for people.

        Args:
            orders: whether each is to be painted, too.
            frame: as the source gave it.
            styled: uint8 (H, W, 3) RGB, as the frame was shown.
            look: of `styled`.
            matte: computes the matte of the frame.
        """
        for paint in orders:
            if frame.is_blank:
                yield "No still was taken: the camera sends nothing."
                continue
            try:
                shot = Shot(frame.image, matte(frame), styled, look)
            except Exception as error:  # a segmenter that fails must not end a call
                yield f"No still was taken: {error}"
            else:
                self.take(shot, paint)
        yield from self.messages()

    def messages(self) -> Iterator[str]:
        """Yield messages for people: where stills were saved, and which jobs have ended."""
        while self._messages:
            yield self._messages.popleft()

    def close(self) -> None:
        """Save the stills that wait, and end the thread."""
        self._worker.end()
        self._worker.join()

    def __enter__(self) -> "Snapshots":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _work(self, orders: Iterator[tuple[Shot, bool]]) -> None:
        with suppress(UserError):
            self._jobs.start_runner()
        for order in orders:
            try:
                self._save(*order)
            except Exception as error:  # the run goes on
                reason = str(error) if isinstance(error, UserError) else f"The still was not saved: {error}"
                self._messages.append(reason)
            del order  # its pictures are large

    def _report_jobs(self) -> None:
        with suppress(UserError):
            self._messages.extend(job.sentence for job in self._jobs.pop_ended())

    def _save(self, shot: Shot, paint: bool) -> None:
        pictures = {"original": shot.original, "matte": to_gray(shot.matte), "styled": shot.styled}
        with unused_name(self._folder, time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(shot.taken))) as stem:
            files = {kind: stem.with_name(f"{stem.name}-{kind}.png") for kind in (*pictures, "gatys")}
            for kind, picture in pictures.items():
                save_image(files[kind], picture)
        self._messages.append(f"Saved {files['original']}, with -matte and -styled beside it.")
        if paint:
            job = self._jobs.add(self._command(shot.look, files["original"], files["gatys"]), files["gatys"])
            self._messages.append(f"Job {job.id} paints {files['gatys']} in the background. See: livestyle jobs")

    def _command(self, look: Look, source: Path, target: Path) -> list[str]:
        """Return the command that paints a still. It uses the CPU, so that a GPU is left to the live view.

        Raises:
            UserError: a package or a style image is missing, or nothing is to be painted.
        """
        need_torch("Painting by optimisation", ("torch", "safetensors"))
        background, person = looks_to_paint(look, self._style_image, self._settings.models)
        words = ["photo", str(source), str(target), "--method", "gatys", "--background", background, "--person", person]
        words += ["--device", "cpu", *(["--keep-colors"] if look.keep_colors else [])]
        for name in ("background_strength", "person_strength"):
            words += [flag(name), f"{getattr(look, name):g}"] if getattr(look, name) < 1 else []
        for name in ("segmenter", "keep", "person_count", "model_file", "models"):
            value = getattr(self._settings, name)
            if value != getattr(Settings(), name):
                words += [flag(name), str(value.absolute() if isinstance(value, Path) else value)]
        return words


def stills_folder(folder: Path | None = None) -> Path:
    """Return a folder of stills as an absolute path; for None that in the user's pictures."""
    return (folder or Path(platformdirs.user_pictures_dir()) / "livestyle").absolute()


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


@contextmanager
def unused_name(folder: Path, name: str) -> Iterator[Path]:
    """Yield a path in a folder that is no prefix of any file's name there, and that no other process gets meanwhile.

    Args:
        folder: created if it is missing.
        name: of the path. If it is in use, a number is added.

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
                raise UserError(f"{folder} is a file.", "Choose a folder for stills.", "stills") from None
            continue
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written: {error.strerror}.", "Choose another folder for stills.", "stills"
            ) from None
        try:
            if not any(folder.glob(f"{stem.name}-*")):
                yield stem
                return
        finally:
            mark.unlink(missing_ok=True)


def looks_to_paint(look: Look, default: Path | None, models: Path | None) -> tuple[str, str]:
    """Return the looks of background and person for `photo --method gatys`: style images, or "none" if not painted.

    Args:
        default: style image for styles whose own is not on this machine, and for the background if nothing is painted.
        models: folder of models that goes before all others; None for none.

    Raises:
        UserError: a style image is missing, or nothing is to be painted.
    """
    background, person = (look_to_paint(plane, default, models) for plane in (look.background, look.person))
    if (background, person) != ("none", "none"):
        return background, person
    if default is None:
        raise UserError(
            "Nothing in this look is painted.", "Choose a style, or set gatys-style to a picture.", "gatys_style"
        )
    return str(default.absolute()), "none"


def look_to_paint(plane: Plane, default: Path | None, models: Path | None) -> str:
    """Return the style image of a plane, two with their shares, or "none"; see `looks_to_paint`."""
    if plane.kind == "image":
        return str(Path(plane.path).absolute())
    if not plane.styles:
        return "none"
    images = [(style_image_of(style, default, models), share) for style, share in plane.styles]
    first, (last, share) = images[0][0], images[-1]
    return str(first) if first == last else f"{first}+{last}@{share:g}"


def style_image_of(style: str, default: Path | None, models: Path | None) -> Path:
    """Return the picture of a style's painting, if it is on this machine, else the default."""
    try:
        return find_painting(style, models)
    except UserError as error:
        if default is None:
            raise UserError(error.problem, "Set gatys-style to a picture to paint from.", "gatys_style") from None
    return default.absolute()
