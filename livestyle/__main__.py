"""`livestyle`, and `python -m livestyle`."""

import sys


def main() -> None:
    """Run the command line. What goes to a running filter takes a short way: somebody waits for what a key does."""
    from livestyle.cli.process import open_streams, prepare_process

    open_streams()
    words = [word for word in sys.argv[2:] if word != "--json"]
    if sys.argv[1:2] == ["ctl"] and words and words[0] not in ("list", "watch") and "-" not in {w[:1] for w in words}:
        sys.exit(press(words, "--json" in sys.argv))
    prepare_process()
    from livestyle.cli.main import main

    main()


def press(words: list[str], as_json: bool) -> int:
    """`livestyle ctl WORDS`; the exit code."""
    from livestyle.errors import UserError
    from livestyle.live import client as remote

    try:
        print(remote.press(words, as_json=as_json), flush=True)
    except UserError as error:
        print(f"{error.problem}\n{error.step}".strip(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    main()
