"""The metrics against hand-made cases and a brute-force count."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livestyle.errors import UserError
from livestyle.evaluate import evaluate_segmenters
from livestyle.image import Image, save_image
from livestyle.metrics import accuracies, confusion, edge_band, picture_scores
from livestyle.settings import Settings

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@given(masks)
def test_a_perfect_matte_scores_one(mask) -> None:  # type: ignore[no-untyped-def]
    assert set(accuracies(confusion(mask, mask)).values()) == {1.0}
    scores = picture_scores(mask.astype(np.float32), mask.astype(np.float32))
    assert scores == {"mean_iu_per_image": 1.0, "boundary_iu": 1.0, "mad": 0.0}


@given(hnp.arrays(np.bool_, (2, 12, 9)))
def test_iu_is_intersection_over_union(both) -> None:  # type: ignore[no-untyped-def]
    truth, found = both
    ius = []
    for a, b in ((truth, found), (~truth, ~found)):
        ius.append((a & b).sum() / (a | b).sum() if (a | b).any() else 1.0)
    assert accuracies(confusion(truth, found))["mean_iu"] == pytest.approx(np.mean(ius))
    assert accuracies(confusion(truth, found))["pixel_accuracy"] == pytest.approx((truth == found).mean())


def test_a_known_case() -> None:
    """Eight background pixels, two of them called person; two of person, both found."""
    scores = accuracies(np.array([[6, 2], [0, 2]]))
    assert scores["pixel_accuracy"] == pytest.approx(0.8)
    assert scores["mean_accuracy"] == pytest.approx((6 / 8 + 1) / 2)
    assert scores["mean_iu"] == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert scores["fw_iu"] == pytest.approx((8 * 6 / 8 + 2 * 2 / 4) / 10)


def test_the_band_lies_around_the_edge() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[:, 200:] = True
    band = edge_band(mask)
    assert band[:, 195:205].all()
    assert not band[:, :185].any()
    assert not band[:, 215:].any()


def test_the_table_has_a_row_or_a_sentence_for_each(tmp_path: Path, person: Image) -> None:
    save_image(tmp_path / "a.jpg", person)
    truth = np.zeros(person.shape[:2], np.uint8)
    truth[60:, 250:420] = 255
    save_image(tmp_path / "a.png", truth)
    images, table = evaluate_segmenters(Settings(), tmp_path, [], lambda name, done: None)
    assert images == 1
    assert table["deeplab"]["mean_iu"] > 0.4  # type: ignore[index,operator]
    assert list(table["deeplab"]) == [  # type: ignore[arg-type]
        "pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu", "mean_iu_per_image", "boundary_iu", "mad", "ms"
    ]  # fmt: skip
    assert "mediapipe" in table
    with pytest.raises(UserError, match="nobody"):
        evaluate_segmenters(Settings(), tmp_path, ["nobody"], lambda name, done: None)
    with pytest.raises(UserError, match="no pairs"):
        evaluate_segmenters(Settings(), tmp_path / "none", [], lambda name, done: None)
