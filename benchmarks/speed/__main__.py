"""Measures how fast it is, prints the table of goals and writes the result.

CONTINUAL_DATA=... python -m benchmarks.speed [--only start,step,savings,predict,stream,memory,sources] [--quick]
"""

import argparse
import importlib
import os
import sys
import time

from benchmarks.common import RESULTS, save_group
from benchmarks.measure import Row, show
from continual.errors import UserError
from continual.files import read_json

ROWS = {
    "start": "start_row",
    "step": "step_row",
    "savings": "saving_row",
    "predict": "predict_row",
    "stream": "stream_row",
    "memory": "memory_row",
    "sources": "source_row",
}


def main() -> None:
    """Runs the rows that are asked for; the others keep what was measured before, and when."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS), help="groups of rows, separated by commas")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that the programs run; nothing is written"
    )
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    unknown = sorted({*wanted} - {*ROWS})
    if unknown:
        sys.exit(f"There is no group {', '.join(unknown)}; known: {', '.join(ROWS)}.")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in wanted:
        print(f"measuring {name}", flush=True)
        started = time.perf_counter()
        try:
            rows: list[Row] = importlib.import_module(f"benchmarks.speed.{ROWS[name]}").rows(quick=arguments.quick)
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        seconds = time.perf_counter() - started
        show(rows)
        print(f"{name}: {seconds:.0f} s", flush=True)
        if not arguments.quick:
            save_group("speed", name, rows, seconds)
    if not arguments.quick:
        groups = read_json(RESULTS / "speed.json")["groups"]
        show([Row(**row) for name in ROWS if name in groups for row in groups[name]["rows"]])


if __name__ == "__main__":
    main()
