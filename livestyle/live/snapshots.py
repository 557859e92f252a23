"""Stills of a live run: saved on a thread of their own, and painted by background jobs that outlive the run."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from livestyle.config.look import PICTURE, Look, Plane, anchored
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import to_gray
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.jobs import Jobs
from livestyle.live.saver import Saver, unused_name
from livestyle.nets.library import find_painting

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


class Snapshots(Saver):
    """Save stills, and queue jobs that paint them.

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
        super().__init__(
            "still", "snapshots", folder, room=MAX_QUEUED_STILLS, idle=self._report_jobs, idle_s=JOBS_POLL_S
        )

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

    def _work(self, orders: Iterator[tuple[Shot, bool]]) -> None:
        with suppress(UserError):
            self._jobs.start_runner()
        super()._work(orders)

    def _report_jobs(self) -> None:
        with suppress(UserError):
            self._messages.extend(job.sentence for job in self._jobs.pop_ended())

    def _save(self, order: tuple[Shot, bool]) -> None:
        shot, paint = order
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


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


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
    if plane.kind == PICTURE:
        return anchored(plane.text, Path.cwd())
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
