"""How long a newcomer waits: the quickstart, the help, the import."""

import subprocess
import sys
import tempfile

from benchmarks.measure import REPEATS, Row, alternately, timed


def rows(quick: bool = False) -> list[Row]:
    """Three rows, each in processes of its own."""
    found = alternately(
        {
            "help": lambda: _run("-m", "continual", "--help"),
            "import": lambda: _run("-c", "import continual"),
            "bare": lambda: _run("-c", "pass"),
        },
        1 if quick else REPEATS,
    )
    details = {"bare interpreter": found["bare"].median}
    return [
        *([] if quick else [_quickstart()]),
        Row.of(found["help"], "continual --help", "", "under 0.4 s", found["help"].median < 0.4, "s", details=details),
        Row.of(
            found["import"], "import continual", "", "under 0.5 s", found["import"].median < 0.5, "s", details=details
        ),
    ]


def _quickstart() -> Row:
    """One run of the first command that the README gives: most of a minute."""
    with tempfile.TemporaryDirectory() as folder:
        found = timed(lambda: _run("-m", "continual", "run", "quickstart", "--runs-dir", folder), 1, warmup=0)
    return Row.of(found, "the whole quickstart", "", "under 60 seconds", found.median < 60, "s")


def _run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
