"""From a frame to its matte: segment, smooth, refine."""

from livestyle.image.pixels import fit, grayscale
from livestyle.image.types import Gray, Image, Matte, Segmenter, size_of
from livestyle.matting.jumps import Jumps, UnsafeMatteError
from livestyle.matting.main_person import MainPerson
from livestyle.matting.refine import EPSILON, GUIDED, Refinement, refine
from livestyle.matting.smoother import Smoother
from livestyle.types import Size

CALM = 3e-2  # the same for frames in a row: with less, noise and movement would redraw the edge in each
ROUNDING = 1e-3  # by which a matte may be beyond 0..1


class Matting:
    """Image and time to matte at the image's size: segment, smooth, refine. Owns the memory over time.

    Raises:
        UnsafeMatteError: a matte that is none, or jumps where `jumps` is set; others: what the segmenter raises.
    """

    def __init__(
        self, segmenter: Segmenter, smoother: Smoother | None = None, refinement: Refinement = GUIDED,
        choose: MainPerson | None = None,
    ) -> None:  # fmt: skip
        self.segmenter, self._smooth, self.refinement, self._choose = segmenter, smoother, refinement, choose
        self.size: Size = (0, 0)  # at which the segmenter last ran
        self.jumps: Jumps | None = None  # where a whole matte would uncover what must be hidden

    def take(self, segmenter: Segmenter) -> None:
        """Segment with another from now on; what is known of the time before stays."""
        self.segmenter = segmenter

    def __call__(self, image: Image, time: float = 0.0) -> Matte:
        matte = self._checked(self.segmenter(image), time)
        matte = self._refined(matte, image, time)
        return self.refinement.after(matte, image) if self.refinement.after else matte

    @property
    def epsilon(self) -> float:
        """Of the guided filter."""
        return CALM if self._smooth else EPSILON

    def steadied(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """What a segmenter gave, checked and smoothed; to be refined where the picture is.

        Args:
            gray: the picture, of the matte's size.

        Raises:
            UnsafeMatteError: as a call.
        """
        matte = self._checked(matte, time)
        return self._smooth(matte, gray, time) if self._smooth else matte

    def _checked(self, matte: Matte, time: float) -> Matte:
        if not (matte.min() >= -ROUNDING and matte.max() <= 1 + ROUNDING):  # so is NaN
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
