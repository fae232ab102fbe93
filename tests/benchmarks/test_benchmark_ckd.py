"""The benchmark of continual distillation: its settings exist, and its table says what the rows say."""

import pytest

from benchmarks.ckd import BASE, METHODS, QUICK, TINY, row, table
from benchmarks.tables.students import ckd as ckd_page
from continual.pretraining.config import compose as pretraining
from continual.students.session import compose

SCORES = [
    {"bleu": 10.0, "chrf": 30.0, "dev_loss": 2.0},
    {"bleu": 12.0, "chrf": 31.0, "dev_loss": 1.9, "bleu_change": 2.0, "noise": 0.5, "beneficial": 0.5},
    {"bleu": 11.0, "chrf": 32.0, "dev_loss": 1.8, "bleu_change": -1.0, "noise": 0.5, "beneficial": 0.25},
    {"bleu": 10.8, "chrf": 33.0, "dev_loss": 1.7, "bleu_change": -0.2, "noise": 0.5, "beneficial": 0.25},
]


def test_a_row_by_hand():
    one = row("malicious", "CKD", 0, SCORES)
    assert one["mean_bleu"] == pytest.approx((12.0 + 11.0 + 10.8) / 3)
    assert one["gain"] == pytest.approx(0.8)
    assert one["accumulative_degradation"] == pytest.approx(1.2)
    assert one["worse_steps"] == 1
    assert one["beneficial"] == [0.5, 0.25, 0.25]


def test_the_table_has_means_over_seeds():
    other = [{**one, "bleu": one["bleu"] + 2} for one in SCORES]
    rows = [row("malicious", "CKD", 0, SCORES), row("malicious", "plain KD", 0, SCORES)]
    lines = table([*rows, row("malicious", "CKD", 1, other)])
    assert lines == [
        ["malicious", "CKD", "11.00", "13.00", "12.00", "11.80", "12.27", "1.20", "1.00"],
        ["malicious", "plain KD", "10.00", "12.00", "11.00", "10.80", "11.27", "1.20", "1.00"],
    ]


@pytest.mark.parametrize("scale", [BASE, TINY, QUICK])
def test_all_settings_exist(scale, monkeypatch, tmp_path):
    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    name, *settings = scale.base
    for shape in ((), *scale.shapes):
        pretraining(name, [*settings, *shape])
    assert scale.own in scale.domains
    assert len(scale.domains) >= 4
    for given in (scale.student, (*scale.teacher, "name=x", "shuffled=1")):
        compose("fine_tuning", ["student=x", *scale.stream, "stream.max_train=9", "task=x", *given])
    for recipe, options in METHODS.values():
        compose(recipe, ["student=x", "teachers=[x]", *scale.stream, *scale.steps, *options])


def test_the_page_has_the_same_means_and_counts_the_worse_steps(monkeypatch):
    rows = [row("malicious", "CKD", seed, SCORES) for seed in (0, 1)]
    models = [{"name": "translation-base", "settings": ["model.width=128"], "steps": 3000, "parameters": 2_500_000}]
    about = {"domains": list("abc"), "own": "a", "pairs": 1000, "models": models, "machine": {"cpus": 2}}
    monkeypatch.setattr("benchmarks.tables.students.result", lambda name: {**about, "rows": rows})
    page = ckd_page()
    assert "| malicious | CKD | 10.0 | 12.0 | 11.0 | 10.8 | 11.3 | 1.2 | 2 |" in page
    assert "Means over 2 seeds; `worse` counts the steps of all seeds, 6," in page
    assert "`translation-base` `model.width=128` (3,000 steps, 2.5 M weights)" in page
