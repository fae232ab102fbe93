"""PANDA's orderings on real tasks: eight sources, five targets, 200 texts each.

    CONTINUAL_DATA=... python -m benchmarks.grid [--seeds 0,1,2] [--runs-dir DIR] [key=value ...]

It is `continual grid mixed` with the tasks below: inference, sentiment, topics and rumours, so that each target has
sources of its own kind and strangers. The result holds every measurement, the rank correlation of each transferability
metric with first-epoch transfer performance, and whether PANDA's orderings hold: vanilla transfer averaged over sources
below prompt tuning from scratch, PANDA above both, and PANDA less dependent on the source. With --runs-dir the grid is
kept and, if it was stopped, continued.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.common import save
from continual.evaluation.typed import to_json
from continual.grid.findings import Findings
from continual.grid.grid import Grid
from continual.grid.plan import plan_grid
from continual.progress import Progress

SOURCES = (
    "text/mnli",
    "text/rte",
    "text/imdb",
    "text/amazon",
    "text/yahoo",
    "text/dbpedia",
    "rumor/charliehebdo",
    "rumor/ferguson",
)
TARGETS = ("text/cb", "text/qqp", "text/sst2", "text/agnews", "rumor/sydneysiege")
BUDGET = (
    "stream.parts.text.dev_fraction=0.2",  # cb has 250 texts: 200 to learn from and 50 for dev
    "stream.max_dev=150",
    "stream.max_test=300",
    "backbone.max_length=48",
    "training.epochs=6",
    "training.min_steps=0",
)
"""What keeps 120 transfers, each trained twice, within about half an hour on two cores."""


def main() -> None:
    """Measures the grid and prints what it shows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps the grid here")
    parser.add_argument("--result", default="grid", help="name of the result file")
    parser.add_argument("overrides", nargs="*", help="settings such as tuning=late")
    arguments = parser.parse_args()
    plan = plan_grid(
        "mixed",
        [*BUDGET, *arguments.overrides],
        arguments.sources.split(","),
        arguments.targets.split(","),
        [int(seed) for seed in arguments.seeds.split(",")],
        arguments.examples,
    )
    with tempfile.TemporaryDirectory() as temporary:
        grid = Grid((arguments.runs_dir or Path(temporary)) / arguments.result, plan)
        measured = grid.run(Progress(Console(stderr=True, highlight=False)))
    show(grid.findings())
    about = {"overrides": [*BUDGET, *arguments.overrides], "findings": to_json(grid.findings())}
    # The settings name folders of this machine; the overrides say the same.
    save(arguments.result, about | {key: value for key, value in to_json(measured).items() if key != "settings"})


def show(found: Findings) -> None:
    """Prints the orderings and the correlations."""
    for split, one in found.orderings.items():
        means = f"scratch {one.scratch:.4f}, transfer {one.transfer:.4f}, PANDA {one.panda:.4f}"
        deviations = f"over sources {one.transfer_spread.deviation:.4f} and {one.panda_spread.deviation:.4f}"
        print(f"{split}: {means}; deviation {deviations}")
        for claim, answer in one.holds.items():
            print(f"    {claim}: {'yes' if answer else 'NO'}")
    for name, correlation in found.spearman.items():
        mean = "undefined" if correlation.mean is None else f"{correlation.mean:+.3f}"
        print(f"{name:12s} Spearman with the first epoch {mean}")


if __name__ == "__main__":
    main()
