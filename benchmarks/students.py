"""Smaller encoders: what each recipe of `continual distil` makes of one budget, and what comes without a teacher.

MiniLM (6 layers) is the teacher, students have 3 layers and begin with layers 2, 4 and 6 of it; all learn for the same
number of steps from the same tasks. `cut` is that start itself, never trained. Two numbers are compared on the test
texts: `probe`, a linear classifier of the frozen model's vectors (what it is worth as a backbone), and `answers`, the
model's own heads where a recipe has any. The seed decides splits, order of texts and all that is drawn.

    CONTINUAL_DATA=... python -m benchmarks.students [--seeds 0,1,2] [--stream cl5] [--tasks agnews,yelp] [--steps 600]
    CONTINUAL_DATA=... python -m benchmarks.students --causal --layers 10 [...]
    python -m benchmarks.students --quick

With `--causal` the teacher is SmolLM2 (135 M parameters, 30 layers), and in-context distillation is compared with
in-context tuning without a teacher; `answers` are those after demonstrations.

`--quick` is a try on simulated tasks, some minutes long; its result has a name of its own.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save
from continual.evaluation.intervals import mean_interval, paired_test
from continual.progress import Progress
from continual.students.session import Student, compose

ALONE, ICT = "alone", "ict"
QUICK = ("stream.train=40", "stream.dev=20", "stream.test=40", "training.batch_tokens=128")
UNTAUGHT = ("fsd.alpha=1", "fsd.epsilon=0", "fine_tuning.steps=0")


@dataclass(frozen=True)
class Contestant:
    """A recipe with settings.

    Attributes:
        name: In the tables.
        recipe: The file of `configs/distil`.
        settings: What is set otherwise.
        shares: How the student's steps are divided among its stages.
        tuning: The stage in which the teacher learns the tasks before, None where there is none.
        shape: The settings of the student's shape, with `{}` for its layers.
    """

    name: str
    recipe: str
    settings: tuple[str, ...]
    shares: dict[str, float]
    tuning: str | None = "fine_tuning"
    shape: tuple[str, ...] = ("student.layers={}", "student.start=uniform")

    def overrides(self, steps: int, layers: int, tuning: int = 200) -> list[str]:
        """The settings for a student of so many layers that learns for so many steps, its teacher for `tuning`."""
        stages = [f"{stage}.steps={max(round(share * steps), 1)}" for stage, share in self.shares.items()]
        stages += [f"{self.tuning}.steps={tuning}"] if self.tuning else []
        return [*self.settings, *stages, *(it.format(layers) for it in self.shape)]


CONTESTANTS = (
    Contestant(ALONE, "fsd", UNTAUGHT, {"distillation": 1.0}, None),
    Contestant("kd", "fsd", ("fsd.epsilon=0",), {"distillation": 1.0}),
    Contestant("fsd", "fsd", (), {"distillation": 1.0}),
    Contestant("tinybert", "tinybert", (), {"general": 0.25, "intermediate": 0.5, "prediction": 0.25}),
    Contestant("disco", "disco", (), {"distillation": 0.8, "contrast": 0.2}, None),
    Contestant("online", "online", (), {"teaching": 1.0}, None, ("students=[{{name:student,layers:{}}}]",)),
)
CAUSAL = (
    Contestant(ICT, "in_context", ("in_context.soft=0", "tuning.steps=0"), {"distillation": 1.0}, None),
    Contestant("icl-d", "in_context", (), {"distillation": 1.0}, "tuning"),
)


def main() -> None:
    """Runs the grid and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--stream", default="cl5")
    parser.add_argument("--tasks", default="agnews,yelp")
    parser.add_argument("--causal", action="store_true", help="in-context distillation of a causal model")
    parser.add_argument("--recipes", default=",".join(it.name for it in (*CONTESTANTS, *CAUSAL)))
    parser.add_argument("--steps", type=int, default=600, help="of each student")
    parser.add_argument("--teacher-steps", type=int, default=200, help="in which the teacher learns the tasks")
    parser.add_argument("--layers", type=int, default=3, help="of each student")
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps the students here")
    parser.add_argument("--quick", action="store_true", help="a try on simulated tasks")
    parser.add_argument("overrides", nargs="*", help="settings such as training.learning_rate=0.0002")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.stream, arguments.tasks, arguments.seeds, arguments.steps = "quickstart", "kitchen,office", "0", 8
        arguments.teacher_steps = 4
        arguments.overrides = [*QUICK, *arguments.overrides]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        rows = list(grid(arguments, arguments.runs_dir or Path(temporary)))
    value = {
        "stream": arguments.stream,
        "tasks": arguments.tasks.split(","),
        "steps": arguments.steps,
        "teacher_steps": arguments.teacher_steps,
        "layers": arguments.layers,
        "overrides": arguments.overrides,
        "seconds": round(time.monotonic() - started, 1),
        "summary": summary(rows, ICT if arguments.causal else ALONE),
        "rows": rows,
    }
    for name, numbers in value["summary"].items():
        print(name, {key: round(item["mean"], 4) for key, item in numbers.items() if "mean" in item})
    name = "students-causal" if arguments.causal else "students"
    save(f"{name}-quick" if arguments.quick else name, value)


def grid(arguments: argparse.Namespace, folder: Path) -> Sequence[dict[str, Any]]:
    """A row for each model of each seed: teacher, cut, and every student."""
    wanted = arguments.recipes.split(",")
    rows = []
    for seed in map(int, arguments.seeds.split(",")):
        rows += [] if arguments.causal else untrained(arguments, seed)
        for contestant in (it for it in (CAUSAL if arguments.causal else CONTESTANTS) if it.name in wanted):
            rows += one(arguments, contestant, seed, folder)
            print(rows[-1], flush=True)
    return rows


def one(arguments: argparse.Namespace, contestant: Contestant, seed: int, folder: Path) -> list[dict[str, Any]]:
    """One cell of the grid; a finished student in `folder` is not made again."""
    overrides = [
        f"stream={arguments.stream}",
        f"tasks=[{arguments.tasks}]",
        f"seed={seed}",
        "tracking.enabled=false",
        *contestant.overrides(arguments.steps, arguments.layers, arguments.teacher_steps),
        *arguments.overrides,
    ]
    student = Student(compose(contestant.recipe, overrides), folder)
    student.execute(Progress())
    made = student.summary()
    return [
        {
            "model": contestant.name if row["model"] == "student" else f"{contestant.name}'s {row['model']}",
            "seed": seed,
            "parameters": row["parameters"],
            "probe": row.get("probe"),
            "answers": row.get("answers"),
            "seconds": made["seconds"]["training"],
        }
        for row in made["scores"]
        if row["model"] != "teacher" or "answers" in row
    ]


def untrained(arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """The teacher as it comes, and the start of all students; how many texts each embeds in a second."""
    from continual.students.encoders.labelled import encoded, rows_of
    from continual.students.encoders.scoring import score_row, vectors_of
    from continual.students.ingredients import Ingredients

    overrides = [
        f"stream={arguments.stream}",
        f"tasks=[{arguments.tasks}]",
        f"seed={seed}",
        f"student.layers={arguments.layers}",
        "student.start=uniform",
        *arguments.overrides,
    ]
    common = Ingredients.parse(compose("fsd", overrides).resolved)
    tasks, rows = common.tasks.tasks, []
    for name, model in (("minilm", common.teacher()), ("cut", common.new_student())):
        texts = encoded(model, rows_of(tasks, "dev"))
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            vectors_of(model, texts)
            seconds.append(time.monotonic() - began)
        scores = score_row(name, model, tasks)
        numbers = {key: scores[key] for key in ("model", "parameters", "probe")}
        rows.append(numbers | {"seed": seed, "answers": None, "texts_per_second": len(texts) / min(seconds)})
        print(rows[-1], flush=True)
    return rows


def summary(rows: Sequence[dict[str, Any]], baseline: str = ALONE) -> dict[str, Any]:
    """Means over seeds with 95 % intervals, and paired differences from the student without a teacher."""
    names = dict.fromkeys(row["model"] for row in rows)
    result: dict[str, Any] = {}
    for name in names:
        result[name] = {}
        for key in ("probe", "answers", "seconds", "texts_per_second"):
            values = values_of(rows, name, key)
            if values:
                interval = list(vars(mean_interval(values)).values()) if len(values) > 1 else None
                result[name][key] = {"mean": float(np.mean(values)), "interval": interval}
                alone = values_of(rows, baseline, key)
                if key in ("probe", "answers") and name != baseline and len(alone) == len(values) > 1:
                    result[name][f"{key} against {baseline}"] = asdict(paired_test(values, alone))
    return result


def values_of(rows: Sequence[dict[str, Any]], name: str, key: str) -> list[float]:
    """The numbers of a model, one for each seed that has it."""
    return [row[key] for row in rows if row["model"] == name and row.get(key) is not None]


if __name__ == "__main__":
    main()
