"""Render frames as the controls say, in the chosen quality, and recover from faults."""

from contextlib import suppress

from livestyle.config.look import Look
from livestyle.config.quality import LIVE_QUALITY, QUALITIES, Quality
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, Image, size_of
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls
from livestyle.live.shown import Shown
from livestyle.matting.jumps import UnsafeMatteError
from livestyle.render.filter import Filter, NextFrame, no_next_frame
from livestyle.types import Say, Size

MAX_FAILED_FRAMES = 90  # in a row in a call, before the run ends


class Renderer:
    """Render each frame, for one thread.

    - While the networks of a new look are loaded, the look before stays.
    - If a GPU fails, the CPU takes over.
    - If a new look cannot be rendered, the controls go back to the last one that could.
    - In a call a frame that fails is replaced by the placeholder, and MAX_FAILED_FRAMES in a row end the run.

    Args:
        filter: renders the pictures.
        placeholder: uint8 (H, W, 3) RGB, in the size that the sinks expect. Pictures are fitted to it.
        say: takes messages for people.
        auto: chooses the quality while that of the controls is "auto"; None leaves it as it is.
        next_frame: returns the frame after a frame, so that the filter can start on it early.
        is_live: frames come whether a look is ready or not. Else they wait for it.
    """

    def __init__(
        self,
        filter: Filter,
        placeholder: Image,
        controls: Controls,
        say: Say,
        auto: AutoQuality | None = None,
        next_frame: NextFrame = no_next_frame,
        is_live: bool = False,
    ) -> None:
        self._filter, self._placeholder, self._controls, self._say = filter, placeholder, controls, say
        self._size, self._next_frame = size_of(placeholder), next_frame
        self._is_live = is_live
        self._quality = QualitySwitch(filter, controls, self._size, auto, is_live)
        self._good = controls.look  # the last that could be rendered
        self._failures = 0

    def __call__(self, frame: Frame, look: Look) -> Shown:
        """Return a frame in a look, in the look before while the new one is loaded, or the placeholder.

        Raises:
            Exception: what the filter raises, if nothing is left to fall back on.
        """
        drawn = look
        try:
            self._quality.choose(look)
            if not self._is_ready(look):
                drawn = self._good
                if self._controls.privacy.must_ask(drawn, look):  # it shows the room, which is to be hidden now
                    return Shown(frame, self._placeholder, look, hidden=True)
            picture = self._render(frame, drawn, drawn is look)
            picture = picture if size_of(picture) == self._size else cover(picture, self._size)
        except Exception as error:
            return self._recover(frame, look, drawn, error)
        self._failures, self._good = 0, drawn
        return Shown(frame, picture, drawn, wanted=look)

    def _is_ready(self, look: Look) -> bool:
        """Return whether a look can be drawn without delay, or no frame would be missed by it."""
        if not self._is_live or look.bypass or look is self._good:
            return True
        return self._filter.warm_up(self._filter.quality, look, self._size)

    def _render(self, frame: Frame, look: Look, is_steady: bool) -> Image:
        """Return a frame in a look. If it is steady, nothing is loaded meanwhile."""
        meter = self._filter.meter
        before = meter.stylized
        picture = self._filter(frame, look, self._next_frame)
        if is_steady:
            self._quality.measure(frame, meter.stylized > before)
        return picture

    def _recover(self, frame: Frame, look: Look, failed: Look, error: Exception) -> Shown:
        """Return what is shown of a frame after an error.

        Args:
            look: the look that is asked for; failed: the one that could not be drawn.
        """
        if is_device_error(error) and self._fall_back(error):
            return self(frame, look)
        if failed is not self._good:  # such as a damaged style, or a file that was deleted
            self._controls.refuse(failed, self._good, str(error))
            return self(frame, self._controls.look)
        self._failures += 1
        if not self._controls.privacy.is_call or self._failures > MAX_FAILED_FRAMES:
            raise error
        if self._failures == 1:
            self._say(f"Hidden behind a placeholder: {str(error) or type(error).__name__}")
        return Shown(frame, self._placeholder, look, hidden=True)

    def _fall_back(self, error: Exception) -> bool:
        """Go on with the CPU, and return whether another device was in use before."""
        device = self._filter.engine.detail
        if not self._filter.fall_back_to_cpu():
            return False
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        message = f"{device} failed ({reason}): {self._filter.engine.detail} goes on, slower."
        self._say(message)
        self._controls.notice(message)
        return True


class QualitySwitch:
    """Have the filter render in the quality that the controls ask for, for one thread.

    Args:
        filter, controls, auto: see Renderer.
        size: of the frames, (width, height) in pixels.
        is_live: see Renderer.
    """

    def __init__(
        self, filter: Filter, controls: Controls, size: Size, auto: AutoQuality | None, is_live: bool
    ) -> None:  # fmt: skip
        self._filter, self._controls, self._size, self._auto = filter, controls, size, auto
        self._is_live = is_live
        self._followed = controls.quality  # the name for which the filter's quality was last set
        self._is_steady = True  # nothing is being compiled, which would make frames late

    def choose(self, look: Look) -> None:
        """Set the quality of the next frame, once it can be rendered in a look without delay."""
        wanted, filter, auto = self._controls.quality, self._filter, self._auto
        if wanted == "auto" and auto:
            if auto.quality != filter.quality and self._is_ready(auto.quality, look):
                filter.quality = auto.quality
                self._is_steady = True
            elif auto.is_settled:
                self._is_steady = self._is_ready(auto.below, look)
        elif wanted != self._followed:
            quality = QUALITIES[LIVE_QUALITY if wanted == "auto" else wanted]
            if self._is_live and not self._is_ready(quality, look):
                return
            filter.quality = quality
        self._followed = wanted

    def _is_ready(self, quality: Quality, look: Look) -> bool:
        """Return whether a look can be painted in a quality without delay.

        A look that fails, such as a picture that vanished, never can, and is painted as before.
        """
        with suppress(Exception):
            return self._filter.warm_up(quality, look, self._size)
        return False

    def measure(self, frame: Frame, is_painted: bool) -> None:
        """Tell the automatic quality how long a frame took.

        Frames overlap, so what counts is the longest stage, not the time from the camera to the sink.

        Args:
            is_painted: styles were painted, and not just the last painting warped.
        """
        auto, meter = self._auto, self._filter.meter
        if auto and self._is_steady and auto.quality == self._filter.quality:
            styles_ms = meter.newest("stylize") if is_painted else 0.0
            busy_ms = max(styles_ms, meter.newest("segment"), meter.newest("composite"))
            auto.feed(frame.time, busy_ms / 1000, styles_ms / 1000)


def is_device_error(error: Exception) -> bool:
    """Return whether an error may come from the device that computes, such as a GPU that was reset."""
    return isinstance(error, RuntimeError) and not isinstance(error, UnsafeMatteError)
