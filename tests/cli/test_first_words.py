"""What people type first: loose command lines mean what they must, wrong ones end in a sentence that helps."""

import shlex
from pathlib import Path
from unittest.mock import patch

import pytest
from PIL import Image as Pil
from support.cameras import write_clip
from support.cli import run_here
from support.pictures import draw_card


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture, a clip and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    Path("holidays").mkdir()
    for name in ("me.jpg", "holidays/a.jpg"):
        Pil.fromarray(draw_card(40, 30)).save(name)
    write_clip(Path("clip.mp4"), 2)


@pytest.mark.parametrize(
    ("line", "background"),
    [
        ("starry_night", "starry_night"),
        ("live starry_night", "starry_night"),
        ("'Great Wave'", "great_wave"),
        ("live great wave", "great_wave"),
        ("starry", "starry_night"),
        ("live --style 'Starry-Night'", "starry_night"),
        ("live --background 'The Great Wave off Kanagawa'", "great_wave"),
        ("live --style 'Great Wave+starry night@0.3'", "great_wave+starry_night@0.3"),
        ("green", "color:green"),
        ("'#00ff00'", "color:#00ff00"),
        ("blur:0.7", "blur:0.7"),
        ("LIVE --style None", "none"),
        ("image:me.jpg", "image:me.jpg"),
        ("me.jpg", "picture:me.jpg"),
        ("picture:me.jpg", "picture:me.jpg"),
    ],
)
def test_a_loose_line_means_what_it_must(line: str, background: str) -> None:
    from livestyle.render.looks import look_from

    with patch("livestyle.live.session.run_session") as started, patch("livestyle.cli.live.finish"):
        run_here(*shlex.split(line), "--source", "demo", "--sink", "null")
    settings, _, _, typed, *_ = started.call_args.args
    assert look_from(settings).background.text == background
    assert typed == {"background"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("phto me.jpg", "livestyle photo"),
        ("gren", "livestyle live green"),
        ("stary_nite", "livestyle live starry_night"),
        ("clip.mp4", "livestyle video clip.mp4"),
        ("gone.jpg", "no file gone.jpg"),
        ("demo", "livestyle live --source demo"),
        ("cameras", "livestyle list cameras"),
        ("next-style", "livestyle ctl next-style"),
        ("background blur", "livestyle live --background"),
        ("segmenter unet", "livestyle train segmenter"),
        ("train stlye", "livestyle train style"),
        ("train style me.jpg", "livestyle train style --help"),
        ("jobs shw", "livestyle jobs show"),
        ("photo", "livestyle photo --help"),
        ("photo me.jpg a.jpg b.jpg", 'quotes: "starry night"'),
        ("photo me.jpg starry_night", "--style starry_night"),
        ("photo starry_night me.jpg", "--style starry_night"),
        ("photo clip.mp4", "livestyle video clip.mp4"),
        ("photo me.jpg gone/a.jpg", "no folder gone"),
        ("photo me.jpg me.jpg --style red", "the picture itself"),
        ("photo me.jpg --styel blur", "--style"),
        ("photo me.jpg --quality fastt", "fast"),
        ("photo me.jpg --style blurr", "blur?"),
        ("photo me.jpg --style clip.mp4", "video:clip.mp4"),
        ("photo me.jpg --style red --segmenter deeplab", "deeplabv3plus"),
        ("photo me.jpg --style red --refine crv", "crf"),
        ("video me.jpg", "livestyle photo"),
        ("video holidays", "livestyle photo holidays"),
        ("live -background blur", "--background"),
        ("live --background", "livestyle live --help"),
        ("live --bg blur", "--background"),
        ("live --camera 1", "--source"),
        ("live --keep_colors", "--keep-colors"),
        ("live --background starry night", 'in quotes: "starry night"'),
        ("live --sink out.mp4", "file:out.mp4"),
        ("live --sink windwo", "window?"),
        ("--verison", "--version"),
        ("list stiles", "styles?"),
        ("config set backgruond blur", "background?"),
    ],
)
def test_a_wrong_line_ends_in_a_sentence_that_helps(line: str, said: str) -> None:
    words = shlex.split(line)
    words = ["live", *words] if words[0] == "--verison" else words
    config = str(Path("own.toml").absolute())
    Path(config).touch()
    assert said in run_here(*words, code=2, LIVESTYLE_CONFIG=config).stderr
    assert {path.name for path in Path().iterdir()} == {"me.jpg", "clip.mp4", "holidays", "own.toml"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("help photo", "livestyle photo"),
        ("version", "livestyle 0."),
        ("--version", "livestyle 0."),
        ("--help", "--version"),
        ("list", "livestyle list styles"),
        ("list style", "starry_night"),
        ("styles", "starry_night"),
        ("segmenters", "unet"),
    ],
)
def test_what_people_ask_for_is_shown(line: str, said: str) -> None:
    assert said in run_here(*line.split()).stdout


@pytest.mark.parametrize("width", ["80", "200"])
@pytest.mark.parametrize("is_rich", [True, False])
def test_words_in_brackets_are_no_markup(width: str, is_rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer.core

    from livestyle.cli.app import literal

    monkeypatch.setattr(typer.core, "HAS_RICH", is_rich)
    app = typer.Typer(rich_markup_mode="rich")
    app.command(help=literal("Takes [profile.NAME] and livestyle[torch]."))(lambda: None)
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("livestyle.cli.main.app", app)
    done = run_here("--help")
    assert "Takes [profile.NAME] and livestyle[torch]." in done.stdout


def test_photo_without_out() -> None:
    style = ("--style", "red", "--segmenter", "kmeans")
    said = run_here("photo", "me.jpg", *style).stderr.splitlines()
    assert said == ["me.color_red.jpg", "Look: background color:red, person none",
                    "Next, try: livestyle photo me.jpg --style great_wave"]  # fmt: skip
    assert "me.color_red-2.jpg" in run_here("photo", "me.jpg", *style).stderr


def test_an_out_that_is_there() -> None:
    red, blue = (("photo", "me.jpg", "a.png", "--style", name, "--segmenter", "kmeans") for name in ("red", "blue"))
    run_here(*red)
    first = Path("a.png").read_bytes()
    assert "finished already" in run_here(*red).stderr
    assert "--force" in run_here(*blue, code=2).stderr
    assert Path("a.png").read_bytes() == first
    run_here(*blue, "--force")
    assert Path("a.png").read_bytes() != first


def test_a_folder_without_out_goes_on_where_it_was() -> None:
    line = ("photo", "holidays", "--style", "red", "--segmenter", "kmeans")
    assert "1 pictures" in run_here(*line).stderr
    Pil.fromarray(draw_card(40, 30)).save("holidays/b.jpg")
    assert "1 pictures, 1 skipped" in run_here(*line).stderr
    assert {path.name for path in Path("holidays.color_red").iterdir()} == {"a.jpg", "b.jpg"}


def test_matte_and_video_without_out() -> None:
    run_here("matte", "me.jpg", "--segmenter", "kmeans")
    run_here("matte", "clip.mp4", "--segmenter", "kmeans")
    once = run_here("video", "clip.mp4", "--style", "none", "--json").stdout
    assert all(Path(name).is_file() for name in ("me.matte.png", "clip.matte.mp4", "clip.none.mp4"))
    assert '"frames": 2' in once
    live = ("live", "--source", "clip.mp4", "--style", "none", "--sink", "file:live.mp4", "--json")
    assert run_here(*live).stdout == run_here(*live).stdout  # as it went the first time
    assert "--force" in run_here(*live, "--person", "red", code=2).stderr


def test_config_set_keeps_what_else_stands_there() -> None:
    own = Path("own.toml").absolute()
    before = '# mine\nperson = "none"  # never\n# fps = 30  # of the camera\n'
    own.write_text(f"{before}\n[profile.meeting]\nmirror = true\n")

    def put(*words: str) -> None:
        run_here("config", "set", *words, LIVESTYLE_CONFIG=str(own))

    put("style", "Starry Night")
    put("fps", "15")
    put("keep_colors", "yes")
    put("sink", "window,null", "--profile", "meeting")
    text = own.read_text()
    assert text.startswith(before.replace("# fps = 30", "fps = 15.0"))
    shown = run_here("config", "show", "--profile", "meeting", LIVESTYLE_CONFIG=str(own)).stdout
    lines = {"fps = 15.0", 'background = "starry_night"', "keep-colors = true", "mirror = true"}
    assert lines <= set(shown.splitlines())
    said = run_here("config", "set", "background", "stary_night", code=2, LIVESTYLE_CONFIG=str(own)).stderr
    assert "starry_night" in said
    assert own.read_text() == text
