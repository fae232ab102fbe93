"""All methods, modules and baselines on the same streams with the same budget: the README's table, and its pages.

    CONTINUAL_DATA=... python -m benchmarks.methods --runs-dir DIR [--jobs 2] [--seeds 0,1,2] [--only "panda;ewc"]

First the settings of every contestant are chosen on other tasks, from the space in `contestants.py`; then every cell is
run. What is finished in DIR is not run again, so the table can be measured in parts and goes on where it was stopped.
Each cell is an ordinary run with one thread in an interpreter of its own, `--jobs` at a time.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from benchmarks.methods.cells import Cell
from benchmarks.methods.contestants import BUDGET, CONTESTANTS, SEARCHED_ON, SEEDS, STREAMS
from benchmarks.search import Setting, chosen, is_done, search
from benchmarks.tables import pages
from continual.evaluation.intervals import mean_interval


def main() -> None:
    """Searches, runs what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--only", default=";".join(CONTESTANTS), help="names of contestants, separated by semicolons")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time")
    parser.add_argument("--write", action="store_true", help="run nothing; write the table of what is finished")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        contestant, stream, seed, settings = json.loads(arguments.cell)
        Cell(contestant, stream, seed, tuple(map(tuple, settings))).execute(arguments.runs_dir)
        return
    if not arguments.write:
        _run_missing(arguments)
    write_table(arguments.runs_dir, arguments.jobs)


def _run_missing(arguments: argparse.Namespace) -> None:
    """The searches of all contestants side by side, then the table, one seed of everything after the other."""
    runs, wanted = arguments.runs_dir, arguments.only.split(";")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = pool.map(lambda name: search(CONTESTANTS[name].knobs, lambda it: _measured(name, it, runs)), wanted)
        settings = {name: chosen(tried) for name, tried in zip(wanted, found, strict=True) if is_done(tried)}
        cells = [
            Cell(name, stream, seed, settings[name])
            for seed in map(int, arguments.seeds.split(","))
            for stream in arguments.streams.split(",")
            for name in settings
            if stream in CONTESTANTS[name].streams
        ]
        list(pool.map(lambda cell: _run(cell, runs), cells))


def write_table(runs: Path, jobs: int) -> None:
    """Writes what is finished, with the number of seeds of each row."""
    by = "average over the tasks in the end, task not told"
    searched = {"stream": SEARCHED_ON[0], "settings": SEARCHED_ON[1], "seed": SEARCHED_ON[2], "by": by}
    tables = {stream: _table(stream, runs) for stream in STREAMS}
    save("methods", {"budget": BUDGET, "caps": STREAMS, "searched": searched, "jobs": jobs, "streams": tables})
    pages.write()


def _measured(name: str, settings: tuple[Setting, ...], runs: Path) -> float | None:
    """The score of a contestant in the search, which is run for it where that has not been done."""
    _run(Cell(name, "search", SEARCHED_ON[2], settings), runs)
    return _known(name, settings, runs)


def _known(name: str, settings: tuple[Setting, ...], runs: Path) -> float | None:
    """The same where it has been done."""
    found = Cell(name, "search", SEARCHED_ON[2], settings).numbers(runs)
    return None if found is None else found["routed"]


def _run(cell: Cell, runs: Path) -> None:
    """Runs a cell in an interpreter of its own, unless it is finished; says what went wrong in it, if anything did."""
    if cell.finished(runs) is None:
        command = [
            sys.executable,
            "-m",
            "benchmarks.methods",
            "--runs-dir",
            str(runs),
            "--cell",
            json.dumps([*vars(cell).values()]),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        failure = "".join(done.stderr.splitlines(keepends=True)[-3:]) if done.returncode else ""
        print(cell, failure or "finished", flush=True)


def _table(stream: str, runs: Path) -> dict[str, Any]:
    """For each contestant its runs, their means over seeds and 95 % intervals."""
    table = {}
    for name, contestant in CONTESTANTS.items():
        tried = search(contestant.knobs, lambda settings: _known(name, settings, runs))  # noqa: B023
        seeds = SEEDS if is_done(tried) else ()
        cells = {seed: Cell(name, stream, seed, chosen(tried)).numbers(runs) for seed in seeds}
        found = {seed: cell for seed, cell in cells.items() if cell is not None}
        if found:
            about = {"kind": contestant.kind, "settings": contestant.settings, "searched": [vars(one) for one in tried]}
            table[name] = about | {"runs": found, "mean": _means(list(found.values())) | {"seeds": len(found)}}
    return table


def _means(cells: list[dict[str, Any]]) -> dict[str, Any]:
    means = {}
    for key in cells[0]:
        values = [cell[key] for cell in cells if cell[key] is not None]
        means[key] = float(np.mean(values)) if values else None
        if key in ("aware", "routed") and values:
            means[f"{key}_interval"] = list(vars(mean_interval(values)).values())
    return means


if __name__ == "__main__":
    main()
