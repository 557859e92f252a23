"""The flags of the settings, built from SETTINGS, and the flags that several commands share."""

import inspect
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache, partial, update_wrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from livestyle.cli import completion
from livestyle.cli.app import literal
from livestyle.cli.console import bar, say
from livestyle.config.load import Config, load_config, project_file
from livestyle.config.options import Setting, Texts, made, read_size
from livestyle.config.settings import SETTINGS, Settings, rows_for
from livestyle.types import Size


@dataclass
class Session:
    """What one command line has found out; the object of its context.

    Attributes:
        config: what files and variables say, once a command that heeds them runs.
        typed: the flags that stand on the command line, by name.
    """

    config: Config = field(default_factory=Config)
    typed: frozenset[str] = frozenset()

    @property
    def given(self) -> Set[str]:
        """The settings that are typed, or stand in a file, profile or variable."""
        return self.typed | self.config.values.keys()


def settle(context: typer.Context, profile: str | None) -> str | None:
    """Make what files and variables say the defaults of a command's flags. Where frames come from and go is for `live`
    and `booth` alone."""
    if not context.resilient_parsing:
        session: Session = context.obj
        session.config = load_config(profile)
        values = session.config.values
        heeded = [name for name in values if context.info_name in ("live", "booth") or SETTINGS[name].room is Settings]
        context.default_map = {name: values[name].value for name in heeded}
        found = [SETTINGS[name].key for name, one in values.items() if one.origin.startswith(str(project_file()))]
        if found:
            say(f"Settings of this folder ({project_file()}): {', '.join(found)}")
    return profile


def parse_size(text: str) -> Size:
    """WxH to (W, H)."""
    try:
        return read_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not {error}.") from None


Profile = Annotated[str | None, typer.Option(
    metavar="NAME", is_eager=True, callback=settle, help=literal("Take [profile.NAME] of: livestyle config edit."),
    autocompletion=completion.profiles)]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object.")]
SizeOption = Annotated[Any, typer.Option(parser=parse_size, metavar="WxH", help="Size of the frames.")]
LossNetworkFile = Annotated[Path | None, typer.Option(
    "--loss-network", "--perceptual", metavar="FILE",
    help="VGG-19 or VGG-16 as safetensors, or vgg19, vgg16 (torchvision's, fetched; vgg19 is the default), compact.",
)]  # fmt: skip


NUMBERS = {int: "N", float: "NUMBER"}  # what `--help` writes for one without bounds


def parse_value(setting: Setting, text: str) -> Any:
    """Return the value of a setting's flag."""
    try:
        return setting.read(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not {error}.") from None


def metavar_of(setting: Setting) -> str | None:
    """Return what `--help` writes for the value of a setting's flag."""
    if setting.type is bool:
        return ""  # which takes none
    choices = "" if isinstance(setting.choices, str) else "|".join(setting.choices)
    return setting.metavar or setting.bounds or choices or NUMBERS.get(setting.type)


@lru_cache(None)  # Typer reads each signature four times
def option_of(setting: Setting) -> Any:
    """Return the annotation from which Typer makes a setting's flag."""
    kind: Any = setting.type
    more: dict[str, Any] = {"help": setting.help, "metavar": metavar_of(setting)}
    if setting.type is bool and not setting.default:
        more["show_default"] = False  # the two names of the flag say enough
    if setting.choices:
        more["autocompletion"] = completion.choices_of(setting)
    if setting.panel:
        more["rich_help_panel"] = setting.panel
    if kind == Size:
        kind, more["parser"] = Any, parse_size
    elif kind in (int, float) or (setting.choices and not isinstance(setting.choices, str)):
        kind, more["parser"] = Any, partial(parse_value, setting)
    elif kind == Texts:
        kind = list[str] | None
    elif setting.default is None:
        kind = kind | None
    flag = f"--{setting.key}"
    names = setting.flags or ([f"{flag}/--no-{setting.key}"] if setting.type is bool else [flag])
    return Annotated[kind, typer.Option(*names, **more)]


class CommandWithSettings:
    """A command whose parameters of classes of settings become the flags of their rows.

    Typer reads the flags from `__signature__`, which is made anew each time: a row that a plug-in added is among them.
    """

    def __init__(
        self, function: Callable[..., None], only: Collection[str], without: Collection[str], defaults: dict[str, Any]
    ) -> None:  # fmt: skip
        update_wrapper(self, function)
        self.function, self._only, self._without, self._defaults = function, only, without, defaults
        self._own = inspect.signature(function, eval_str=True).parameters
        kinds = {name: one.annotation for name, one in self._own.items()}
        self._kinds: dict[str, type] = {name: kind for name, kind in kinds.items() if is_dataclass(kind)}  # type: ignore[misc]

    def _rows(self, kind: type) -> dict[str, Setting]:
        """Return the rows that the command takes of a class of settings."""
        rows = rows_for(kind)
        left = {*rows} & {*self._only} if self._only and kind is Settings else {*rows}
        return {name: one for name, one in rows.items() if name in left and name not in self._without}

    @property
    def __signature__(self) -> inspect.Signature:
        found = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for name, one in self._own.items():
            if name in self._kinds:
                found += [self._parameter(setting) for setting in self._rows(self._kinds[name]).values()]
            elif name != "context":
                found.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        return inspect.Signature(found)

    def _parameter(self, setting: Setting) -> inspect.Parameter:
        default = None if setting.type == Texts else self._defaults.get(setting.name, setting.default)
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(setting.name, kind, default=default, annotation=option_of(setting))

    def __call__(self, context: typer.Context, **given: Any) -> None:
        session: Session = context.obj
        session.typed = frozenset(name for name in context.params if is_typed(context, name))
        own: dict[str, Any] = {"context": context} if "context" in self._own else {}
        for name, kind in self._kinds.items():
            rows = self._rows(kind)
            own[name] = made(rows, kind, {row: given.pop(row) for row in rows})
            if kind is Settings and {"segmenter", "model_file"} <= rows.keys() and own[name].segmenter:
                from livestyle.matting.published import fetch_weights

                fetch_weights(own[name], bar)
        self.function(**own, **given)


def with_settings(
    *, only: Collection[str] = (), without: Collection[str] = (), **defaults: Any
) -> Callable[[Callable[..., None]], CommandWithSettings]:
    """Give a command the flags of its settings, and have it called with finished objects of them.

    Args:
        only: what it takes of Settings; () is all.
        without: settings that it takes not.
        defaults: of single settings, where the command has others.
    """
    return lambda function: CommandWithSettings(function, only, without, defaults)


def is_typed(context: typer.Context, name: str) -> bool:
    """Return whether a flag was typed."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
