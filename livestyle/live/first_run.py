"""What the bare command opens where nobody said what to open: the camera in a window, or else the demo."""

from collections.abc import Set
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from livestyle.config.settings import LiveSettings
from livestyle.errors import UserError
from livestyle.live.privacy import privacy_of
from livestyle.video.devices.devices import IS_LINUX, identify, video_devices
from livestyle.video.devices.loopback import loopbacks
from livestyle.video.sources.camera import Camera
from livestyle.video.sources.clip import DEMO, ClipSource
from livestyle.video.window.display import has_display
from livestyle.video.window.toolkits import TOOLKITS

CLIP = "livestyle-demo"


@dataclass(frozen=True)
class Machine:
    """What a machine has.

    Args:
        has_window: a window can be opened.
        has_camera: there is a camera, busy or not. Nobody looks for one where no window opens.
        clip: a file that is not there yet; frames: of one pass of the demo.
    """

    has_window: bool
    has_camera: bool
    clip: Path
    frames: int | None = None


def first_run(live: LiveSettings, machine: Machine) -> tuple[LiveSettings, str]:
    """Return what to open where neither a source nor a sink was asked for, and a line that says why; "" for no line.

    Without a window, the camera is never opened. In a call, nobody gets the demo.
    """
    if privacy_of(live).is_call or live.on_demand:
        return live, ""
    if not machine.has_window:
        frames = machine.frames if live.frames is live.seconds is None else live.frames
        demo = replace(live, source="demo", sinks=(f"file:{machine.clip}",), frames=frames)
        return demo, f"No window opens here: the demo goes into {machine.clip}. See: livestyle doctor"
    if not machine.has_camera:
        return replace(live, source="demo"), "There is no camera: this is the demo."
    return live, ""


def chosen(live: LiveSettings, given: Set[str]) -> tuple[LiveSettings, str]:
    """Return what to open, and a line that says why; see `first_run`.

    Args:
        given: the settings that were asked for.
    """
    return (live, "") if given & {"source", "sink"} else first_run(live, look_around())


def look_around() -> Machine:
    """Return what this machine has."""
    if can_open_window():
        return Machine(True, has_camera(), Path())
    with ClipSource(str(DEMO)) as demo:  # which opens no camera
        return Machine(False, False, free_clip(Path()), demo.info.total)


def can_open_window() -> bool:
    """Return whether there is a screen, and a toolkit whose window opens on it."""
    return has_display() and any(not why() for why, _ in TOOLKITS.values())


def has_camera() -> bool:
    """Return whether there is a camera that the first index may mean, busy or not. Loopbacks are none."""
    if IS_LINUX:
        return Path("/dev/video0").exists() or any(device not in loopbacks() for device in video_devices())
    if identify("0"):
        return True
    try:
        Camera("0").close()
    except UserError:
        return False
    return True


def free_clip(folder: Path) -> Path:
    """Return the first of livestyle-demo.mp4, livestyle-demo-2.mp4 and so on that is not there."""
    names = (CLIP if number == 1 else f"{CLIP}-{number}" for number in count(1))
    return next(path for path in (folder / f"{name}.mp4" for name in names) if not path.exists())
