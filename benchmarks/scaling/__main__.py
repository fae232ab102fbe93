"""The same numbers from two processes, and from a backbone that lies on disk; and what docs/scaling.md multiplies.

CONTINUAL_DATA=... python -m benchmarks.scaling [--quick]
"""

import argparse
import os
import sys
import time

from benchmarks.common import save_group
from benchmarks.measure import REPEATS, show
from benchmarks.scaling import offload_rows, rates, sizes, team_rows
from continual.errors import UserError


def main() -> None:
    """Measures all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few texts, each once; nothing is written")
    quick = parser.parse_args().quick
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    repeats, started = 1 if quick else REPEATS, time.perf_counter()
    try:
        rows = [*team_rows.rows(repeats, quick), *offload_rows.rows(repeats, quick)]
        show(rows)
        beside = {"sizes": sizes.sizes(epochs=1), "rates": rates.rates()}
    except UserError as error:
        sys.exit(str(error))
    print(beside)
    if not quick:
        save_group("scaling", "scaling", rows, time.perf_counter() - started, **beside)


if __name__ == "__main__":
    main()
