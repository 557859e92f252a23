"""The strip of a photo booth."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.image.strip import INK, MAX_CELL_PX, PAPER, lay_out_strip


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 4), st.tuples(st.integers(8, 60), st.integers(8, 60)), st.booleans())
def test_every_picture_is_there_once_on_white_paper(
    count: int, columns: int, size: tuple[int, int], is_dated: bool
) -> None:
    flat = [np.full((size[1], size[0], 3), (200, 10 + 20 * number, 5), np.uint8) for number in range(count)]
    strip = lay_out_strip(flat, columns, "1 May 2026" if is_dated else "")
    for picture in flat:
        assert (strip == picture[0, 0]).all(2).sum() == size[0] * size[1]
    rim = np.concatenate([strip[0], strip[-1], strip[:, 0], strip[:, -1]])
    assert (rim == PAPER).all()


def test_pictures_of_other_sizes_fill_their_places_and_large_ones_are_scaled() -> None:
    wide = lay_out_strip([draw_card(160, 90), draw_card(90, 160), draw_card(80, 45)], 1)
    assert wide.shape == (3 * 90 + 4 * 7, 160 + 2 * 7, 3)
    assert lay_out_strip([draw_card(MAX_CELL_PX * 2, 40)], 1).shape[1] < MAX_CELL_PX * 1.1
    dated = lay_out_strip([draw_card(160, 90)], 1, "1 May 2026")
    assert np.abs(dated[90 + 14 :].astype(int) - INK).sum(2).min() < 150
