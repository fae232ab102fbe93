"""The stream as an Avalanche benchmark, and the pool as an Avalanche strategy."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from baseline_samples import stream
from tiny_models import PAIRS, TEXTS

from continual import Learner, LearnerSettings
from continual.baselines import BASELINES
from continual.baselines._avalanche import quiet
from continual.baselines.export import REAL, SEGMENT, TOKEN, avalanche_benchmark, padded, unpadded
from continual.baselines.model import Classifier
from continual.baselines.strategy import NO_ANSWER, PromptPoolStrategy
from continual.errors import LearningError
from continual.settings import RoutingConfig
from continual.training.config import TrainingConfig

# isort: split

from avalanche.benchmarks import benchmark_from_datasets
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin

PAGE = Path(__file__).resolve().parents[2] / "docs" / "baselines.md"

SETTINGS = LearnerSettings(
    method={"name": "scratch"},
    tuning={"name": "late", "length": 2, "layer": 1},
    training=TrainingConfig(epochs=2, min_steps=0),
    routing=RoutingConfig(keys=4),
)


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return tiny_encoder("bert")


@pytest.fixture(scope="module")
def benchmark(encoder):
    return avalanche_benchmark(stream(), encoder)


def test_a_benchmark_has_an_experience_for_each_task_and_split(benchmark):
    assert [len(benchmark.streams[split]) for split in ("train", "dev", "test")] == [3, 3, 3]
    for split, size in (("train", 30), ("dev", 12), ("test", 18)):
        assert [len(experience.dataset) for experience in benchmark.streams[split]] == [size] * 3
    experiences = list(benchmark.train_stream)
    assert [sorted(experience.classes_in_this_experience) for experience in experiences] == [[0, 1], [0, 1], [2, 3, 4]]
    assert [experience.task_labels for experience in experiences] == [[0], [1], [2]]
    assert [experience.text_task.name for experience in experiences] == ["town", "coast", "topics"]
    assert experiences[2].units == {"sport": 2, "money": 3, "science": 4}
    assert sorted(experiences[2].classes_seen_so_far) == [0, 1, 2, 3, 4]


def test_without_task_labels_all_tasks_are_one(encoder):
    experiences = avalanche_benchmark(stream(), encoder, task_labels=False).train_stream
    assert [experience.task_label for experience in experiences] == [0, 0, 0]


def test_a_batch_holds_the_texts_tokens_and_the_labels_of_the_stream(benchmark, encoder):
    task = stream().task("topics")
    dataset = benchmark.train_stream[2].dataset
    tokens, targets, places = dataset.collate_fn([dataset[row] for row in (3, 4, 5)])
    ids, mask, _ = encoder.tokenize([task.train[row]["text"] for row in (3, 4, 5)]).batch(torch.arange(3), 0)
    assert torch.equal(tokens[..., TOKEN], ids)
    assert torch.equal(tokens[..., REAL].bool(), mask)
    assert not tokens[..., SEGMENT].any()
    assert targets.tolist() == [2, 3, 4]
    assert places.tolist() == [2, 2, 2]
    part = dataset.subset([7, 9]).concat(dataset.subset([1]))
    assert list(part.rows) == [7, 9, 1]
    assert list(part.lengths) == [len(part[row][0]) for row in range(3)]


@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["single", "pairs"])
def test_a_batch_can_be_turned_back_into_texts(encoder, pairs):
    texts = encoder.tokenize(TEXTS, pairs)
    again = unpadded(padded(texts, torch.arange(len(TEXTS)), encoder.pad_token), pairs is not None)
    assert torch.equal(again.ids.values, texts.ids.values)
    assert torch.equal(again.ids.offsets, texts.ids.offsets)
    if pairs is not None:
        assert torch.equal(again.types.values, texts.types.values)


def test_a_strategy_of_avalanche_trains_our_model_on_the_benchmark(encoder):
    torch.manual_seed(0)
    benchmark = avalanche_benchmark(stream(), encoder, task_labels=False)
    model = Classifier(encoder, dropout=0.0)
    with quiet():
        strategy = Naive(
            model=model,
            optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
            train_mb_size=6,
            train_epochs=20,
            eval_mb_size=6,
            evaluator=EvaluationPlugin(accuracy_metrics(experience=True)),
        )
        for place in (2, 0):
            strategy.train(benchmark.train_stream[place])
        found = strategy.eval([benchmark.test_stream[0]])
    assert model.head.weight.shape == (5, encoder.width)
    (accuracy,) = (value for name, value in found.items() if name.startswith("Top1_Acc_Exp"))
    assert accuracy > 0.7


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("method", [SETTINGS.method, {"name": "l2p"}], ids=lambda method: method["name"])
def test_the_pool_as_a_strategy_scores_what_the_learner_scores(benchmark, encoder, tmp_path, method, told):
    learner = Learner(tmp_path, encoder, replace(SETTINGS, method=method))
    with quiet():
        evaluator = EvaluationPlugin(accuracy_metrics(experience=True))
    strategy = PromptPoolStrategy(learner=learner, told=told, eval_mb_size=7, evaluator=evaluator)
    strategy.train(benchmark.train_stream)
    assert learner.pool.tasks() == (["shared l2p"] if method["name"] == "l2p" else ["town", "coast", "topics"])
    for experience in benchmark.test_stream:
        strategy.eval(experience)
    found = strategy.evaluator.get_last_metrics()
    scores = [value for name, value in sorted(found.items()) if name.startswith("Top1_Acc_Exp")]
    expected = [learner.evaluate(stream().task(name), told).accuracy for name in stream().names]
    assert scores == pytest.approx(expected)
    assert not encoder.model.training


def test_a_task_that_is_not_learned_is_answered_by_the_nearest_prompt(benchmark, encoder, tmp_path):
    strategy = PromptPoolStrategy(learner=Learner(tmp_path, encoder, SETTINGS), told=True)
    strategy.train(benchmark.train_stream[0])
    strategy.eval([benchmark.test_stream[2]])
    tokens = benchmark.test_stream[2].dataset.collate_fn([benchmark.test_stream[2].dataset[0]])[0]
    logits = strategy.model(tokens)
    assert logits.shape == (1, 5)
    assert (logits[0, 2:] == NO_ANSWER).all()
    assert (logits[0, :2] > NO_ANSWER).all()


def test_an_empty_pool_and_a_foreign_benchmark_are_one_sentence(benchmark, encoder, tmp_path):
    strategy = PromptPoolStrategy(learner=Learner(tmp_path, encoder, SETTINGS))
    with pytest.raises(LearningError, match=r"holds no prompt yet; call train\(\) before eval\(\)\.$"):
        strategy.eval([benchmark.test_stream[0]])
    foreign = benchmark_from_datasets(train=[benchmark.train_stream[0].dataset])
    with pytest.raises(LearningError, match="make the benchmark with"):
        strategy.train(foreign.streams["train"][0])


# ---------------------------------------------------------------- the page


def test_the_example_of_the_page_runs(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(code, "use_avalanche.py", "exec"), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["kitchen", "office"]


def test_every_baseline_and_every_option_is_documented():
    page = PAGE.read_text(encoding="utf-8")
    configuration = (PAGE.parent / "configuration.md").read_text(encoding="utf-8")
    for name in BASELINES.names():
        assert f"| `{name}` |" in page
        assert f"`method={name}`" in configuration
