"""Downloads: resumable, bounded, verified by SHA-256."""

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

READ_TIMEOUT_S = 10.0
MAX_ATTEMPTS = 5  # at a download whose connection breaks
MAX_DOWNLOAD_BYTES = 1 << 30  # also of a file of weights
BLOCK_BYTES = 1 << 18


class Unreachable(UserError):
    """The file to fetch cannot be reached."""


@contextmanager
def silent_progress(label: str, total: float | None) -> Iterator[Progress]:
    """Open a display of progress that shows nothing."""
    yield lambda done, note: None


def fetch(url: str, digest: str, target: Path, watch: Progress) -> Path:
    """Download a file. `target` exists only once the file is complete and verified.

    When the connection breaks or the program ends, the part is kept beside it, and the next call resumes.

    Args:
        url: https, or http of this machine.
        digest: SHA-256 in hexadecimal, or its beginning.
        target: the file.
        watch: takes the progress.

    Returns:
        The target.

    Raises:
        Unreachable: there is no connection, or no such file.
        UserError: the file is another one or too large, there is no space, or another process is fetching it.
    """
    part, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    hint = f"Connect and run it again, or put that file at {target}."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock, wait=False) as acquired:
            if acquired is None:
                raise UserError(f"Another process is fetching {target}.", "Wait for it, then run this again.")
            try:
                _retry(url, digest, part, watch, hint)
                if not sha256(part).startswith(digest):
                    part.unlink()
                    raise UserError(f"{url} did not come whole: its SHA-256 does not begin with {digest[:8]}.", hint)
                replace_durably(part, target)
            finally:
                with suppress(OSError):  # Windows removes no open file
                    lock.unlink()
    except OSError as error:
        raise write_error(target, error) from None
    return target


def _retry(url: str, digest: str, part: Path, watch: Progress, hint: str) -> None:
    """Download; connect again after a break, as long as each connection brings something."""
    import http.client
    import urllib.error

    for attempt in range(1, MAX_ATTEMPTS + 1):
        before = file_bytes(part)
        try:
            return _download(url, digest, part, watch)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # because it is the reply, too
                if error.code == 416 and before:  # the part is longer than the file
                    part.unlink()
                    continue
            if attempt < MAX_ATTEMPTS and file_bytes(part) > before:
                continue
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or cause
            raise Unreachable(f"{url} cannot be fetched: {reason}.", hint) from None


def _download(url: str, digest: str, part: Path, watch: Progress) -> None:
    """Append a URL's content to what is there already.

    Raises:
        ConnectionError: less came than was announced.
    """
    import urllib.request

    if (done := file_bytes(part)) and sha256(part).startswith(digest):
        return
    request = urllib.request.Request(_secure(url), headers={"Range": f"bytes={done}-"} if done else {})
    opener = urllib.request.build_opener(_same_place())
    with opener.open(request, timeout=READ_TIMEOUT_S) as reply, part.open("ab") as file:
        if done and not (reply.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            file.truncate(done := 0)
        length = reply.headers.get("Content-Length") or ""
        total = done + int(length) if length.isdecimal() and len(length) < 20 else 0
        while total <= MAX_DOWNLOAD_BYTES and done <= MAX_DOWNLOAD_BYTES and (block := reply.read(BLOCK_BYTES)):
            file.write(block)
            done += len(block)
            watch(min(1.0, done / total) if total else 0.0, f"{done / 1e6:.1f} MB")
    if max(done, total) > MAX_DOWNLOAD_BYTES:
        part.unlink()
        raise UserError(f"{url} has more than {MAX_DOWNLOAD_BYTES >> 20} MB.", "Give another address.")
    if done < total:
        raise ConnectionError(f"it broke off after {done} of {total} bytes")


def file_bytes(file: Path) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def _same_place() -> "type[urllib.request.BaseHandler]":
    """Return a handler that refuses redirects to another host."""
    import urllib.request

    class SamePlace(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, newurl))
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                raise UserError(f"{req.full_url} leads to another place, {newurl[:200]}.", "Give another address.")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return SamePlace


def _secure(url: str) -> str:
    """Return the URL, where nobody on the way can read or change the request.

    Raises:
        UserError: it is not https.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}):
        return url
    raise UserError(f"{url} is not fetched: it is not https.", "Give another address.")
