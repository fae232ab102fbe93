"""All methods, tunings and baselines on the same streams with the same budget: the README's table.

    CONTINUAL_DATA=... python -m benchmarks.methods --runs-dir DIR [--streams pheme,cl5,fewshot16] [--only panda,ewc]

Every cell is an ordinary run, made and executed as by `continual run`, in `DIR/STREAM/CONTESTANT-seedN`. What is
finished in DIR is not run again, so the table can be measured in parts and goes on where it was stopped. The caps below
keep all of it under three hours on two cores; every contestant has the same. Learning rates were chosen on dev, from
the spaces that are written beside them, and never on test.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from continual.config import compose
from continual.evaluation.intervals import mean_interval
from continual.evaluation.summary import load_summary
from continual.progress import Progress
from continual.run import Run

SEEDS = (0, 1, 2)
BUDGET = ("training.epochs=4", "training.min_steps=60", "training.patience=0", "tracking.enabled=false")

STREAMS = {
    "pheme": ("stream.max_train=200", "stream.max_dev=100", "stream.max_test=200"),
    "cl5": ("stream.max_train=200", "stream.max_dev=100", "stream.max_test=200", "backbone.max_length=64"),
    "fewshot16": ("stream.max_test=200", "backbone.max_length=64"),
}
"""The caps of each stream."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        settings: What is set for it.
        kind: `pool` (something of its own for each task, texts are routed), `shared` (one model for all tasks, which is
            never told the task) or `bound` (all tasks at once).
        searched: The space from which its learning rate was chosen on dev.
    """

    settings: tuple[str, ...]
    kind: str
    searched: str = "training.learning_rate: .003, .01, .03"


def _method(name: str, *more: str, kind: str = "pool", **other: str) -> Contestant:
    return Contestant((f"method={name}", *more), kind, **other)


def _module(name: str) -> Contestant:
    return Contestant(("method=scratch", f"tuning={name}"), "pool")


FINE_TUNED = "method.learning_rate: 2e-5, 5e-5, 1e-4"

CONTESTANTS = {
    **{name: _method(name) for name in ("scratch", "spot", "panda", "vega", "attempt", "progressive", "cpt_rd")},
    "scratch, prompt alone": _method("scratch", "readout.layers=none", "readout.terms=0"),
    "scratch, HyPe": _method("scratch", "training.hype=normal", "training.hype_scale=0.001"),
    **{f"scratch, {name}": _module(name) for name in ("late", "layer_norm", "prefix_layer_norm", "lora")},
    **{f"scratch, {name}": _module(name) for name in ("compacter", "compacter_pp")},
    "l2p": _method("l2p", kind="shared"),
    "coda": _method("coda", kind="shared"),
    "olora": _method("olora", "tuning=lora", kind="shared"),
    **{
        name: _method(name, kind="shared", searched=FINE_TUNED)
        for name in ("naive", "ewc", "lwf", "replay", "agem", "osf", "cumulative")
    },
    "joint": _method("joint", kind="bound", searched=FINE_TUNED),
    "per_task": _method("per_task", kind="pool", searched=FINE_TUNED),
    "linear_probe": _method("linear_probe", kind="pool", searched="penalty: on dev"),
}
"""All rows. Replay keeps 50 texts of each task, as by default."""


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--only", default=None, help="names of contestants, separated by semicolons")
    arguments = parser.parse_args()
    wanted = list(CONTESTANTS) if arguments.only is None else arguments.only.split(";")
    for stream in arguments.streams.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            for name in wanted:
                _execute(arguments.runs_dir, stream, name, seed)
    save("methods", {"budget": BUDGET, "streams": {stream: _table(arguments.runs_dir, stream) for stream in STREAMS}})


def _folder(runs: Path, stream: str, name: str, seed: int) -> Path:
    return runs / stream / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"


def _execute(runs: Path, stream: str, name: str, seed: int) -> None:
    path = _folder(runs, stream, name, seed)
    draw = (f"stream.draw={seed}",) if stream == "fewshot16" else ()
    config = compose(stream, [*STREAMS[stream], *BUDGET, *draw, *CONTESTANTS[name].settings, f"seed={seed}"])
    run = Run(path) if (path / "config.yaml").exists() else Run.create(path, config)
    if run.config.resolved != config.resolved:
        raise SystemExit(f"{path} was run with other settings; choose another --runs-dir or delete it.")
    if _finished(path) is None:
        run.execute(Progress())
        numbers = _finished(path) or {}
        print(stream, name, seed, {key: numbers.get(key) for key in ("aware", "routed", "seconds")}, flush=True)


def _finished(path: Path) -> dict[str, Any] | None:
    """The numbers of a finished run."""
    if not (path / "summary.json").exists() or not json.loads((path / "summary.json").read_text())["finished"]:
        return None
    summary = load_summary(path)
    routed = summary.routed
    return {
        "aware": summary.aware.average,
        "routed": None if routed is None else routed.average,
        "forgetting": summary.aware.forgetting,
        "bwt": summary.aware.bwt,
        "fwt": summary.aware.fwt,
        "routed_forgetting": None if routed is None else routed.forgetting,
        "trained_parameters": summary.trainable_parameters_per_task,
        "seconds": summary.seconds.total,
    }


def _table(runs: Path, stream: str) -> dict[str, Any]:
    """For each contestant its runs, their means over seeds and 95 % intervals."""
    table = {}
    for name, contestant in CONTESTANTS.items():
        cells = {seed: _finished(_folder(runs, stream, name, seed)) for seed in SEEDS}
        found = {seed: cell for seed, cell in cells.items() if cell is not None}
        if not found:
            continue
        about = {"kind": contestant.kind, "settings": contestant.settings, "searched": contestant.searched}
        table[name] = about | {"runs": found, "mean": _means(list(found.values()))}
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
