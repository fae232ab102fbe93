"""The figure of a comparison as a file: SVG, PNG, or a page with the tables beside it."""

from pathlib import Path

import jinja2

from continual.errors import ConfigError, RunError
from continual.evaluation.compare import Comparison, worth_showing
from continual.evaluation.figures.costs import cost_drawing, score_name
from continual.evaluation.figures.numbers import capital
from continual.evaluation.figures.shapes import DARK, Drawing, to_png, to_svg
from continual.evaluation.formats import cell_text, flat_rows, for_people
from continual.files import replacing, write_text

FORMATS = (".svg", ".png", ".html")

_TEMPLATES = Path(__file__).parent / "templates"
_MEASURES = {
    "n": "seeds",
    "average": "accuracy",
    "routed_average": "accuracy, task not told",
    "forgetting": "forgetting",
    "routed_forgetting": "forgetting, task not told",
    "bwt": "backward transfer",
    "fwt": "forward transfer",
    "intransigence": "intransigence",
    "macro_f1": "macro-F1",
    "chrf": "chrF",
    "trainable_parameters_per_task": "trained parameters",
    "train_seconds": "seconds to train",
    "total_seconds": "seconds in all",
    "cpu_seconds": "processor seconds",
}
_TESTS = {
    "difference": "difference",
    "p_sign_flip": "p over seeds",
    "p_tasks": "p over tasks",
    "routed_difference": "difference, task not told",
    "routed_p_sign_flip": "p over seeds, task not told",
    "routed_p_tasks": "p over tasks, task not told",
}


def draw(comparison: Comparison, path: Path) -> None:
    """Draws accuracy against trained parameters and against seconds.

    Args:
        comparison: What to draw.
        path: A file whose ending, one of `FORMATS`, decides the form.

    Raises:
        ConfigError: Another ending.
        RunError: Nothing to draw.
        StorageError: The disk refused the write.
    """
    form = path.suffix.lower()
    if form not in FORMATS:
        raise ConfigError(f"The figure {path} ends in {form or 'nothing'}, expected {', '.join(FORMATS)}; rename it.")
    drawing = cost_drawing(comparison.groups)
    if drawing is None:
        raise RunError("There is nothing to draw: no finished run has an accuracy and a cost; finish one first.")
    if form == ".png":
        with replacing(path) as temporary:
            temporary.write_bytes(to_png(drawing))
    else:
        write_text(path, to_svg(drawing) if form == ".svg" else _page(comparison, drawing))


def _page(comparison: Comparison, drawing: Drawing) -> str:
    """A complete HTML document that loads nothing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    score = score_name(comparison.groups)
    names = {row["label"]: row["name"] for row in comparison.groups}
    measures = worth_showing([*_MEASURES, *comparison.extra], comparison.groups)
    groups = [
        (row["name"], [cell_text(row, key) for key in measures]) for row in flat_rows(for_people(comparison.groups))
    ]
    metrics = {row["label"]: row["metric"] for row in comparison.groups}
    tests = [
        (names[row["first"]], names[row["second"]], [cell_text(row, key, 4) for key in _TESTS])
        for row in for_people(comparison.tests, metrics)
    ]
    return environment.get_template("comparison.html.j2").render(
        streams=list(dict.fromkeys(row["stream"] for row in comparison.groups)),
        runs=len(comparison.runs),
        drawing=to_svg(drawing),
        dark=DARK,
        measures=[_MEASURES.get(key, key).replace("accuracy", score) for key in measures],
        score=capital(score),
        groups=groups,
        test_heads=list(_TESTS.values()),
        tests=tests,
        notes=comparison.notes,
    )
