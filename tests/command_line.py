"""The command line, called in this process."""

import contextlib
import io
import os
import sys
from pathlib import Path


def call(*arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Runs the command line as the console script does: exit code, stdout, stderr."""
    from continual.cli import main

    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["continual", *arguments]
    folder = Path.cwd()
    try:
        if cwd is not None:
            os.chdir(cwd)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = before
        os.chdir(folder)
    return code, out.getvalue(), err.getvalue()
