"""Growth: how exact it is, what it brings a stream that needs it, and whether it leaves alone one that does not.

    python -m benchmarks.growth exactness                       families x {depth, width, both} x {exact, elle}
    CONTINUAL_DATA=... python -m benchmarks.growth needed --runs-dir DIR      growth against never, at equal time
    CONTINUAL_DATA=... python -m benchmarks.growth unneeded --runs-dir DIR    pheme and cl5: the test must not fire

A finished run in DIR is not run again, so the streams can be measured in parts. `--quick` tries them with few texts and
writes nothing. Results are groups of one file.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import save_values
from benchmarks.growth.exactness import exactness
from benchmarks.growth.streams import needed, unneeded

_STREAMS = {"needed": needed, "unneeded": unneeded}


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("exactness", *_STREAMS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps the run folders here")
    parser.add_argument("--folders", type=Path, nargs="*", default=[], help="exactness: further encoders to measure")
    parser.add_argument("--quick", action="store_true", help="few texts and one seed, to see that it runs")
    given = parser.parse_args()
    started = time.perf_counter()
    if given.what == "exactness":
        value: dict[str, Any] = {"rows": exactness(given.folders)}
    else:
        seeds = [int(seed) for seed in given.seeds.split(",")][: 1 if given.quick else None]
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.runs_dir or Path(temporary)
            value = _STREAMS[given.what](folder / given.what, seeds, given.quick)
    if given.quick:
        print(json.dumps(value, indent=2))
    else:
        save_values("growth", given.what, value, time.perf_counter() - started)


if __name__ == "__main__":
    main()
