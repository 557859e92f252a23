"""What saves parts of a live run: on a thread of its own, under names that nobody else gets."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import platformdirs

from livestyle.errors import UserError
from livestyle.render.filter import Filter
from livestyle.video.worker import Worker

Self = TypeVar("Self", bound="Saver")


class Saver:
    """Save what it is given, on a thread of its own. Close it, or use it in `with`.

    The thread begins at once, so a subclass sets what `_save` needs before it calls `__init__`.

    Args:
        what: is saved, in a word.
        name: of the thread.
        folder: of the files, created with the first; None is `livestyle` in the user's pictures.
        more: arguments of `Worker`.
    """

    def __init__(self, what: str, name: str, folder: Path | None, **more: Any) -> None:
        self._what, self._folder = what, stills_folder(folder)
        self._messages: deque[str] = deque()
        self._worker = Worker[Any](self._work, name, **more)

    def _save(self, order: Any) -> None:
        """Save one order. This runs on the thread, and may raise any error."""
        raise NotImplementedError

    def _work(self, orders: Iterator[Any]) -> None:
        for order in orders:
            try:
                self._save(order)
            except Exception as error:  # the run goes on
                self._messages.append(
                    str(error) if isinstance(error, UserError) else f"The {self._what} was not saved: {error}"
                )
            del order  # its pictures are large

    def attach(self, filter: Filter) -> None:
        """Do nothing with the filter that renders."""

    def messages(self) -> Iterator[str]:
        """Yield lines for people since the last call: where files were saved, and what failed."""
        while self._messages:
            yield self._messages.popleft()

    def close(self) -> None:
        """Save what waits, and end the thread."""
        self._worker.end()
        self._worker.join()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def stills_folder(folder: Path | None = None) -> Path:
    """Return a folder of stills as an absolute path; for None that in the user's pictures."""
    return (folder or Path(platformdirs.user_pictures_dir()) / "livestyle").absolute()


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
