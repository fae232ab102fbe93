"""A pool of a hundred thousand prompts with a million keys: searched, opened, added to, learned against.

    python -m benchmarks.pool [--quick]

Three of five prompts have 16 keys, as `routing.keys` says; the others have one, as tasks of few texts do. So there are
a million keys. The pool is made in a temporary folder (`TMPDIR`), which takes about 8 GB.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.common import save_group
from benchmarks.measure import REPEATS, Row, show
from benchmarks.pool import grow_rows, learn_rows, open_rows, search_rows
from benchmarks.pool.material import Made, fill, sizes

PROMPTS, QUICK_PROMPTS = 100_000, 500
QUICK_LIMIT = 2_000
"""Keys that a small pool searches exactly, so that it too has graphs."""


def main() -> None:
    """Builds the pool and measures it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small pool, each thing once; nothing is written")
    quick = parser.parse_args().quick
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    repeats, started = 1 if quick else REPEATS, time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made = fill(folder / "pool", QUICK_PROMPTS, QUICK_LIMIT) if quick else fill(folder / "pool", PROMPTS)
        beside = {"prompts": len(made), "keys": made.keys, "build": made.seconds, "bytes": sizes(made)}
        rows = [
            *open_rows.rows(made, folder / "sizes", prompts=20 if quick else 1_000, repeats=repeats),
            *_searched_and_grown(made, repeats),
            *learn_rows.rows(made, folder / "few", repeats),
        ]
        show(rows)
    if not quick:
        save_group("pool", "pool", rows, time.perf_counter() - started, **beside)


def _searched_and_grown(made: Made, repeats: int) -> list[Row]:
    """The search is measured where it is slowest: shortly before the large graph takes in the others."""
    growth = grow_rows.Growth(made)
    growth.until_full()
    found = search_rows.rows(made, repeats)
    growth.until_merged()
    return [*found, *growth.rows()]


if __name__ == "__main__":
    main()
