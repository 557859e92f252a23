"""Privacy: what is a call, which looks have to be confirmed in one, and that no run reaches strangers by accident."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.driver import COLOUR, Collect

from livestyle.config.look import NONE, Look, Plane, parse_plane
from livestyle.config.settings import LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.actions import make_controls
from livestyle.live.driver import Limits, Session
from livestyle.live.privacy import Privacy, privacy_of
from livestyle.render.filter import Filter
from livestyle.video.sinks.sink import Sink, Tee
from livestyle.video.sources.source import Source, SourceInfo

IN_CALL, ALONE = Privacy(is_call=True), Privacy()
COLOR, STYLE = parse_plane("color:#102030"), parse_plane("great_wave")
OPAQUE = (COLOR, Plane("image", "image:a.png", path="a.png"), Plane("video", "video:a.mp4", path="a.mp4"))
FADING = (STYLE, parse_plane("great_wave+starry_night@0.3"), parse_plane("blur"), parse_plane("bokeh:0.8"))
SHARES = st.floats(0, 1, allow_subnormal=False)
LOOKS = st.builds(
    Look,
    background=st.sampled_from([NONE, *OPAQUE, *FADING]),
    person=st.sampled_from([NONE, COLOR, *FADING]),
    background_strength=SHARES,
    person_strength=SHARES,
    keep_colors=st.booleans(),
    bypass=st.booleans(),
)


def shows_room(look: Look) -> bool:
    """Return whether a look shows the room: the camera's own picture, or a background that covers less than half."""
    is_faint = look.background in FADING and look.background_strength < 0.5
    return look.bypass or look.background == NONE or is_faint


@given(LOOKS, LOOKS)
def test_without_a_call_nothing_has_to_be_confirmed(wanted: Look, shown: Look) -> None:
    assert not ALONE.must_ask(wanted, shown)
    assert ALONE.may_start_with(wanted)


@given(LOOKS, LOOKS)
def test_in_a_call_the_room_is_not_shown_unconfirmed(wanted: Look, shown: Look) -> None:
    if shows_room(wanted) and not shows_room(shown):
        assert IN_CALL.must_ask(wanted, shown)


@given(LOOKS, LOOKS)
def test_in_a_call_a_look_that_hides_the_room_is_never_asked_about(wanted: Look, shown: Look) -> None:
    if not shows_room(wanted):
        assert not IN_CALL.must_ask(wanted, shown)
        assert IN_CALL.may_start_with(wanted)


@given(LOOKS)
def test_the_present_look_is_never_asked_about(look: Look) -> None:
    assert not IN_CALL.must_ask(look, look)


@given(LOOKS)
def test_a_remembered_look_that_shows_the_room_does_not_start_a_call(look: Look) -> None:
    if shows_room(look) and not look.bypass:  # a bypass is not remembered
        assert not IN_CALL.may_start_with(look)


@given(LOOKS, LOOKS)
def test_controls_show_the_room_in_a_call_only_once_it_is_confirmed(first: Look, wanted: Look) -> None:
    controls = make_controls(first, privacy=IN_CALL)
    if IN_CALL.must_ask(wanted, first):
        with pytest.raises(UserError, match="see your room"):
            controls.show(wanted)
        assert controls.look == first
        controls.confirm()
    else:
        controls.show(wanted)
    assert controls.look == wanted


@pytest.mark.parametrize(
    ("sinks", "private", "is_call"),
    [
        (("window",), False, False), (("null", "file:a.mp4"), False, False), (("window",), True, True),
        (("virtual-camera",), False, True), (("window", "virtual-camera:/dev/video9"), False, True),
    ],
)  # fmt: skip
def test_a_session_is_a_call_if_it_is_private_or_a_sink_reaches_strangers(
    sinks: tuple[str, ...], private: bool, is_call: bool
) -> None:
    assert privacy_of(LiveSettings(sinks=sinks, private=private)) == Privacy(is_call)


class Unread(Source):
    """A source that must not be read."""

    info = SourceInfo("unread", (64, 48), 30.0)

    def __iter__(self) -> Iterator[Frame]:
        raise AssertionError("a frame was read")


@pytest.mark.parametrize("sink", [Collect(is_call=True), Tee([Collect(), Collect(is_call=True)])], ids=["one", "tee"])
def test_a_sink_that_reaches_strangers_needs_controls_in_a_call_before_any_frame_is_read(sink: Sink) -> None:
    def session(privacy: Privacy) -> Session:
        controls = make_controls(COLOUR, privacy=privacy)
        return Session(Unread(), filter, sink, controls, Limits(), lambda _: None, lambda _: None)

    with Filter(Settings()) as filter:
        with pytest.raises(ValueError, match="collect"):
            session(ALONE)
        with pytest.raises(AssertionError, match="was read"):  # the test's own source is read otherwise
            session(IN_CALL).run()
