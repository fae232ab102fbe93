"""All methods, modules and baselines on the same streams with the same budget: the README's table, and its pages.

    CONTINUAL_DATA=... python -m benchmarks.methods --runs-dir DIR [--jobs 2] [--seeds 0,1,2] [--only "panda;ewc"]

First the settings of every contestant are chosen on other tasks, from the space in `contestants.py`; then every cell is
run. What is finished in DIR, or noted in results/methods-cells.json with the same settings, is not run again, so the
table can be measured in parts, on several machines too; delete that file after a change of what is measured. Each cell
is an ordinary run with one thread, `--jobs` at a time.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from benchmarks.methods.cells import Cell
from benchmarks.methods.contestants import BUDGET, CONTESTANTS, SEARCHED_ON, SEEDS, STREAMS
from benchmarks.methods.ledger import Ledger
from benchmarks.methods.workers import Workers
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
    arguments = parser.parse_args()
    for option, known in (("only", CONTESTANTS), ("streams", STREAMS)):
        _check_known(parser, option, getattr(arguments, option), known)
    ledger = Ledger(arguments.runs_dir)
    if not arguments.write:
        _run_missing(arguments, ledger)
    write_table(ledger, arguments.jobs)


def _check_known(parser: argparse.ArgumentParser, option: str, text: str, known: Iterable[str]) -> None:
    unknown = set(text.split(";" if option == "only" else ",")) - set(known)
    if unknown:
        parser.error(f"--{option} has {'; '.join(sorted(unknown))}, expected some of: {'; '.join(known)}.")


def _run_missing(arguments: argparse.Namespace, ledger: Ledger) -> None:
    """The searches of all contestants side by side, then the table, one seed of everything after the other."""

    def run(cell: Cell) -> None:
        if ledger.numbers(cell) is None:
            workers.run(cell)

    def measured(name: str, settings: tuple[Setting, ...]) -> float | None:
        run(_search_cell(name, settings))
        return _known(name, settings, ledger)

    wanted = arguments.only.split(";")
    workers = Workers(arguments.jobs, arguments.runs_dir)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = pool.map(lambda name: search(CONTESTANTS[name].knobs, lambda it: measured(name, it)), wanted)
        settings = {name: chosen(tried) for name, tried in zip(wanted, found, strict=True) if is_done(tried)}
        cells = [
            Cell(name, stream, seed, settings[name])
            for seed in map(int, arguments.seeds.split(","))
            for stream in arguments.streams.split(",")
            for name in settings
            if stream in CONTESTANTS[name].streams
        ]
        list(pool.map(run, cells))
    workers.close()


def write_table(ledger: Ledger, jobs: int) -> None:
    """Writes what is finished, with the number of seeds of each row."""
    by = "average over the tasks in the end, task not told"
    searched = {"stream": SEARCHED_ON[0], "settings": SEARCHED_ON[1], "seed": SEARCHED_ON[2], "by": by}
    tables = {stream: _table(stream, ledger) for stream in STREAMS}
    save("methods", {"budget": BUDGET, "caps": STREAMS, "searched": searched, "jobs": jobs, "streams": tables})
    ledger.write()
    pages.write()


def _search_cell(name: str, settings: tuple[Setting, ...]) -> Cell:
    return Cell(name, "search", SEARCHED_ON[2], settings)


def _known(name: str, settings: tuple[Setting, ...], ledger: Ledger) -> float | None:
    """The score of a contestant in the search, where it has been measured."""
    found = ledger.numbers(_search_cell(name, settings))
    return None if found is None else found["routed"]


def _table(stream: str, ledger: Ledger) -> dict[str, Any]:
    """For each contestant its runs, their means over seeds and 95 % intervals."""
    table = {}
    for name, contestant in CONTESTANTS.items():
        tried = search(contestant.knobs, lambda settings: _known(name, settings, ledger))  # noqa: B023
        seeds = SEEDS if is_done(tried) else ()
        cells = {seed: ledger.numbers(Cell(name, stream, seed, chosen(tried))) for seed in seeds}
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
