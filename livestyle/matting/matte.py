"""From a frame to its matte: segment, smooth, refine."""

from livestyle.image.pixels import fit, grayscale
from livestyle.image.types import Gray, Image, Matte, Segmenter, size_of
from livestyle.matting.jumps import Jumps, UnsafeMatteError
from livestyle.matting.main_person import MainPerson
from livestyle.matting.refine import EPSILON, GUIDED, Refinement, refine
from livestyle.matting.smoother import Smoother
from livestyle.types import Size

LIVE_EPSILON = 3e-2  # as EPSILON, for frames in a row: with less, noise would move the edge in each frame
RANGE_TOLERANCE = 1e-3  # by which a matte may be outside 0..1, from rounding


class Matting:
    """Compute mattes, and own the memory over time.

    Args:
        segmenter: takes an image and returns a coarse matte.
        smoother: smooths mattes over time; None where each picture stands alone.
        refinement: what moves the matte's edge to the picture's.
        choose: keeps one of several people; None keeps all.

    Attributes:
        segmenter: may be replaced between frames; the memory stays.
        size: width and height at which the segmenter last ran.
        jumps: checks for mattes that jump to the whole frame; None where that uncovers nothing.
    """

    def __init__(
        self, segmenter: Segmenter, smoother: Smoother | None = None, refinement: Refinement = GUIDED,
        choose: MainPerson | None = None,
    ) -> None:  # fmt: skip
        self.segmenter, self._smooth, self.refinement, self._choose = segmenter, smoother, refinement, choose
        self.size: Size = (0, 0)
        self.jumps: Jumps | None = None

    def __call__(self, image: Image, time: float = 0.0) -> Matte:
        """Return the matte of an image.

        Args:
            image: uint8 (H, W, 3).
            time: in seconds.

        Returns:
            float32 (H, W) in 0..1, 1 is person.

        Raises:
            UnsafeMatteError: the matte is invalid, or jumps to the whole frame; others: of the segmenter.
        """
        matte = self._checked(self.segmenter(image), time)
        matte = self._refined(matte, image, time)
        return self.refinement.after(matte, image) if self.refinement.after else matte

    @property
    def epsilon(self) -> float:
        """The contrast above which the guided filter takes an edge for one: variance of grey in 0..1."""
        return LIVE_EPSILON if self._smooth else EPSILON

    def smoothed(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """Check and smooth a coarse matte that was computed elsewhere, and is refined elsewhere.

        Args:
            matte: float32 (h, w).
            gray: the picture at the matte's size, uint8 (h, w).
            time: in seconds.

        Raises:
            UnsafeMatteError: the matte is invalid, or jumps to the whole frame.
        """
        matte = self._checked(matte, time)
        return self._smooth(matte, gray, time) if self._smooth else matte

    def _checked(self, matte: Matte, time: float) -> Matte:
        if not (matte.min() >= -RANGE_TOLERANCE and matte.max() <= 1 + RANGE_TOLERANCE):  # so is NaN
            raise UnsafeMatteError("the segmenter's matte is not in 0..1")
        if self.jumps:
            self.jumps.check(matte, time)
        self.size = size_of(matte)
        return self._choose(matte) if self._choose else matte

    def _refined(self, matte: Matte, image: Image, time: float) -> Matte:
        gray = grayscale(image)
        if self.refinement.before:
            return refine(self.refinement.before(matte, image), gray)
        if self._smooth:
            small = fit(gray, self.size)
            return refine(self._smooth(matte, small, time), gray, small, self.epsilon)
        return refine(matte, gray)
