"""Measures how fast it is, prints the table of goals and writes the result.

CONTINUAL_DATA=... python -m benchmarks.speed [--only start,step,predict,stream,memory,sources]
"""

import argparse
import importlib
import os

from benchmarks.common import RESULTS, save
from benchmarks.measure import Row, show
from continual.files import read_json

ROWS = {
    "start": "start_row",
    "step": "step_row",
    "predict": "predict_row",
    "stream": "stream_row",
    "memory": "memory_row",
    "sources": "source_row",
}


def main() -> None:
    """Runs the rows that are asked for; the others keep what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS))
    wanted = parser.parse_args().only.split(",")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    path = RESULTS / "speed.json"
    groups = read_json(path)["groups"] if path.exists() else {}
    for name in wanted:
        print(f"measuring {name}", flush=True)
        rows: list[Row] = importlib.import_module(f"benchmarks.speed.{ROWS[name]}").rows()
        show(rows)
        groups[name] = [row.to_json() for row in rows]
        save("speed", {"groups": groups})
    show([Row(**row) for name in ROWS if name in groups for row in groups[name]])


if __name__ == "__main__":
    main()
