"""Baselines of translation: whole models, trained and measured as everything else, or refused in a sentence."""

import json
from pathlib import Path

import pytest
import torch
from run_samples import Stops
from tiny_generators import SOURCES, TARGETS
from torch.nn import functional as F
from translation_samples import write_translation_config

from continual.backbone.generation import Decoding
from continual.baselines import BASELINES
from continual.baselines.translation.material import ParallelText, joined, parallel_of
from continual.baselines.translation.memories import IMPORTANCE, MODEL, ImportantWeights, Past, importances
from continual.baselines.translation.model import WholeModel
from continual.config import compose
from continual.errors import ConfigError, Interrupted, LearningError
from continual.evaluation.summary import load_summary
from continual.progress import Progress
from continual.run import Run

ABLE = [name for name in BASELINES.names() if "translation" in BASELINES.load(name).kinds]
OPTIONS = {"ewc": {"ewc_lambda": 10.0}, "replay": {"memory_per_task": 4}}


def settings(folder: Path, model: Path, name: str, **options) -> Path:
    method = {"name": name, "learning_rate": 3e-3} | OPTIONS.get(name, {}) | options
    return write_translation_config(
        folder / f"{name}.yaml", model, method=method, training={"epochs": 2, "min_steps": 0, "batch_size": 8}
    )


def numbers(folder: Path) -> dict:
    """All of a summary that must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text())
    curves = [[stage["curve"] for stage in task["stages"]] for task in summary["per_task"]]
    samples = [task["samples"] for task in summary["per_task"]]
    return {key: summary[key] for key in ("aware", "routed", "metric")} | {"curves": curves, "samples": samples}


@pytest.mark.parametrize("name", ABLE)
def test_a_run_that_is_stopped_and_resumed_has_the_same_summary(name, tiny_generator_folder, tmp_path):
    config = compose(str(settings(tmp_path, tiny_generator_folder("marian"), name)))
    whole, stopped = (Run.create(tmp_path / folder, config) for folder in ("whole", "stopped"))
    whole.execute(Progress())
    with pytest.raises(Interrupted):
        stopped.execute(Stops(steps=7))
    Run(stopped.folder).execute(Progress())
    assert numbers(stopped.folder) == numbers(whole.folder)
    summary = load_summary(whole.folder)
    assert summary.metric == "bleu"
    assert summary.finished
    assert summary.tokens_per_second.generate > 0
    assert not (whole.folder / "baseline").exists()
    if name == "joint":
        assert [row[0] is None for row in summary.aware.matrix[1:]] == [True, True, False]
    else:
        assert summary.aware.matrix[3][0] is not None
        first = summary.per_task[0].stages[0].curve
        assert first[-1].dev_loss < first[0].dev_loss
    if name == "per_task":
        assert summary.aware.forgetting == 0
        assert summary.routed.routing_accuracy is not None
    else:
        assert summary.routed.matrix == summary.aware.matrix


@pytest.mark.parametrize("name", [name for name in BASELINES.names() if name not in ABLE])
def test_the_others_say_that_they_cannot(name, tiny_generator_folder, tmp_path):
    path = write_translation_config(tmp_path / "c.yaml", tiny_generator_folder("marian"), method={"name": name})
    run = Run.create(tmp_path / "run", compose(str(path)))
    with pytest.raises(LearningError, match=f"is a translation, but method={name} learns classification tasks only"):
        run.execute(Progress())


@pytest.mark.parametrize("name", ["naive", "per_task"])
def test_a_rate_of_a_classifier_is_refused(name, tiny_generator_folder, tmp_path):
    config = compose(str(settings(tmp_path, tiny_generator_folder("marian"), name, head_learning_rate=0.1)))
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(ConfigError, match=r"head_learning_rate is 0\.1, but a translation has no classifier"):
        run.execute(Progress())


def test_a_classification_is_fine_tuned_on_encoders_alone(tiny_generator_folder, tmp_path):
    stream = {"kind": "simulated", "name": "small", "train": 16, "dev": 8, "test": 8}
    path = write_translation_config(
        tmp_path / "c.yaml", tiny_generator_folder("marian"), method={"name": "naive"}, stream=stream
    )
    run = Run.create(tmp_path / "run", compose(str(path)))
    with pytest.raises(LearningError, match=r"learns on encoders alone, but the backbone .* is an encoder-decoder"):
        run.execute(Progress())


# ---------------------------------------------------------------- by hand


@pytest.fixture
def text(tiny_generator) -> ParallelText:
    backbone = tiny_generator("marian")
    return ParallelText(backbone.parallel(backbone.tokenize(SOURCES), backbone.tokenize_targets(TARGETS)))


def test_a_whole_model_answers_as_its_backbone_and_leaves_it_alone(tiny_generator, text):
    backbone = tiny_generator("marian")
    model = WholeModel(backbone)
    rows = torch.arange(len(text))
    logits, ids = model.answers(text, rows)
    tokens, mask, targets = text.pairs.batch(rows, backbone.pad_token)
    expected = backbone.logits(backbone.embed(tokens, mask), mask, targets)
    torch.testing.assert_close(logits, expected[targets >= 0])
    F.cross_entropy(logits, ids).backward()
    assert all(value.grad is not None for value, _ in model.paces)
    assert model.size < sum(value.numel() for value in model.parameters())  # Marian's positions are sines
    assert not any(value.requires_grad for value in backbone.model.parameters())
    before = backbone.write(SOURCES, Decoding(max_new_tokens=4))
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(2)
    assert backbone.write(SOURCES, Decoding(max_new_tokens=4)) == before


def test_importances_by_hand(tiny_generator, text):
    model = WholeModel(tiny_generator("marian"))
    found = importances(model, text, batch_size=2)
    name = next(iter(found))
    order = torch.argsort(text.lengths, stable=True)
    squares = []
    for rows in order.split(2):
        model.zero_grad()
        F.cross_entropy(*model.answers(text, rows)).backward()
        squares.append(dict(model.named_parameters())[name].grad ** 2)
    torch.testing.assert_close(found[name], torch.stack(squares).mean(0))


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_ewcs_penalty_by_hand(tiny_generator, mode):
    model = WholeModel(tiny_generator("marian"))
    names = list(model.trained())
    states = {
        number: {f"{MODEL}{name}": torch.full_like(value, 0.1 * number) for name, value in model.trained().items()}
        | {f"{IMPORTANCE}{name}": torch.full_like(value, float(number)) for name, value in model.trained().items()}
        for number in (1, 2)
    }
    memory = ImportantWeights(3.0, mode, 1.0)
    penalty = memory.penalty(Past(2, {}, states.__getitem__))
    expected = 0.0
    for number in (1, 2) if mode == "separate" else (2,):
        expected += number * sum(float(((model.trained()[name] - 0.1 * number) ** 2).sum()) for name in names)
    assert float(penalty(model, torch.arange(1))) == pytest.approx(3.0 * expected, rel=1e-4)
    assert memory.penalty(Past(0, {}, states.__getitem__)) is None


def test_every_batch_is_joined_by_as_many_remembered_pairs(tiny_generator, text):
    parts = [text.pairs, text.pairs]
    both = ParallelText(joined(parts), remembered=len(text))
    assert len(both) == len(text)
    assert both.lengths.tolist() == 2 * text.lengths.tolist()
    for rows in both.shuffled(2, torch.Generator().manual_seed(0)):
        own, again = rows.chunk(2)
        assert (own < len(text)).all()
        assert (again >= len(text)).all()
    assert both.tokens == 2 * text.tokens


def test_a_batch_with_remembered_pairs_has_the_loss_of_all_at_once(tiny_generator, text, monkeypatch):
    import continual.baselines.translation.model as model_room

    monkeypatch.setattr(model_room, "_ALIKE", 2)
    model, pairs = WholeModel(tiny_generator("marian")), joined([text.pairs, text.pairs])
    rows = torch.tensor([2, 0, 1, len(text), len(text) + 2])
    apart, at_once = (model.answers(ParallelText(pairs, remembered=count), rows) for count in (len(text), 0))
    assert sorted(apart[1].tolist()) == sorted(at_once[1].tolist())
    torch.testing.assert_close(F.cross_entropy(*apart), F.cross_entropy(*at_once))


def test_rows_of_a_split(tiny_generator):
    from datasets import Dataset

    backbone = tiny_generator("t5")
    split = Dataset.from_dict({"text": list("abc"), "target": ["noon", "one", "cold"]})
    some = parallel_of(backbone, split, [2, 0])
    assert backbone.decoded(some.targets.batch(torch.arange(2), backbone.pad_token)[0]) == ["cold", "noon"]
