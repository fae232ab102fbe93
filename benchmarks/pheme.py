"""Seven rumour events one after another: accuracy, routing and forgetting of the methods, over seeds.

    CONTINUAL_DATA=... python -m benchmarks.pheme [--methods scratch,spot,panda] [--seeds 0,1,2] [key=value ...]

Each run is `continual run pheme method=M seed=S` with default settings. The seed decides the split as well, so that
the mean is over three different test sets; methods are compared on the same split (paired).
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from benchmarks.runs import finished
from continual.config import compose
from continual.evaluation.intervals import mean_interval, paired_test

SMALL = ("gurlitt", "putinmissing")
_AVERAGES = ("aware", "routed", "aware_own_metric", "routed_own_metric")


def main() -> None:
    """Runs the grid and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", default="pheme")
    parser.add_argument("--methods", default="scratch,spot,panda")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps the run folders here")
    parser.add_argument("--name", default=None, help="name of the result file")
    parser.add_argument("overrides", nargs="*", help="settings such as tuning=late")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.runs_dir or Path(temporary)
        runs = [
            one_run(folder, arguments.stream, method, seed, arguments.overrides)
            for seed in map(int, arguments.seeds.split(","))
            for method in arguments.methods.split(",")
        ]
    means = {
        method: mean_of([run for run in runs if run["method"] == method]) for method in arguments.methods.split(",")
    }
    for method, mean in means.items():
        print(method, {key: round(value, 4) for key, value in mean.items() if isinstance(value, float)})
    value = {"stream": arguments.stream, "overrides": arguments.overrides, "means": means, "runs": runs}
    if {"scratch", "panda"} <= set(means) and set(SMALL) <= set(runs[0]["tasks"]):
        value["panda against scratch, average of the two small events"] = against(runs)
    save(arguments.name or arguments.stream, value)


def one_run(folder: Path, stream: str, method: str, seed: int, overrides: list[str]) -> dict[str, Any]:
    """One cell of the grid; a finished one in `folder` is not run again."""
    path = folder / f"{stream}-{method}-seed{seed}"
    config = compose(stream, [f"method={method}", f"seed={seed}", "tracking.enabled=false", *overrides])
    summary = finished(path, config)
    final = summary.aware.matrix[-1]
    own = {"aware_own_metric": summary.aware.own_metric, "routed_own_metric": summary.routed.own_metric}
    result = {
        "method": method,
        "seed": seed,
        "aware": summary.aware.average,
        "routed": summary.routed.average,
        "aware_macro_f1": summary.aware.macro_f1,
        "forgetting": summary.aware.forgetting,
        "routed_forgetting": summary.routed.forgetting,
        "fwt": summary.aware.fwt,
        "routing_accuracy": summary.routed.routing_accuracy,
        "unknown_rate": summary.routed.unknown_rate,
        "seconds": summary.seconds.total,
        "peak_memory_mb": summary.peak_memory_mb,
        "trained_parameters": summary.trainable_parameters_per_task,
        "tasks": dict(zip(summary.tasks, final, strict=True)),
        "dev": {item.task: item.dev_accuracy for item in summary.per_task},
        "sources": {item.task: [vars(source) for source in item.sources] for item in summary.per_task},
    } | {name: value for name, value in own.items() if value is not None}
    print({key: result[key] for key in ("method", "seed", "aware", "routed", "forgetting", "seconds")}, flush=True)
    return result


def mean_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, with 95 % intervals for the averages."""
    keys = [key for key, value in runs[0].items() if isinstance(value, float)]
    mean = {key: float(np.mean([run[key] for run in runs])) for key in keys}
    for key in [key for key in _AVERAGES if key in runs[0]]:
        mean[f"{key}_interval"] = list(vars(mean_interval([run[key] for run in runs])).values())
    mean["tasks"] = {task: float(np.mean([run["tasks"][task] for run in runs])) for task in runs[0]["tasks"]}
    return mean


def against(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The paired difference on the small events."""
    values = {
        method: [float(np.mean([run["tasks"][task] for task in SMALL])) for run in runs if run["method"] == method]
        for method in ("scratch", "panda")
    }
    return values | {"test": asdict(paired_test(values["panda"], values["scratch"]))}


if __name__ == "__main__":
    main()
