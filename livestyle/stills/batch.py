"""Stills and mattes: a picture, every picture of a folder, the matte of a clip."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestyle.config.look import Look
from livestyle.config.outputs import OTHER, UNFINISHED, Target
from livestyle.config.picture import media_type
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.io import OPAQUE_SUFFIXES, PICTURE_SUFFIXES, READABLE_SUFFIXES, load_picture, save_image
from livestyle.image.pixels import to_gray
from livestyle.image.types import Frame
from livestyle.render.filter import Filter
from livestyle.types import FrameProgress, Say, Stop
from livestyle.video.sinks.clip import CLIPS, ClipSink
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources.open import open_source

Render = Callable[[Frame], NDArray[np.uint8]]


@dataclass(frozen=True)
class StylizedStill:
    """A picture that was processed, or could not be.

    Args:
        picture: the source; result: the target; problem: the error, None where there was none.
        is_finished: False where the run was stopped, so that the result is the picture so far.
        is_old: the result was there already, and is as it was.
    """

    picture: Path
    result: Path
    problem: UserError | None = None
    is_finished: bool = True
    is_old: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        jobs: pictures and their results; old: those whose results are there already.
    """

    jobs: list[tuple[Path, Path]]
    old: list[tuple[Path, Path]]

    def __len__(self) -> int:
        return len(self.jobs) + len(self.old)

    def with_old(self, stills: Iterable[StylizedStill]) -> Iterator[StylizedStill]:
        """Yield the results that are there already, then stills."""
        yield from (StylizedStill(*one, is_old=True) for one in self.old)
        yield from stills


def pairs(
    source: Path, target: Target, suffix: str | None = None, state_of: Callable[[Path, Path], str] | None = None
) -> Plan:
    """Return which picture becomes which: one file, or every picture of a folder into a folder, which is created.

    Args:
        source: a picture or a folder.
        target: where results go.
        suffix: of the results. None keeps each picture's own where that can be written, else .jpg.
        state_of: what a result is that is there already, by its picture and its path; see `Target.file`.

    Raises:
        UserError: there is nothing, two results would have the same name, or the result may not be replaced.
    """

    def ending(picture: Path) -> str:
        return suffix or (picture.suffix if picture.suffix.lower() in PICTURE_SUFFIXES else ".jpg")

    def state(picture: Path, result: Path) -> str:
        found = state_of(picture, result) if state_of else OTHER
        return target.state(result) if found == OTHER else found

    if not source.is_dir():
        refuse_clip(source)
        result, is_there = target.file(str(source), ending(source), lambda path: state(source, path))
        job = [(source, result)]
        return Plan([], job) if is_there else Plan(job, [])
    pictures = sorted(p for p in source.iterdir() if p.suffix.lower() in READABLE_SUFFIXES)
    if not pictures:
        raise UserError(f"There are no pictures in {source}.", f"Supported are {', '.join(READABLE_SUFFIXES)}.")
    folder, taken = target.folder(source), dict[Path, Path]()
    for picture in pictures:
        result = folder / f"{picture.stem}{ending(picture)}"
        if result in taken:
            raise UserError(f"{taken[result]} and {picture} would both become {result}.", "Rename one of them.")
        if result == picture:
            raise UserError(f"{result} would replace the picture itself.", "Give another folder.")
        taken[result] = picture
    plan = Plan([], [])
    for result, picture in taken.items():
        is_old = result.is_file() and not target.is_forced and state(picture, result) != UNFINISHED
        (plan.old if is_old else plan.jobs).append((picture, result))
    return plan


def refuse_clip(source: Path) -> None:
    """Refuse a clip in place of a picture.

    Raises:
        UserError: it is one.
    """
    if media_type(str(source)) == "video" and source.is_file():
        raise UserError(f"{source} is a clip.", f"Run: livestyle video {shlex.quote(str(source))}")


def render_stills(jobs: list[tuple[Path, Path]], render: Render, settings: Settings) -> Iterator[StylizedStill]:
    """Read, render and write each picture, with the notes of its file.

    A picture among several that cannot be read or written is yielded with its problem, and the others are processed.

    Args:
        jobs: pictures and results; render: makes one of the other.
        settings: whether the place where each was taken is kept, and the backdrop.

    Yields:
        Each picture when it is done.

    Raises:
        UserError: the only picture cannot be read or written.
    """
    for picture, result in jobs:
        if picture.resolve() == result.resolve():
            raise UserError(f"{result} is the picture itself.", "Give another name for the result.")
        try:
            image, facts = load_picture(picture, backdrop=settings.backdrop_rgb)
            save_image(result, render(Frame(image, 0, 0.0)), facts if settings.keep_location else facts.without_place())
        except UserError as problem:
            if len(jobs) == 1:
                raise
            yield StylizedStill(picture, result, problem)
            continue
        yield StylizedStill(picture, result)


def photo(
    settings: Settings, source: Path, target: Target, look: Look, say: Say = lambda line: None
) -> tuple[int, Iterator[StylizedStill]]:
    """Stylize a picture or a folder with the feed-forward styles.

    Args:
        settings: device, models, segmenter; source, target: as of `pairs`; look: of both planes.
        say: takes messages.

    Returns:
        The number of pictures, and each when it is done.

    Raises:
        UserError: as `pairs` and `render_stills`, or a look or model is wrong.
    """
    plan = pairs(source, target)
    if not plan.jobs:
        return len(plan), plan.with_old(())
    filter = Filter(settings, live=False)
    filter.prepare(look)
    for note in filter.take_notes():
        say(note)
    stills = render_stills(plan.jobs, lambda frame: filter(frame, look), settings)
    return len(plan), plan.with_old(stills)


def matte(settings: Settings, source: Path, target: Target, cutout: bool) -> tuple[int, Iterator[StylizedStill]]:
    """Make the matte of a picture, or of every picture of a folder: 8-bit grey, or the person as RGBA.

    Args:
        settings: device, models, segmenter; source, target: as of `pairs`; cutout: make RGBA.

    Returns:
        The number of pictures, and each when it is done.

    Raises:
        UserError: as `photo`.
    """
    plan = pairs(source, target, ".png")
    if not plan.jobs:
        return len(plan), plan.with_old(())
    if cutout and plan.jobs[0][1].suffix.lower() in OPAQUE_SUFFIXES:
        raise UserError(f"{plan.jobs[0][1]} cannot hold transparency.", "End it in .png, .webp or .tif.")
    filter = Filter(settings, live=False)

    def render(frame: Frame) -> NDArray[np.uint8]:
        matte = filter.matte(frame)
        return np.dstack([filter.foreground(frame.image, matte), to_gray(matte)]) if cutout else to_gray(matte)

    return len(plan), plan.with_old(render_stills(plan.jobs, render, replace(settings, keep_location=False)))


def is_clip(path: Path) -> bool:
    """Return whether a path names a clip rather than a picture or folder."""
    return not path.is_dir() and path.suffix.lower() not in READABLE_SUFFIXES


def matte_clip(settings: Settings, source: Path, target: Path, stop: Stop, say: Say, watch: FrameProgress) -> int:
    """Make the matte of a clip as a grey clip, temporally smoothed as in the live view.

    Args:
        settings: device, models, segmenter.
        source, target: clips.
        stop: ends the clip early.
        say: takes messages; watch: takes the number of frames done.

    Returns:
        The number of frames.

    Raises:
        UserError: the clip cannot be read, or the result cannot be written.
    """
    if target.suffix.lower() not in CLIPS:
        raise UserError(f"{target} does not say what kind of clip to write.", f"End it in {', '.join(CLIPS)}.")
    done = 0
    with open_source(str(source), backdrop=settings.backdrop_rgb) as frames, Filter(settings) as filter:
        with ClipSink(target, Stream(frames.info.size, frames.info.fps, is_matte=True)) as sink:
            for frame in frames:
                if stop.is_set():
                    break
                gray = to_gray(filter.matte(frame))
                sink.send(Frame(np.repeat(gray[..., None], 3, axis=2), frame.index, frame.time))
                done += 1
                watch(done)
        if frames.warning:
            say(f"Warning: {frames.warning}")
    return done
