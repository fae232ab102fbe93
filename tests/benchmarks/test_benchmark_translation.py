"""The benchmark of translation streams: its settings exist, its search sees training text alone, its rows add up."""

import pytest

from benchmarks.search import chosen
from benchmarks.translation.__main__ import CONTESTANTS, QUICK, one_run, row_of, searches, settings
from benchmarks.translation.contestants import SEARCHED_ON, knobs_of, training_files


@pytest.mark.parametrize("stream", ["mt6", "mt_small", "simulated_translation"])
def test_all_settings_exist(stream, monkeypatch, tmp_path):
    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    for method in CONTESTANTS.split(","):
        searched = [f"{method}:{knob.setting}={knob.values[0]}" for knob in knobs_of(method)]
        assert settings(stream, method, ["a", "b"], [*searched, "seed=2"]).seed == 2
    assert settings("simulated_translation", "naive", [], QUICK).learner.training.epochs == 2


def test_settings_for_one_contestant_are_not_those_of_others():
    own = ["naive:method.learning_rate=0.5", "training.epochs=3"]
    told, other = (settings("simulated_translation", name, [], own).learner for name in ("naive", "ewc"))
    assert told.method["learning_rate"] == 0.5 != other.method["learning_rate"]
    assert told.training.epochs == other.training.epochs == 3


def test_the_search_sees_training_files_alone(monkeypatch, tmp_path):
    for domain in SEARCHED_ON:
        (tmp_path / "mt" / domain).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / "mt" / domain / f"{split}.tsv.gz").touch()
    links = training_files(tmp_path / "mt", tmp_path / "searched")
    found = sorted(str(path.relative_to(links)) for path in links.rglob("*") if path.is_file())
    assert found == sorted(f"{domain}/train.tsv.gz" for domain in SEARCHED_ON)

    asked = []

    def finished(path, config):
        asked.append((path.name, config.stream["path"], config.stream["tasks"], config.seed))
        rate = config.learner.method["learning_rate"]
        weight = config.learner.method["ewc_lambda"]

        class Found:
            class routed:
                average = -abs(rate - 3e-4) - abs(weight - 1e5) / 1e9

        return Found

    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    monkeypatch.setattr("benchmarks.translation.__main__.finished", finished)
    tried = searches(tmp_path, "mt6", "ewc", ["stream.max_train=100"])
    assert list(chosen(tried)) == [("method.learning_rate", 3e-4), ("method.ewc_lambda", 1e5)]
    assert {(path, seed) for _, path, _, seed in asked} == {(str(tmp_path / "searched"), 100)}
    assert len({label for label, *_ in asked}) == 5  # one is asked for twice, and is found again
    assert searches(tmp_path, "mt6", "ewc", ["method.learning_rate=1", "ewc:method.ewc_lambda=2"]) == []


def test_the_number_of_an_order_is_its_seed(monkeypatch, tmp_path):
    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    configs = []
    monkeypatch.setattr("benchmarks.translation.__main__.finished", lambda path, config: configs.append(config))
    monkeypatch.setattr(
        "benchmarks.translation.__main__.measured",
        lambda found: {s: {"average": 1} for s in ("aware", "routed")} | {"seconds": 1},
    )
    for number in range(2):
        one_run(tmp_path, "mt6", "scratch", number, ["opus_koran", "game_wesnoth"], [])
    assert [config.seed for config in configs] == [0, 1]
    assert configs[0].stream["order"] == ["opus_koran", "game_wesnoth"]


def test_a_row_by_hand():
    def run(average: float, bwt: float | None) -> dict:
        scores = dict.fromkeys(("learning", "forgetting", "fwt", "chrf"), 1.0) | {"average": average, "bwt": bwt}
        return {
            "aware": scores,
            "routed": scores | {"average": average - 1},
            "untaught": {"a": 2.0, "b": 4.0},
            "routing_accuracy": None if bwt is None else average / 100,
            "seconds": average,
            "trained_parameters": 7,
        }

    row = row_of([run(10.0, -1.0), run(12.0, None), run(14.0, -3.0)])
    assert (row["aware_average"], row["routed_average"], row["aware_bwt"]) == (12.0, 11.0, -2.0)
    low, high = row["aware_interval"][1:3]
    assert (low + high) / 2 == pytest.approx(12.0)
    assert row["routing_accuracy"] == pytest.approx(0.12)
    assert (row["untaught"], row["seconds"], row["trained_parameters"], row["orders"]) == (3.0, 12.0, 7, 3)
