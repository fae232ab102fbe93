"""Tables of docs/students.md: continual distillation of translators, and smaller backbones."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables.markdown import coded, counted, markdown
from benchmarks.tables.results import NOT_YET, result, with_interval


def ckd() -> str:
    """BLEU before and after each teacher, its mean, AD, and the steps that made it worse by more than noise."""
    value = result("ckd")
    if value is None:
        return NOT_YET
    rows = value["rows"]
    steps = [f"step {number}" for number in range(1, len(value["domains"]) + 1)]
    heads = ("teachers", "method", "before", *steps, "mean", "AD", "worse")
    cells = []
    for teachers, method, same in by_method(rows):
        worse = sum(one["worse_steps"] for one in same)
        cells.append([teachers, method, *(f"{number:.1f}" for number in ckd_means(same)), f"{worse:g}"])
    seeds = dict.fromkeys(one["seed"] for one in rows)
    noise = fmean(number for one in rows for number in one["noise"])
    about = (
        f"Means over {counted(len(seeds), 'seed')}; `worse` counts the steps of all seeds, {len(seeds) * len(steps)}, "
        f"after which BLEU was lower by more than noise, which is {noise:.1f} in the mean. Teachers, in this order, of "
        f"{', '.join(coded(value['domains']))}; the student's domain is `{value['own']}`, with {value['pairs']:,} "
        f"pairs. Models: {_models(value['models'])}. {value['machine']['cpus']} cores; "
        "[result](../benchmarks/results/ckd.json)."
    )
    return markdown(heads, cells, about)


def by_method(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Each kind of teachers with each method, and the rows of its seeds."""
    for teachers, method in dict.fromkeys((one["teachers"], one["method"]) for one in rows):
        yield teachers, method, [one for one in rows if (one["teachers"], one["method"]) == (teachers, method)]


def ckd_means(same: Sequence[dict[str, Any]]) -> list[float]:
    """Means over seeds: BLEU before the first teacher and after each, their mean after, and AD."""
    steps = [fmean(values) for values in zip(*(one["bleu"] for one in same), strict=True)]
    return [*steps, *(fmean(one[name] for one in same) for name in ("mean_bleu", "accumulative_degradation"))]


def _models(models: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"{' '.join(coded([model['name'], *model['settings']]))} ({model['steps']:,} steps, "
        f"{model['parameters'] / 1e6:.1f} M weights)"
        for model in models
    )


def smaller() -> str:
    """Accuracy of smaller encoders by each recipe."""
    return _recipes("students", "alone")


def in_context() -> str:
    """The same for in-context distillation of a causal model."""
    return _recipes("students-causal", "ict")


def _recipes(name: str, baseline: str) -> str:
    value = result(name)
    if value is None:
        return NOT_YET
    heads = ("model", "probe (95 % interval)", "answers", f"probe against `{baseline}`", "minutes")
    cells = [
        [
            f"`{model}`",
            _cell(found.get("probe")),
            _cell(found.get("answers")),
            _against(found.get(f"probe against {baseline}")),
            f"{found['seconds']['mean'] / 60:.1f}" if "seconds" in found else "–",
        ]
        for model, found in value["summary"].items()
    ]
    seeds = len({row["seed"] for row in value["rows"]})
    about = (
        f"{counted(seeds, 'seed')}; tasks {', '.join(coded(value['tasks']))}, {value['layers']} layers, "
        f"{value['steps']} steps of a student and {value['teacher_steps']} of its teacher. "
        f"{', '.join(coded(value['overrides'])) + '; ' if value['overrides'] else ''}{value['machine']['cpus']} cores, "
        f"{value['seconds'] / 60:.0f} minutes; [result](../benchmarks/results/{name}.json)."
    )
    return markdown(heads, cells, about)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return with_interval(found["interval"]) if found["interval"] else f"{found['mean']:.3f}"


def _against(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return with_interval([found["difference"][key] for key in ("value", "low", "high")], "+.3f")
