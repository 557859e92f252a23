"""The Typer applications that commands register with."""

import typer

app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A webcam filter that paints the background, the person, or both, while you talk.

    A LOOK is [b]none[/b], a style ([b]livestyle list styles[/b]), [b]A+B@0.3[/b], a style file PATH.onnx or
    PATH.safetensors, [b]blur:0.7[/b], [b]bokeh:0.7[/b], [b]color:#204060[/b], [b]image:PATH[/b] or [b]video:PATH[/b].

    Without a command: [b]livestyle live[/b].""",
    epilog="""Examples: [b]livestyle[/b]  |  [b]livestyle live --background blur --sink virtual-camera[/b]  |
    [b]livestyle live --source demo[/b]  |  [b]livestyle video in.mp4 out.mp4 --background starry_night[/b]""",
)
train_app = typer.Typer(help="Train a style or a segmenter (needs livestyle\\[torch]).", no_args_is_help=True)
evaluate_app = typer.Typer(help="Measure how good the models are.", no_args_is_help=True)
