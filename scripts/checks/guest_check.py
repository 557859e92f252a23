"""Run the virtual camera on real devices: a test camera (vivid) in, a loopback device (v4l2loopback) out.

As root in any Debian whose kernel has both modules (a virtual machine does), with FFmpeg, v4l2-ctl and, if it is to be
looked at there too, Chromium; Python with this package's dependencies, or with the package:

    modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0 vid_cap_nr=0
    modprobe v4l2loopback exclusive_caps=1 card_label=livestyle video_nr=10
    python scripts/guest_check.py --wheel dist/livestyle-0.1.0-py3-none-any.whl --out checked/

Prints a line for every check; exits with 1 if one fails. `--out` gets pictures of what was seen.
"""

import argparse
import contextlib
import fcntl
import http.server
import json
import os
import queue
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

SIZE = (640, 360)
GREY = 32  # of the placeholder
PAINT = (32, 64, 96)
PATIENCE = 240.0  # seconds: emulated machines are slow
SET_CONTROL, RED = 0xC008561C, 7  # of videodev2.h and vivid
FLIPS = 8
NAP, TOO_LATE = 0.02, 0.015  # seconds
DRIVER = Path("/sys/bus/platform/drivers/vivid")
PAGE = """<video autoplay playsinline></video><script>
const wait = ms => new Promise(r => setTimeout(r, ms));
(async () => {
  let found = {};
  try {
    let stream = null, label = "", tried = [];
    for (const d of await navigator.mediaDevices.enumerateDevices()) {
      if (d.kind != "videoinput" || label.includes("LABEL")) continue;
      try {
        stream = await navigator.mediaDevices.getUserMedia(
          {video: {deviceId: {exact: d.deviceId}, width: 640, height: 360}});
        label = stream.getVideoTracks()[0].label;
        if (!label.includes("LABEL")) stream.getTracks()[0].stop();
      } catch (error) { tried.push(`${d.label}: ${error}`); }  // the filter has the camera
    }
    if (!label.includes("LABEL")) throw `not among the cameras: ${tried}`;
    const video = document.querySelector("video");
    video.srcObject = stream;
    await video.play();
    let frames = 0, start = performance.now();
    const count = () => { frames++; video.requestVideoFrameCallback(count); };
    video.requestVideoFrameCallback(count);
    while (frames < 20 && performance.now() - start < 60000) await wait(100);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0);
    const pixels = [];
    for (let bar = 0; bar < 8; bar++)
      pixels.push([...pen.getImageData((bar + 0.5) * canvas.width / 8, canvas.height * 0.8, 1, 1).data].slice(0, 3));
    found = {label, size: [canvas.width, canvas.height], frames, pixels, png: canvas.toDataURL()};
  } catch (error) { found = {error: String(error)}; }
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Guest:
    """The devices, the package and where pictures go."""

    def __init__(self, arguments: argparse.Namespace, site: Path) -> None:
        self.camera, self.loopback, self.out = arguments.camera, arguments.loopback, arguments.out
        self.browser, self.rounds = arguments.browser, arguments.rounds
        self.environment = {
            **os.environ,
            "OPENCV_LOG_LEVEL": "OFF",
            **({"PYTHONPATH": str(site)} if any(site.iterdir()) else {}),
        }
        listed = subprocess.run(
            ["v4l2-ctl", "-d", self.camera, "-l"], capture_output=True, text=True, check=True
        ).stdout
        self.controls = {name: int(number, 16) for name, number in re.findall(r"(\w+) (0x[0-9a-f]{8}) \(", listed)}
        self.truth = bars(self.read_camera())

    def read_camera(self) -> np.ndarray:
        capture = open_capture(self.camera)
        for _ in range(3):
            ok, image = capture.read()
        capture.release()
        assert ok, "the camera gives no picture"
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def control(self, name: str, value: int) -> None:
        """Set a control of the camera, at once."""
        file = os.open(self.camera, os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(file, SET_CONTROL, struct.pack("Ii", self.controls[name], value))
        finally:
            os.close(file)

    @contextlib.contextmanager
    def live(self, *flags: str, look: str = "none") -> Iterator[subprocess.Popen[str]]:
        """The filter, from when it sends to its clean end."""
        command = [
            sys.executable, "-m", "livestyle", "live", "--source", self.camera, "--size", "640x360", "--fps", "15",
            "--background", look, "--sink", f"virtual-camera:{self.loopback}", "--json", *flags,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        lines: queue.Queue[str] = queue.Queue()
        listener = threading.Thread(target=lambda: [lines.put(line) for line in process.stderr or ()], daemon=True)
        listener.start()
        said = []
        try:
            while not any("->" in line for line in said):
                said.append(lines.get(timeout=PATIENCE))
            yield process
            process.send_signal(2)
            process.wait(60)
            assert process.returncode == 0, f"exit status {process.returncode}"
            assert process.stdout
            assert json.loads(process.stdout.read())["frames"] >= 0
        except queue.Empty:
            raise AssertionError(f"the filter did not start: {''.join(said)}") from None
        finally:
            process.kill()
            process.wait()
            listener.join(10)
            if self.out:
                rest = [lines.get_nowait() for _ in range(lines.qsize())]
                with (self.out / "filter.log").open("a") as log:
                    log.writelines([" ".join(command) + "\n", *said, *rest])

    def save(self, name: str, image: np.ndarray) -> None:
        if self.out:
            cv2.imwrite(str(self.out / f"{name}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def open_capture(device: str) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, SIZE[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, SIZE[1])
    return capture


class Reader:
    """A second process that reads the virtual camera, and keeps what each of its frames looks like."""

    CODE = """
import sys, time, cv2
capture, frames = cv2.VideoCapture(), 0
while True:
    ok, image = capture.read()
    if not ok:
        time.sleep(0.05)
        capture.open(sys.argv[1], cv2.CAP_V4L2)
        continue
    h, w = image.shape[:2]
    colours = [image[int(h * .8), int((n + .5) * w / 8)][::-1].tolist() for n in range(8)]
    print(time.monotonic(), w, h, hash(image.tobytes()), colours, sep="|", flush=True)
    frames += 1
    if frames % 15 == 0 and len(sys.argv) > 2:
        cv2.imwrite(sys.argv[2], image)
"""

    def __init__(self, guest: Guest, picture: str = "", device: str = "") -> None:
        target = [str(guest.out / f"{picture}.png")] if guest.out and picture else []
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, device or guest.loopback, *target],
            env=guest.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.frames: list[tuple[float, tuple[int, int], int, np.ndarray]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        for line in self._process.stdout or ():
            if not line.endswith("\n"):
                return  # ended in mid-line
            at, w, h, number, colours = line.split("|")
            with self._changed:
                self.frames.append((float(at), (int(w), int(h)), int(number), np.array(json.loads(colours))))
                self._changed.notify()

    def wait(self, wanted: Callable[[np.ndarray], bool], since: float = 0.0, patience: float = PATIENCE) -> float:
        """When the first frame after a moment came whose colours are as wanted."""
        found: list[float] = []

        def look() -> bool:
            found[:] = [at for at, _, _, colours in self.frames[-500:] if at > since and wanted(colours)][:1]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(look, patience):
                last = self.frames[-1][3].tolist() if self.frames else "nothing"
                raise AssertionError(f"not seen within {patience:g} s; last seen: {last}")
        return found[0]

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def bars(image: np.ndarray) -> np.ndarray:
    """The colours of the test card's eight bars, (8, 3) RGB."""
    h, w = image.shape[:2]
    return np.array([image[int(h * 0.8), int((n + 0.5) * w / 8)] for n in range(8)], int)


def near(colours: np.ndarray, truth: np.ndarray | int, tolerance: int = 6) -> bool:
    return bool(np.abs(colours.astype(int) - truth).max() <= tolerance)


class Rate:
    """Judges frames a second, unless this machine is too busy for any program to keep a rate: emulated ones that share
    their cores wake who sleeps late."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sleep, daemon=True)
        self._thread.start()

    def _sleep(self) -> None:
        wanted = time.monotonic()
        while not self._over.is_set():
            wanted += NAP
            time.sleep(max(0.0, wanted - time.monotonic()))
            self._late.append(time.monotonic() - wanted)
            wanted = time.monotonic()

    def judged(self, fps: float) -> str:
        """The rate in words.

        Raises:
            AssertionError: it is too low.
        """
        self._over.set()
        self._thread.join()
        late = float(np.percentile(self._late, 90))
        assert fps >= 12 or late > TOO_LATE, f"{fps:.1f} frames per second; sleepers wake {late * 1000:.0f} ms late"
        too_busy = f" (NOT JUDGED: sleepers wake {late * 1000:.0f} ms late)" if late > TOO_LATE else ""
        return f"{fps:.1f} fps of 15{too_busy}"


def pictures(guest: Guest) -> str:
    """Size, colours and rate, as OpenCV and FFmpeg read them."""
    with guest.live(), Reader(guest, "opencv") as reader:
        start, judge = reader.wait(lambda colours: near(colours, guest.truth)), Rate()
        reader.wait(lambda _: True, since=start + 5)
        frames = [frame for frame in reader.frames if frame[0] >= start]
        rate = (len(frames) - 1) / (frames[-1][0] - frames[0][0])
        gaps = np.diff([at for at, *_ in frames]) * 1000
        error = max(int(np.abs(colours - guest.truth).max()) for *_, colours in frames)
        assert {size for _, size, *_ in frames} == {SIZE}
        assert error <= 6, f"colours are off by {error}"
        assert len({number for _, _, number, _ in frames}) >= 15, "the picture stands still"
        words = judge.judged(rate)
    with guest.live():
        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "v4l2", "-i", guest.loopback, "-frames:v", "20", "-f", "rawvideo",
             "-pix_fmt", "rgb24", "-"], capture_output=True, check=True, timeout=PATIENCE,
        ).stdout  # fmt: skip
        images = np.frombuffer(raw, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)
        guest.save("ffmpeg", images[-1])
        theirs = int(np.abs(bars(images[-1]) - guest.truth).max())
        assert len(images) == 20
        assert theirs <= 6, f"FFmpeg's colours are off by {theirs}"
    return (
        f"{SIZE[0]}x{SIZE[1]}, {words}, gaps p50 {np.median(gaps):.0f} ms, "
        f"p99 {np.percentile(gaps, 99):.0f} ms; "
        f"colours off by {error} of 255 (OpenCV), {theirs} (FFmpeg)"
    )


def painted(guest: Guest) -> str:
    """The filter at work: nobody is in the picture, so all of it is the background."""
    with guest.live(look="color:#204060"), Reader(guest, "painted") as reader:
        seen = reader.wait(lambda colours: near(colours, np.array(PAINT)))
        reader.wait(lambda _: True, since=seen + 5)
        assert not any(near(colours, guest.truth, 20) for *_, colours in reader.frames), "the raw picture was sent"
    return f"background {PAINT}, never the raw picture"


def steady(guest: Guest) -> str:
    """The camera is slower than it says: frames are repeated."""
    guest.control("percentage_of_dropped_buffers", 40)
    try:
        with guest.live(), Reader(guest) as reader:
            start, judge = reader.wait(lambda colours: near(colours, guest.truth)), Rate()
            reader.wait(lambda _: True, since=start + 6)
            times = [at for at, *_ in reader.frames if at >= start]
            fresh = len({number for at, _, number, _ in reader.frames if at >= start})
            rate, share = (len(times) - 1) / (times[-1] - times[0]), fresh / len(times)
            words = judge.judged(rate)
            assert share < 0.8, "the camera was not slow"
    finally:
        guest.control("percentage_of_dropped_buffers", 0)
    return f"{words}, of which {share:.0%} are new"


def _away_and_back(guest: Guest, rounds: int, leave: Callable[[], None], come: Callable[[], None]) -> str:
    hidden, back = [], []
    with guest.live() as process, Reader(guest) as reader:
        now = reader.wait(lambda colours: near(colours, guest.truth))
        handles = None
        for _ in range(rounds):
            left = time.monotonic()
            leave()
            now = reader.wait(lambda colours: near(colours, GREY, 2), since=left)
            hidden.append(now - left)
            came = time.monotonic()
            come()
            returned = time.monotonic()
            now = reader.wait(lambda colours: near(colours, guest.truth), since=came)
            back.append(now - returned)
            held = (
                len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
                len(list(Path(f"/proc/{process.pid}/task").iterdir())),
            )
            handles = handles or held
        assert held[0] <= handles[0] + 1, f"handles grew from {handles} to {held}"
        assert held[1] <= handles[1] + 1, f"threads grew from {handles} to {held}"
    return (
        f"{rounds} times: placeholder after {np.median(hidden):.2f} s (most {max(hidden):.2f}), "
        f"picture again {np.median(back):.2f} s after its return (most {max(back):.2f})"
    )


def unplugged(guest: Guest) -> str:
    """Unplugged and plugged in again."""
    name = next(entry.name for entry in DRIVER.iterdir() if entry.name.startswith("vivid."))
    try:
        return _away_and_back(
            guest, guest.rounds, lambda: (DRIVER / "unbind").write_text(name) and None,
            lambda: (DRIVER / "bind").write_text(name) and None,
        )  # fmt: skip
    finally:
        if not (DRIVER / name).exists():
            (DRIVER / "bind").write_text(name)


def frozen(guest: Guest) -> str:
    """Open, and silent."""
    try:
        return _away_and_back(
            guest, min(3, guest.rounds), lambda: guest.control("percentage_of_dropped_buffers", 100),
            lambda: guest.control("percentage_of_dropped_buffers", 0),
        )  # fmt: skip
    finally:
        guest.control("percentage_of_dropped_buffers", 0)


def delay(guest: Guest) -> str:
    """From a change before the camera to the frame that shows it, with the filter between and without."""

    def measure(reader: Reader) -> list[float]:
        reader.wait(lambda colours: near(colours, guest.truth))
        took = []
        for number in range(2 * FLIPS):
            red = number % 2 == 0
            time.sleep(0.3 + 0.017 * number)  # at another moment between two frames each time
            start = time.monotonic()
            guest.control("test_pattern", RED if red else 0)
            seen = reader.wait(lambda colours, red=red: is_red(colours) is red, since=start)  # type: ignore[misc]
            took.append(seen - start)
        return took

    def is_red(colours: np.ndarray) -> bool:
        return bool((colours[:, 0] > 150).all() and (colours[:, 1:] < 90).all())

    try:
        with Reader(guest, device=guest.camera) as reader:
            bare = measure(reader)
        with guest.live(), Reader(guest) as reader:
            through = measure(reader)
    finally:
        guest.control("test_pattern", 0)
    added = np.median(through) - np.median(bare)
    return (
        f"{len(through)} changes: {np.median(through) * 1000:.0f} ms through the filter, "
        f"{np.median(bare) * 1000:.0f} ms from the camera itself: {added * 1000:.0f} ms more ({added * 15:.1f} frames)"
    )


def watchers(guest: Guest) -> str:
    """Programs that open the virtual camera come and go."""
    with guest.live():
        for _ in range(5):
            with Reader(guest) as reader:
                reader.wait(lambda colours: near(colours, guest.truth))
    return "5 readers, one after the other"


def senders(guest: Guest) -> str:
    """The device serves the next sender, ours or another program's."""
    for _ in range(2):
        with guest.live():
            pass
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=10", "-frames:v", "5",
         "-pix_fmt", "yuv420p", "-f", "v4l2", guest.loopback], check=True, timeout=PATIENCE,
    )  # fmt: skip
    with guest.live():
        pass
    return "filter, filter, FFmpeg, filter"


def on_demand(guest: Guest) -> str:
    """The camera is held only while somebody watches."""

    def holds(process: subprocess.Popen[str]) -> bool:
        found = False
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found |= str(link.readlink()) == guest.camera
        return found

    def wait(process: subprocess.Popen[str], wanted: bool) -> float:
        start = time.monotonic()
        while holds(process) is not wanted:
            assert time.monotonic() - start < PATIENCE, f"the camera is {'not ' * wanted}held"
            time.sleep(0.05)
        return time.monotonic() - start

    took, left = [], []
    with guest.live("--on-demand") as process:
        for _ in range(3):
            left.append(wait(process, False))
            start = time.monotonic()
            with Reader(guest) as reader:
                seen = reader.wait(lambda colours: near(colours, guest.truth))
                took.append(seen - max(start, reader.frames[0][0]))
                assert holds(process)
    return f"picture {max(took):.2f} s after the first frame read, camera let go of {max(left):.2f} s after the last"


def browser(guest: Guest) -> str:
    """Chromium shows it through getUserMedia."""
    program = guest.browser or next(
        (p for p in ("chromium", "chromium-browser", "google-chrome") if shutil.which(p)), ""
    )
    if not program:
        return "not run: there is no Chromium"
    found: queue.Queue[dict[str, object]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                PAGE.replace(
                    "LABEL", Path(f"/sys/class/video4linux/{Path(guest.loopback).name}/name").read_text().strip()
                ).encode()
            )

        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with guest.live(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream",
            f"--user-data-dir={home}", f"http://127.0.0.1:{server.server_port}/",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            seen = found.get(timeout=4 * PATIENCE)
        except queue.Empty:
            raise AssertionError("Chromium sent nothing") from None
        finally:
            process.kill()
            process.wait()
            server.shutdown()
    assert "error" not in seen, seen["error"]
    import base64

    if guest.out:
        (guest.out / "chromium.png").write_bytes(base64.b64decode(str(seen["png"]).partition(",")[2]))
    error = int(np.abs(np.array(seen["pixels"]) - guest.truth).max())
    assert tuple(seen["size"]) == SIZE, seen["size"]  # type: ignore[arg-type]
    assert error <= 8, f"colours are off by {error}: {seen['pixels']}"
    return f"'{seen['label']}', {seen['frames']} frames, colours off by {error} of 255"


def doctor(guest: Guest) -> str:
    """What `livestyle doctor` says of these devices."""
    done = subprocess.run(
        [sys.executable, "-m", "livestyle", "doctor", "--json"], env=guest.environment, capture_output=True, text=True,
        check=True, timeout=5 * PATIENCE,
    )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    wanted = [
        check for name, check in checks.items() if name.startswith(("camera /dev", "virtual camera", "v4l2loopback"))
    ]
    assert wanted
    assert all(check["ok"] for check in wanted), wanted
    return "; ".join(f"{check['name']}: {check['detail']}" for check in wanted)


CHECKS = (pictures, delay, painted, steady, senders, watchers, unplugged, frozen, on_demand, doctor, browser)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="a build to check; without it, the package that is installed")
    parser.add_argument("--camera", default="/dev/video0", help="vivid's device (default: %(default)s)")
    parser.add_argument("--loopback", default="/dev/video10", help="v4l2loopback's device (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="a folder for pictures and the filter's messages")
    parser.add_argument("--rounds", type=int, default=5, help="how often to unplug the camera (default: %(default)s)")
    parser.add_argument("--browser", help="Chromium's command")
    parser.add_argument(
        "checks", nargs="*", metavar="CHECK", help=f"of {', '.join(c.__name__ for c in CHECKS)} (default: all)"
    )
    arguments = parser.parse_args()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as site:
        if arguments.wheel:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site]
            subprocess.run([*pip, str(arguments.wheel)], check=True)
        guest = Guest(arguments, Path(site))
        for check in CHECKS:
            if arguments.checks and check.__name__ not in arguments.checks:
                continue
            start = time.monotonic()
            try:
                words, outcome = check(guest), "ok  "
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                words, outcome, failed = f"{type(error).__name__}: {error}", "FAIL", failed + 1
            print(f"{outcome} {check.__name__} ({time.monotonic() - start:.0f} s): {words}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
