"""`livestyle doctor`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.console import say
from livestyle.cli.flags import AsJson


@app.command(
    epilog=examples(
        "livestyle doctor",
        "livestyle doctor --json",
        "livestyle doctor --bundle report.zip",
    )
)
def doctor(
    as_json: AsJson = False,
    bundle: Annotated[Path | None, typer.Option(
        metavar="FILE.zip", help="Write what a bug report needs, without pictures and names.")] = None,
) -> None:  # fmt: skip
    """Show what this machine has and lacks, and the exact command that fixes it."""
    from livestyle.cli.diagnose.checks import examine

    checks = examine()
    if bundle:
        from livestyle.cli.diagnose.bundle import write_bundle

        write_bundle(bundle, checks)
        say(f"Wrote {bundle}: look into it before you send it.")
    if as_json:
        return print(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
    for check in checks:
        print(
            f"{'ok  ' if check.ok else 'LACK'}  {check.name}: {check.detail}"
            + (f"\n      -> {check.fix}" if check.fix else "")
        )
