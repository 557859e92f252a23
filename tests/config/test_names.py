"""Names as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.config.names import did_you_mean, find_name, matching, nearest, plain, unknown

STYLES = {
    "great_wave": "The Great Wave off Kanagawa",
    "starry_night": "The Starry Night",
    "the_scream": "The Scream",
    "wheat_field_cypresses": "Wheat Field with Cypresses",
    "wheat_field_crows": "Wheat Field with Crows",
}
SEGMENTERS = ("unet", "deeplabv3plus", "deeplab-lfov", "deeplabv3-mobilenet", "segnet")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("great_wave", "great_wave"),
        ("Great Wave", "great_wave"),
        ("GREAT-WAVE", "great_wave"),
        ("the great wave off kanagawa", "great_wave"),
        ("Great Wave off Kanagawa", "great_wave"),
        ("kanagawa", "great_wave"),
        ("starry", "starry_night"),
        ("scream", "the_scream"),
        ("Cypresses", "wheat_field_cypresses"),
        ("wheat field", None),  # two
        ("the", None),
        ("st", None),  # too short for a part
        ("night watch", None),
        ("", None),
        ("---", None),
    ],
)
def test_a_name_is_found_however_it_is_written(typed: str, meant: str | None) -> None:
    assert find_name(typed, STYLES) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("U-Net", "unet"),
        ("DeepLabV3-MobileNet", "deeplabv3-mobilenet"),
        ("DeepLabV3+", "deeplabv3plus"),
        ("deeplab", None),
        ("SegNet", "segnet"),
    ],
)
def test_segmenters_are_found_by_their_usual_names(typed: str, meant: str | None) -> None:
    assert find_name(typed, SEGMENTERS) == meant


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("hokusai", ["wave", "fuji"]), ("HOKU", ["wave", "fuji"]), ("prints red", ["fuji"]), ("étretat", ["beach"]),
        ("Etretat, the", ["beach"]), ("okusai", []), ("hokusai beach", []), ("", ["wave", "fuji", "beach"]),
    ],
)  # fmt: skip
def test_a_search_finds_beginnings_of_words(typed: str, found: list[str]) -> None:
    texts = {"wave": "The Wave (Hokusai)", "fuji": "red_fuji Hokusai prints", "beach": "Étretat: The Beach"}
    assert matching(typed, texts) == found


def test_a_name_goes_before_a_title() -> None:
    known = {"starry_night": "The Starry Night", "rhone_night": "Starry Night over the Rhone"}
    assert find_name("starry", known) == "starry_night"
    assert find_name("rhone", known) == "rhone_night"
    assert find_name("night", known) is None


def test_a_part_does_not_stand_for_a_whole_name_where_it_must_not() -> None:
    assert find_name("pan", ["panic"], whole=True) is None
    assert find_name("PANIC", ["panic"], whole=True) == "panic"


@given(st.sampled_from(sorted(STYLES)), st.sampled_from([str.upper, str.title, lambda t: t.replace("_", "  ")]))
def test_case_and_spaces_do_not_count(name: str, change: object) -> None:
    assert find_name(change(name), STYLES) == name  # type: ignore[operator]


@given(st.text(max_size=20))
def test_what_is_found_or_suggested_is_known(typed: str) -> None:
    found = find_name(typed, STYLES)
    assert found is None or found in STYLES
    assert set(nearest(typed, STYLES)) <= set(STYLES)
    assert plain(plain(typed)) == plain(typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("grate_wave", " Did you mean great_wave?"),
        ("the_screm", " Did you mean the_scream?"),
        ("wheat", " Did you mean wheat_field_cypresses or wheat_field_crows?"),
        ("xyz", ""),
    ],
)
def test_a_suggestion_names_what_was_meant(typed: str, said: str) -> None:
    assert did_you_mean(typed, STYLES) == said


def test_an_unknown_name_lists_all_where_nothing_else_does() -> None:
    error = unknown("blend", "alpa", ("alpha", "poisson"))
    assert str(error) == "There is no blend 'alpa'. Did you mean alpha? Choose from: alpha, poisson."
