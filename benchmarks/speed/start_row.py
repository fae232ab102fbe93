"""How long a newcomer waits: the quickstart, the help, the import."""

import subprocess
import sys
import tempfile

from benchmarks.measure import REPEATS, Row, Timing, seconds_of


def rows() -> list[Row]:
    """Three rows, each in processes of its own."""
    help_ = Timing.of([seconds_of(lambda: _run("-m", "continual", "--help")) for _ in range(REPEATS)])
    bare = Timing.of([seconds_of(lambda: _run("-c", "pass")) for _ in range(REPEATS)])
    imported = Timing.of([seconds_of(lambda: _run("-c", "import continual")) for _ in range(REPEATS)])
    with tempfile.TemporaryDirectory() as folder:
        started = Timing.of([seconds_of(lambda: _run("-m", "continual", "run", "quickstart", "--runs-dir", folder))])
    return [
        Row("the whole quickstart", "", "under 60 seconds", started.median, started.median < 60, "s"),
        Row("continual --help", "", "under 0.4 s", help_.median, help_.median < 0.4, "s", details=vars(help_)),
        Row(
            "import continual",
            "",
            "under 0.5 s",
            imported.median,
            imported.median < 0.5,
            "s",
            details=vars(imported) | {"bare interpreter": bare.median},
        ),
    ]


def _run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
