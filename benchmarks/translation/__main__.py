"""Translation domains one after another: BLEU with the domain told and not told, beside fine-tuning and its forgetting.

    CONTINUAL_DATA=... python -m benchmarks.translation [--stream mt6] [--backbone translation-base] [--orders 3] \
        [--contestants scratch,panda,naive,ewc,replay,per_task,joint] [--runs-dir FOLDER] [key=value ...]
    python -m benchmarks.translation --quick      # a minute on the toy model, written nowhere

Each run is `continual run STREAM method=M seed=N stream.order=[...]` with the settings of the experiment. First the
rates of every contestant, and EWC's weight, are chosen on the training files of two domains, of which dev and test are
taken for that, from the space in `contestants.py`; what was tried is in the result. `--unsearched` leaves the defaults,
as on other streams than those of mt6. Settings for one contestant alone, `M:key=value`, are not searched either.
The first order is the stream's own, the others are drawn; the number of an order is the seed of its runs. BLEU is
that of sacreBLEU; its signature is noted. A finished run in `--runs-dir` is not run again.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from benchmarks.runs import finished
from benchmarks.search import Setting, Tried, chosen, search
from benchmarks.translation.contestants import SEARCH_SEED, SEARCHABLE, SEARCHED_ON, knobs_of, training_files
from continual.config import RunConfig, compose
from continual.evaluation.intervals import mean_interval
from continual.evaluation.summary import Summary

CONTESTANTS = "scratch,panda,naive,ewc,replay,per_task,joint"
QUICK = (
    "stream.train=40",
    "stream.dev=10",
    "stream.test=10",
    "training.epochs=2",
    "training.min_steps=0",
    "decoding.max_new_tokens=24",
)
_MEASURES = ("average", "learning", "forgetting", "bwt", "fwt", "chrf")


def main() -> None:
    """Runs the grid and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", default="mt6", help="an experiment or a stream")
    parser.add_argument("--backbone", default=None, help="another than that of the experiment")
    parser.add_argument("--contestants", default=CONTESTANTS)
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps the run folders here")
    parser.add_argument("--name", default=None, help="name of the result file; STREAM-BACKBONE if not given")
    parser.add_argument("--unsearched", action="store_true", help="every contestant with its default settings")
    parser.add_argument("--quick", action="store_true", help="the toy stream and model in small, to see that it runs")
    parser.add_argument("overrides", nargs="*", help="settings such as tuning=lora or naive:method.learning_rate=1e-4")
    arguments = parser.parse_args()
    stream = "simulated_translation" if arguments.quick else arguments.stream
    overrides = [*(QUICK if arguments.quick else ()), *arguments.overrides]
    if arguments.backbone:
        overrides.insert(0, f"backbone={arguments.backbone}")
    orders = orders_of(stream, overrides, 1 if arguments.quick else arguments.orders)
    if arguments.quick:
        orders = [order[:2] for order in orders]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.runs_dir or Path(temporary)
        names = arguments.contestants.split(",")
        searched = stream in SEARCHABLE and not arguments.unsearched
        tried = {name: searches(folder, stream, name, overrides) for name in names} if searched else {}
        best = {name: [f"{name}:{key}={value}" for key, value in chosen(found)] for name, found in tried.items()}
        runs = [
            one_run(folder, stream, name, number, order, [*overrides, *best.get(name, ())])
            for number, order in enumerate(orders)
            for name in names
        ]
    table = {name: row_of([run for run in runs if run["method"] == name]) for name in names}
    for name, row in table.items():
        print(name, {key: round(value, 2) for key, value in row.items() if isinstance(value, float)})
    if not arguments.quick:
        backbone = runs[0]["backbone"]
        value = {"stream": stream, "backbone": backbone, "overrides": overrides, "orders": orders}
        search_table = {name: [vars(one) for one in found] for name, found in tried.items()}
        save(arguments.name or f"{stream}-{backbone}", value | {"table": table, "search": search_table, "runs": runs})


def searches(folder: Path, stream: str, method: str, overrides: Sequence[str]) -> list[Tried]:
    """What was found for a contestant on training text; what the command sets is not searched."""
    data = Path(settings(stream, method, [], overrides).stream["path"])
    place = [f"stream.path={training_files(data, folder / 'searched').absolute()}", f"seed={SEARCH_SEED}"]
    place += [f"stream.tasks=[{','.join(SEARCHED_ON)}]", "stream.order=listed"]
    given = {item.partition("=")[0] for item in overrides}
    knobs = [knob for knob in knobs_of(method) if not {knob.setting, f"{method}:{knob.setting}"} & given]

    def score(values: tuple[Setting, ...]) -> float:
        label = ",".join(["search", method, *(f"{key.rpartition('.')[2]}={value:g}" for key, value in values)])
        settled = [*overrides, *place, *(f"{method}:{key}={value}" for key, value in values)]
        summary = finished(folder / label, settings(stream, method, [], settled))
        print({"method": method, **dict(values), "routed": 100 * summary.routed.average}, flush=True)
        return summary.routed.average

    return search(knobs, score)


def orders_of(stream: str, overrides: Sequence[str], count: int) -> list[list[str]]:
    """The stream's own order and drawn ones, all different as long as there are enough."""
    from streams import build_stream

    config = settings(stream, "scratch", [], overrides)
    names = list(build_stream(config.stream, config.seed).names)
    orders, number = [names], 0
    while len(orders) < count:
        number += 1
        drawn = random.Random(f"order {number}").sample(names, len(names))
        if drawn not in orders or number > 100:
            orders.append(drawn)
    return orders


def settings(stream: str, method: str, order: Sequence[str], overrides: Sequence[str]) -> RunConfig:
    """The settings of one run: those for all contestants, then those for this one alone."""
    own = [item.partition(":")[2] for item in overrides if item.startswith(f"{method}:")]
    common = [item for item in overrides if ":" not in item.partition("=")[0]]
    chosen = [f"stream.order=[{','.join(order)}]"] if order else []
    return compose(stream, [f"method={method}", "tracking.enabled=false", *chosen, *common, *own])


def one_run(
    folder: Path, stream: str, method: str, number: int, order: Sequence[str], overrides: Sequence[str]
) -> dict[str, Any]:
    """One cell of the grid; a finished one in `folder` is not run again."""
    path = folder / f"{stream}-{method}-order{number}"
    config = settings(stream, method, order, [f"seed={number}", *overrides])
    result = {"method": method, "order": number} | measured(finished(path, config))
    scores = {side: result[side]["average"] for side in ("aware", "routed")}
    print({"method": method, "order": number, **scores, "seconds": result["seconds"]}, flush=True)
    return result


def measured(summary: Summary) -> dict[str, Any]:
    """What a run has to say, scores from 0 to 100."""

    def hundredfold(value: float | None) -> float | None:
        return None if value is None else 100 * value

    sides = {
        side: {name: hundredfold(getattr(scores, name)) for name in _MEASURES}
        for side, scores in (("aware", summary.aware), ("routed", summary.routed))
    }
    final = {task: hundredfold(value) for task, value in zip(summary.tasks, summary.aware.matrix[-1], strict=True)}
    untaught = {task: hundredfold(value) for task, value in zip(summary.tasks, summary.aware.matrix[0], strict=True)}
    return sides | {
        "backbone": summary.backbone,
        "tuning": summary.tuning,
        "routing_accuracy": summary.routed.routing_accuracy,
        "tasks": final,
        "untaught": untaught,
        "seconds": summary.seconds.total,
        "tokens_per_second": vars(summary.tokens_per_second),
        "trained_parameters": summary.trainable_parameters_per_task,
        "signatures": summary.signatures,
    }


def row_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over orders, with 95 % intervals of the averages where there are several orders."""
    row: dict[str, Any] = {"orders": len(runs)}
    for side in ("aware", "routed"):
        for name in _MEASURES:
            values = [run[side][name] for run in runs if run[side][name] is not None]
            row[f"{side}_{name}"] = float(np.mean(values)) if values else None
        averages = [run[side]["average"] for run in runs]
        if len(averages) > 1 and None not in averages:
            row[f"{side}_interval"] = list(vars(mean_interval(averages)).values())
    shares = [run["routing_accuracy"] for run in runs if run["routing_accuracy"] is not None]
    row["routing_accuracy"] = float(np.mean(shares)) if shares else None
    row["untaught"] = float(np.mean([value for run in runs for value in run["untaught"].values()]))
    row["seconds"] = float(np.mean([run["seconds"] for run in runs]))
    row["trained_parameters"] = runs[0]["trained_parameters"]
    return row


if __name__ == "__main__":
    main()
