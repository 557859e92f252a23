"""The Typer applications that commands register with, and what the first word of a command line may mean."""

import shlex
from collections.abc import Iterator
from typing import Annotated, Any

import typer
import typer.core

from livestyle import __version__
from livestyle.config.colors import color_names
from livestyle.config.look import LOOK_KINDS, parse_plane
from livestyle.config.names import find_name, nearest
from livestyle.config.picture import existing, media_type
from livestyle.errors import UserError


def literal(text: str) -> str:
    """Return a text for `--help` in which words in brackets are shown, and are no markup of Rich."""
    from rich.markup import escape

    return escape(text) if getattr(typer.core, "HAS_RICH", True) else text


def examples(*lines: str) -> str:
    """Return the last words of a `--help`: command lines to copy, each in a line of its own."""
    return literal("\n".join([f"Example{'s' if lines[1:] else ''}:", *lines]))


def fold_flags() -> None:
    """Have `--help` break a long flag over two lines in a narrow terminal, where Typer's tables cut it off."""
    from rich.table import Table
    from typer import rich_utils

    class Folding(Table):
        def add_row(self, *cells: Any, **more: Any) -> None:
            super().add_row(*cells, **more)
            for column in self.columns:
                column.overflow = "fold"

    setattr(rich_utils, "Table", Folding)  # noqa: B010 (a name that Typer keeps to itself)


class Commands(typer.core.TyperGroup):
    """A group of commands whose names need not be exact."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            args = self.understood(ctx, args)
        return super().resolve_command(ctx, args)

    def understood(self, ctx: Any, args: list[str]) -> list[str]:
        """Return words whose first one is no command as those that they mean.

        Raises:
            UserError: they mean nothing.
        """
        name = find_name(args[0], self.commands, whole=True)
        if name is None:
            near = [f"{ctx.command_path} {one}" for one in nearest(args[0], self.commands)]
            raise UserError(f"There is no command '{args[0]}'.{meant(near)}", f"See: {ctx.command_path} --help")
        return [name, *args[1:]]


class FirstWord(Commands):
    """All commands. A look in place of a command is one for `live`."""

    def understood(self, ctx: Any, args: list[str]) -> list[str]:
        if is_look(args):
            return ["live", *args]
        if find_name(args[0], self.commands, whole=True):
            return super().understood(ctx, args)
        see = "See: livestyle --help | livestyle styles"
        if media_type(args[0]):
            file = existing(args[0])
            either = [f"livestyle video {shlex.quote(file)}", f"livestyle live {shlex.quote(f'video:{file}')}"]
            raise UserError(
                f"{file} is neither a command nor a style.", f"To paint it, or to show it: {' | '.join(either)}"
            )
        lines = dict(self._lines())
        near = nearest(args[0], lines) or nearest(args[0], color_names())
        found = [lines.get(name, f"livestyle live {name}") for name in near]
        raise UserError(f"'{args[0]}' is neither a command nor a style.{meant(found)}", see)

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yield what to type for each word that may be meant, those first that are preferred."""
        from livestyle.cli.lists import LISTS
        from livestyle.live.actions import ACTIONS
        from livestyle.nets.library import style_titles

        yield from ((one.name, f"livestyle ctl {one.name}") for one in ACTIONS)
        yield from (
            (option.lstrip("-"), f"livestyle live {option}")
            for one in self.commands["live"].params
            for option in one.opts
        )
        yield from ((name, f"livestyle list {name}") for name in LISTS)
        yield "demo", "livestyle live --source demo"
        for group in self.commands.values():
            for name in getattr(group, "commands", {}):
                yield name, f"livestyle {group.name} {name}"
        yield from ((name, f"livestyle live {name}") for name in style_titles())
        yield from ((name, f"livestyle {name}") for name in self.commands)


def meant(lines: list[str]) -> str:
    """Return " Did you mean: LINE", or "" for no lines."""
    return f" Did you mean: {' | '.join(dict.fromkeys(lines))}" if lines else ""


def is_look(args: list[str]) -> bool:
    """Return whether a command line begins with a look: a known one, or `KIND:...`."""
    from livestyle.nets.library import style_titles

    head, colon, _ = args[0].partition(":")
    if colon and find_name(head, LOOK_KINDS, whole=True):
        return True
    styles = style_titles()
    leading = [word for word in args if not word.startswith("-")]
    for text in (args[0], " ".join(leading)):
        try:
            parse_plane(text, styles)
            return True
        except UserError:
            continue
    return False


def show_version(wanted: bool) -> None:
    """Print the version, and end."""
    if wanted:
        print(f"livestyle {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=FirstWord,
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "livestyle",
        "livestyle starry_night",
        "livestyle my_painting.jpg",
        "livestyle live --background blur --sink virtual-camera",
        "livestyle live --source demo",
        'livestyle photo me.jpg --style "great wave"',
        "livestyle video talk.mp4",
    ),
)
train_app = typer.Typer(
    cls=Commands, help=literal("Train a style or a segmenter (needs livestyle[torch])."), no_args_is_help=True
)
evaluate_app = typer.Typer(cls=Commands, help="Measure how good the models are.", no_args_is_help=True)


@app.callback()
def livestyle(
    version: Annotated[bool, typer.Option(
        "--version", is_eager=True, callback=show_version, help="Show the version and exit.")] = False,
) -> None:  # fmt: skip
    """A webcam filter that paints the background, the person, or both, while you talk.

    A LOOK is none, a style (livestyle styles), A+B@0.3, a style file PATH.onnx
    or PATH.safetensors, any picture as a style (picture:PATH, or its PATH alone),
    blur:0.7, bokeh:0.7, a colour such as green or #204060, image:PATH or video:PATH.

    Without a command: livestyle live.
    """
