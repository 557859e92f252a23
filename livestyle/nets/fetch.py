"""Downloads: resumable, bounded, checked by SHA-256."""

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livestyle.errors import UserError
from livestyle.files import locked, replace_durably, sha256, write_error
from livestyle.types import Progress

if TYPE_CHECKING:
    import urllib.request

PATIENCE = 10.0  # seconds without a byte after which a download is given up
ATTEMPTS = 5  # at a download that breaks off
LARGEST = 1 << 30  # bytes of a download, and of a file of weights


class Unreachable(UserError):
    """What was to be fetched cannot be had from here."""


@contextmanager
def silent_progress(label: str, total: float | None) -> Iterator[Progress]:
    """Open a display of progress that shows nothing."""
    yield lambda done, note: None


def fetch(url: str, digest: str, target: Path, watch: Progress) -> Path:
    """Download a file and return `target`, which is there only once the file is whole and is the right one.

    What has come when the connection breaks or the program ends is kept beside it, and the next call goes on there.

    Args:
        url: https, or http of this machine.
        digest: SHA-256 in hexadecimal, or its beginning.

    Raises:
        Unreachable: no connection, or no such file.
        UserError: another file than expected, too large a one, no room for it, or another process is fetching it.
    """
    part, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    by_hand = f"Connect and run it again, or put that file at {target}."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock, wait=False) as mine:
            if mine is None:
                raise UserError(f"Another process is fetching {target}.", "Wait for it, then run this again.")
            try:
                _persist(url, digest, part, watch, by_hand)
                if not sha256(part).startswith(digest):
                    part.unlink()
                    raise UserError(f"{url} did not come whole: its SHA-256 does not begin with {digest[:8]}.", by_hand)
                replace_durably(part, target)
            finally:
                with suppress(OSError):  # Windows removes nothing that is open
                    lock.unlink()
    except OSError as error:
        raise write_error(target, error) from None
    return target


def _persist(url: str, digest: str, part: Path, watch: Progress, by_hand: str) -> None:
    """Download; a connection that breaks is made anew, as long as it brings something."""
    import http.client
    import urllib.error

    for attempt in range(1, ATTEMPTS + 1):
        before = size_of(part)
        try:
            return _download(url, digest, part, watch)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the reply, too
                if error.code == 416 and before:  # there is more than the whole
                    part.unlink()
                    continue
            if attempt < ATTEMPTS and size_of(part) > before:
                continue
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or cause
            raise Unreachable(f"{url} cannot be fetched: {reason}.", by_hand) from None


def _download(url: str, digest: str, part: Path, watch: Progress) -> None:
    """Write what a URL gives behind what is there already.

    Raises:
        ConnectionError: less came than was announced.
    """
    import urllib.request

    if (done := size_of(part)) and sha256(part).startswith(digest):
        return
    request = urllib.request.Request(_trusted(url), headers={"Range": f"bytes={done}-"} if done else {})
    with urllib.request.build_opener(_redirects()).open(request, timeout=PATIENCE) as reply, part.open("ab") as file:
        if done and not (reply.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            file.truncate(done := 0)
        length = reply.headers.get("Content-Length") or ""
        total = done + int(length) if length.isdecimal() and len(length) < 20 else 0
        while total <= LARGEST and done <= LARGEST and (block := reply.read(1 << 18)):
            file.write(block)
            done += len(block)
            watch(min(1.0, done / total) if total else 0.0, f"{done / 1e6:.1f} MB")
    if max(done, total) > LARGEST:
        part.unlink()
        raise UserError(f"{url} has more than {LARGEST >> 20} MB.", "Give another address.")
    if done < total:
        raise ConnectionError(f"it broke off after {done} of {total} bytes")


def size_of(file: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def _redirects() -> "type[urllib.request.BaseHandler]":
    """What keeps a download at the address that was asked for."""
    import urllib.request

    class StaysThere(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, newurl))
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                raise UserError(f"{req.full_url} leads to another place, {newurl[:200]}.", "Give another address.")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return StaysThere


def _trusted(url: str) -> str:
    """The URL, where nobody on the way can read or change what is asked for."""
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}):
        return url
    raise UserError(f"{url} is not fetched: it is not https.", "Give another address.")
