"""A source, a sink, and runs of the driver."""

from collections.abc import Iterator, Sequence

from livestyle.config.look import look_of
from livestyle.config.settings import Settings
from livestyle.image.types import Frame, Image
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.driver import Limits, Session
from livestyle.live.privacy import Privacy
from livestyle.live.report import Report
from livestyle.live.shown import Follower
from livestyle.live.snapshots import Snapshots
from livestyle.render.filter import Filter
from livestyle.video.sinks.sink import Sink, SinkInfo
from livestyle.video.sources.source import Source, SourceInfo
from livestyle.video.window.preview import Preview
from support.pictures import draw_card


class Cards(Source):
    """A source of test cards, in each of `sizes` in turn."""

    info = SourceInfo("cards", (64, 48), 30.0)

    def __init__(self, count: int = 10**9, sizes: tuple[tuple[int, int], ...] = ((64, 48),)) -> None:
        self.count, self.sizes = count, sizes

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(draw_card(*self.sizes[index % len(self.sizes)], seed=index), index, index / 30)


class Collect(Sink, Preview):
    """A sink that keeps every frame. As a preview it presses the keys of a script: {number of frames: key}."""

    def __init__(self, script: dict[int, str] | None = None, is_call: bool = False) -> None:
        self.info = SinkInfo("collect", is_call=is_call)
        self.frames: list[Frame] = []
        self.notices: list[str] = []
        self.script = script or {}

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def hide(self, image: Image) -> None:
        self.hidden = len(self.frames), image

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def events(self) -> list[str]:
        key = self.script.get(len(self.frames))
        return [key] if key else []


ENDLESS = Limits()


COLOUR = look_of(Settings(background="color:#804020"), "")
QUICK = Settings(segmenter="kmeans")  # no network to load


def go(
    source: Source,
    sink: Sink,
    limits: Limits = ENDLESS,
    controls: Controls | None = None,
    filter: Filter | None = None,
    snapshots: Snapshots | None = None,
    private: bool = False,
    followers: Sequence[Follower] = (),
) -> tuple[Report, list[str]]:
    """Run the driver, and return the report and the messages."""
    said: list[str] = []
    controls = controls or make_controls(COLOUR, privacy=Privacy(private or sink.info.is_call))
    with filter or Filter(QUICK) as ready:
        preview = sink if isinstance(sink, Preview) else None
        session = Session(
            source, ready, sink, controls, limits, said.append, lambda _: None, snapshots=snapshots, preview=preview,
            followers=followers,
        )  # fmt: skip
        return session.run(), said
