"""All methods, modules and baselines on the same streams with the same budget: the README's table.

    CONTINUAL_DATA=... python -m benchmarks.methods --runs-dir DIR [--jobs 2] [--seeds 0,1,2] [--only "panda;ewc"]

First the learning rate of every contestant is chosen on dev texts of other tasks, from the space in `contestants.py`;
then every cell is run. What is finished in DIR is not run again, so the table can be measured in parts and goes on
where it was stopped. Each cell is an ordinary run with one thread in an interpreter of its own, `--jobs` at a time.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from benchmarks.methods.cells import Cell, dev_accuracy
from benchmarks.methods.contestants import BUDGET, CONTESTANTS, SEARCHED_ON, SEEDS, STREAMS
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
        contestant, stream, seed, rate = arguments.cell.split(";")
        Cell(contestant, stream, int(seed), None if rate == "None" else float(rate)).execute(arguments.runs_dir)
        return
    runs, jobs = arguments.runs_dir, arguments.jobs
    if not arguments.write:
        _run_missing(arguments)
    write_table(runs, jobs)


def _run_missing(arguments: argparse.Namespace) -> None:
    """The search first, then the table, one seed of everything after the other."""
    runs, jobs = arguments.runs_dir, arguments.jobs
    wanted = arguments.only.split(";")
    _execute([cell for name in wanted for cell in _searched(name)], runs, jobs)
    _execute(
        [
            Cell(name, stream, seed, _best(name, runs))
            for seed in map(int, arguments.seeds.split(","))
            for stream in arguments.streams.split(",")
            for name in wanted
            if stream in CONTESTANTS[name].streams
        ],
        runs,
        jobs,
    )


def write_table(runs: Path, jobs: int) -> None:
    """Writes what is finished, with the number of seeds of each row."""
    searched = {"stream": SEARCHED_ON[0], "settings": SEARCHED_ON[1], "seed": SEARCHED_ON[2], "by": "mean dev accuracy"}
    tables = {stream: _table(stream, runs) for stream in STREAMS}
    save("methods", {"budget": BUDGET, "caps": STREAMS, "searched": searched, "jobs": jobs, "streams": tables})


def _searched(name: str) -> list[Cell]:
    return [Cell(name, "search", SEARCHED_ON[2], rate) for rate in CONTESTANTS[name].rates]


def _best(name: str, runs: Path) -> float | None:
    """The rate with the highest accuracy on dev; the lowest of equal ones."""
    found = _search_results(name, runs)
    return max(sorted(found), key=lambda rate: found[rate]) if found else None


def _search_results(name: str, runs: Path) -> dict[float, float]:
    summaries = {cell.rate: cell.finished(runs) for cell in _searched(name)}
    return {rate: dev_accuracy(summary) for rate, summary in summaries.items() if summary is not None}


def _execute(cells: list[Cell], runs: Path, jobs: int) -> None:
    """Runs the unfinished among the cells, each in an interpreter of its own."""
    missing = [cell for cell in cells if cell.finished(runs) is None]
    with ThreadPoolExecutor(jobs) as pool:
        for cell, failure in zip(missing, pool.map(lambda cell: _run_apart(cell, runs), missing), strict=True):
            print(cell, failure or "finished", flush=True)


def _run_apart(cell: Cell, runs: Path) -> str:
    """What the interpreter of a cell said at last, if it failed."""
    words = ";".join(str(value) for value in asdict(cell).values())
    command = [sys.executable, "-m", "benchmarks.methods", "--runs-dir", str(runs), "--cell", words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return "".join(done.stderr.splitlines(keepends=True)[-3:]) if done.returncode else ""


def _table(stream: str, runs: Path) -> dict[str, Any]:
    """For each contestant its runs, their means over seeds and 95 % intervals."""
    table = {}
    for name, contestant in CONTESTANTS.items():
        rate = _best(name, runs)
        cells = {seed: Cell(name, stream, seed, rate).numbers(runs) for seed in SEEDS}
        found = {seed: cell for seed, cell in cells.items() if cell is not None}
        if found:
            searched = {"setting": contestant.setting, "dev accuracy": _search_results(name, runs), "chosen": rate}
            about = {"kind": contestant.kind, "settings": contestant.settings, "searched": searched}
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
