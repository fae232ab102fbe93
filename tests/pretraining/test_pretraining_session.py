"""A pretrained model in the cache: found again, or killed and continued to the same bits; never half a model."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from command_line import call
from kills import kill_at_random
from pretraining_samples import ALL_OBJECTIVES, SMALL, die_in_checkpoint, numbers, small, with_small_files, work

from continual.errors import BackboneError, ConfigError, Interrupted, LearningError, RunError
from continual.pretraining.config import compose
from continual.pretraining.session import Pretraining, cache_folder, pretrained
from continual.progress import Progress
from continual.tracking.tracker import Tracker

_PRELOADED = ["pretraining_samples", "pretraining_preload"]


@pytest.fixture(scope="module")
def workers():
    """Starts processes that have the heavy modules loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread) -> Pretraining:
    """An undisturbed model, with all objectives."""
    made = small(tmp_path_factory.mktemp("undisturbed"), *ALL_OBJECTIVES)
    made.execute(Progress())
    return made


def weights(made: Pretraining) -> bytes:
    return (made.folder / "model.safetensors").read_bytes()


def expect_same(made: Pretraining, other: Pretraining) -> None:
    assert weights(made) == weights(other)
    assert numbers(made.summary()) == numbers(other.summary())
    assert not made.work.exists(), "what lay beside it is removed"


class StopAfter(Progress):
    """Asks to stop after some steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def advance(self, steps: int) -> None:
        self.steps -= steps
        if self.steps <= 0:
            self._stopping.set()


def test_a_finished_model_is_found_and_not_made_again(finished):
    written = (finished.folder / "model.safetensors").stat().st_mtime_ns
    again = small(finished.cache, *ALL_OBJECTIVES)
    assert again.is_finished
    assert again.execute(Progress()) == finished.folder
    assert (finished.folder / "model.safetensors").stat().st_mtime_ns == written
    assert [entry.name for entry in finished.cache.iterdir() if not entry.name.startswith(".")] == [
        finished.folder.name
    ]


def test_the_loss_falls(finished):
    curve = finished.summary()["curve"]
    assert [entry["step"] for entry in curve] == [5, 10, 14]
    assert curve[0]["loss"] > curve[1]["loss"] > curve[2]["loss"]
    assert {"train_loss", "train_translation", "train_detection", "train_contrast"} <= set(curve[0])
    assert any("train_restoring" in entry for entry in curve)


def test_interrupted_and_continued_ends_with_the_same_bits(finished, tmp_path):
    made = small(tmp_path, *ALL_OBJECTIVES)
    for steps in (3, 4, 2):
        with pytest.raises(Interrupted):
            made.execute(StopAfter(steps))
        assert not made.is_finished
    made.execute(Progress())
    expect_same(made, finished)


def test_killed_at_random_moments_ends_with_the_same_bits(workers, finished, tmp_path):
    hit = kill_at_random(
        lambda: workers.Process(target=work, args=(str(tmp_path), ALL_OBJECTIVES)), 8, (0.2, 2.5), seed=0
    )
    assert hit >= 2
    made = small(tmp_path, *ALL_OBJECTIVES)
    made.execute(Progress())
    expect_same(made, finished)


def test_killed_in_the_middle_of_a_checkpoint(workers, finished, tmp_path):
    made = small(tmp_path, *ALL_OBJECTIVES)
    for number in (1, 4):
        process = workers.Process(target=die_in_checkpoint, args=(str(tmp_path), ALL_OBJECTIVES, number))
        process.start()
        process.join()
        assert process.exitcode == -9
        assert list(made.work.rglob("*.tmp")), "half a file was left behind"
        assert not made.is_finished
        assert not made.folder.exists()
    made.execute(Progress())
    expect_same(made, finished)


def test_a_damaged_checkpoint_costs_time_and_nothing_else(finished, tmp_path):
    made = small(tmp_path, *ALL_OBJECTIVES)
    with pytest.raises(Interrupted):
        made.execute(StopAfter(6))
    (checkpoint,) = made.work.glob("checkpoint/*.safetensors")
    os.truncate(checkpoint, checkpoint.stat().st_size // 3)
    made.execute(Progress())
    expect_same(made, finished)


def test_time_decides_the_number_of_steps_and_nothing_else(tmp_path):
    # A second and a half, all but the set-up of it for the training.
    timed = small(tmp_path, "training.steps=null", "training.minutes=0.05")
    timed.execute(Progress())
    steps = timed.summary()["steps"]
    assert steps >= 1
    counted = small(tmp_path, f"training.steps={steps}")
    counted.execute(Progress())
    assert weights(timed) == weights(counted)
    assert numbers(timed.summary())["curve"] == numbers(counted.summary())["curve"]


class Recorder(Tracker):
    """Keeps what it is told."""

    def __init__(self, run_id: str | None) -> None:
        super().__init__()
        self.given, self.told = run_id, []

    def start(self, run_name, params, config_yaml, tags=None):
        self.told.append(("start", run_name, params["kind"], tags["kind"]))
        return self.given or "first"

    def step_metrics(self, task, stage, step, metrics):
        self.told.append((task, stage, step, sorted(metrics)))

    def task_metrics(self, index, metrics):
        self.told.append(("end", sorted(metrics)))

    def artifacts(self, paths):
        self.told.append(("artifacts", [path.name for path in paths if path.is_file()]))

    def finish(self, status):
        self.told.append(status)


def test_it_is_logged_as_runs_are_and_continued_under_the_same_name(tmp_path, monkeypatch):
    trackers = []

    def opened(directory, *, run_id, **settings):
        assert directory == tmp_path
        trackers.append(Recorder(run_id))
        return trackers[-1]

    monkeypatch.setattr("continual.tracking.tracker.open_tracker", opened)
    made = small(tmp_path)
    with pytest.raises(Interrupted):
        made.execute(StopAfter(7))
    made.execute(Progress())
    first, second = trackers
    assert (first.given, second.given) == (None, "first")
    assert first.told[0] == ("start", made.folder.name, "translation", "pretraining")
    assert first.told[-1] == "interrupted"
    assert ("translation-tiny", "training", 10, ["loss"]) in second.told
    assert (
        "translation-tiny",
        "training",
        14,
        ["loss", "perplexity", "train_loss", "train_translation"],
    ) in second.told
    *_, numbers_, artifacts, status = second.told
    assert "simulated/en-de/bleu" in numbers_[1]
    assert artifacts == ("artifacts", ["pretraining.json", "config.yaml"])
    assert status == "finished"


def test_two_processes_do_not_make_the_same_model(tmp_path):
    made = small(tmp_path)
    with made._locked(), pytest.raises(RunError, match="being made by another process"):
        small(tmp_path).execute(Progress())


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("seed=1", False),
        ("direction=de-en", False),
        ("model.dropout=0.2", False),
        ("objectives.contrast=0.0", False),
        ("training.steps=15", False),
        ("evaluation.beams=2", False),
        ("pool.train=161", False),
        ("threads=2", True),
        ("tracking.experiment=other", True),
    ],
)
def test_the_key_tells_what_decides_the_model(finished, override, same):
    assert (small(finished.cache, *ALL_OBJECTIVES, override).folder == finished.folder) is same


def test_the_key_depends_on_texts_and_not_on_their_place(tmp_path):
    def key(place: str, last: str) -> str:
        folder = tmp_path / place / "news"
        folder.mkdir(parents=True)
        for split in ("train", "dev"):
            (folder / f"{split}.tsv").write_text(f"en\tde\none\teins\ntwo\t{last}\n")
        config = compose(
            "translation-base", [f"pool.folder={tmp_path / place}", "pool.domains=[news]", "pool.header=null"]
        )
        return Pretraining(config, tmp_path).key

    assert key("here", "zwei") == key("there", "zwei")
    assert key("elsewhere", "drei") != key("here2", "zwei")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CONTINUAL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "pretrained"
    monkeypatch.delenv("CONTINUAL_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "continual" / "pretrained"


def test_the_resolved_configuration_repeats_the_model(finished):
    again = compose(str(finished.folder / "config.yaml"))
    assert Pretraining(again, finished.cache).folder == finished.folder


def test_other_parts_ask_for_the_folder_by_name(finished):
    assert pretrained("translation-tiny", [*SMALL, *ALL_OBJECTIVES], finished.cache) == finished.folder
    with pytest.raises(BackboneError, match=r"make it with `continual pretrain translation-tiny seed=5`\.$"):
        pretrained("translation-tiny", ["seed=5"], finished.cache)


def test_runs_and_pools_on_it_open_where_the_text_is_not_that_it_was_made_from(tmp_path, monkeypatch, one_thread):
    from run_samples import work as run_to_the_end
    from translation_samples import write_translation_config

    from continual.backbone import generators
    from continual.config import compose as compose_run
    from continual.deployment import open_learner
    from continual.run import Run

    monkeypatch.setenv("CONTINUAL_CACHE", str(tmp_path))
    made = small(cache_folder())
    made.execute(Progress())
    backbone = {"name": "translation-tiny", "pretrain": list(SMALL), "max_length": 24, "max_target": 20}
    config = write_translation_config(tmp_path / "small.yaml", tmp_path, tuning={"name": "input"}, backbone=backbone)
    run = Run.create(tmp_path / "run", compose_run(str(config)))
    run_to_the_end(str(run.folder))
    texts = ["the old man sees a red house"]
    before = open_learner(run.folder).translate(texts)

    def not_at_hand(*given):
        raise AssertionError("the settings are composed, and with them the text is looked for")

    monkeypatch.setattr("continual.pretraining.session.compose", not_at_hand)
    assert open_learner(run.folder).translate(texts) == before
    alone, whole = open_learner(run.folder / "pool"), open_learner(run.folder)
    assert alone.encoder.fingerprint == whole.encoder.fingerprint
    assert open_learner(run.folder, backbone={"path": str(made.folder)}).translate(texts) == before
    with pytest.raises(AssertionError, match="looked for"):
        generators.translation_tiny(list(SMALL))


def test_the_command_prints_where_the_model_is(finished):
    arguments = ["translation-tiny", "--cache", str(finished.cache), *SMALL, *ALL_OBJECTIVES]
    code, out, _ = call("pretrain", *arguments)
    assert code == 0
    assert str(finished.folder) in out
    code, out, _ = call("pretrain", *arguments, "--format", "json")
    assert json.loads(out)["folder"] == str(finished.folder)
    assert json.loads(out)["scores"][0]["bleu"] >= 0
    assert call("pretrain", *arguments, "--find") == (0, f"{finished.folder}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["translation-bse"], ["no pretraining named 'translation-bse'", "did you mean 'translation-base'"]),
        (["missing.yaml"], ["no file missing.yaml"]),
        (["translation-tiny", "model.widht=3"], ["model.widht", "model.width"]),
        (["translation-tiny", "pool=mtt"], ["no pool named 'mtt'", "known: mt, mt_wide, simulated"]),
        (["translation-tiny", "objectives=e2s3"], ["no objectives named", "e2s2"]),
        (["translation-tiny", "direction=fr-en"], ["direction is 'fr-en'", "en-de, de-en, both"]),
        (["translation-tiny", "languages=[en,fr]", "direction=en-fr"], ["pool=simulated writes [en, de]"]),
        (["translation-tiny", "model.width=30"], ["even multiple of model.heads"]),
        (["translation-tiny", "training.steps=many"], ["training.steps", "whole number"]),
        (["translation-tiny", "objectives.contrast=0.1"], ["objectives.second_view=true"]),
        (["translation-tiny", "objectives.detection=0.1"], ["objectives.shuffle"]),
        (["translation-tiny", "model.vocabulary=10"], ["model.vocabulary is 10"]),
        (["translation-base"], ["CONTINUAL_DATA"]),
        (["translation-base", "pool.folder=nowhere"], ["no file nowhere/general_wmt14_10k/train.tsv.gz"]),
        (["translation-base", "pool.folder=nowhere", "pool.domains=news"], ["pool.domains is 'news'"]),
        (["translation-tiny", "--find"], ["is not in", "continual pretrain translation-tiny"]),
    ],
)
def test_what_is_wrong_ends_in_one_sentence(monkeypatch, tmp_path, arguments, words):
    monkeypatch.delenv("CONTINUAL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    code, out, err = call("pretrain", *arguments, "tracking.enabled=false", "--cache", str(tmp_path / "cache"))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.rstrip().endswith(".")
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_a_full_disk_ends_in_one_sentence_and_can_be_continued(workers, tmp_path, capfd):
    for size in (2_000, 60_000):  # too small for the vocabulary, and for the checkpoint
        process = workers.Process(target=with_small_files, args=(str(tmp_path), size))
        process.start()
        process.join()
        assert process.exitcode == 2
        made = small(tmp_path)
        assert not made.folder.exists()
        assert not list(tmp_path.rglob("*.tmp"))
    made.execute(Progress())
    assert made.is_finished


def test_what_a_killed_process_left_at_the_very_end_is_removed(tmp_path):
    made = small(tmp_path)
    half = tmp_path / f".{made.folder.name}.abc.tmp"
    half.mkdir()
    (half / "model.safetensors").write_text("half")
    made.execute(Progress())
    assert not half.exists()


def test_bfloat16_learns_as_well(tmp_path):
    made = small(tmp_path, "training.precision=bf16", *ALL_OBJECTIVES)
    made.execute(Progress())
    curve = made.summary()["curve"]
    assert curve[0]["loss"] > curve[-1]["loss"]


def test_a_training_that_diverges_says_so(tmp_path):
    with pytest.raises(
        LearningError, match=r"loss of step \d+ is (nan|inf), expected a number; lower training.learning_rate"
    ):
        small(tmp_path, "training.learning_rate=1e30", "training.clip_norm=0").execute(Progress())


def test_a_damaged_record_is_refused(tmp_path):
    made = small(tmp_path)
    made.folder.mkdir(parents=True)
    (made.folder / "pretraining.json").write_text("{")
    with pytest.raises(RunError, match=r"pretraining\.json is missing or damaged"):
        made.summary()


def test_unknown_sections_are_refused():
    resolved = compose("translation-tiny").resolved
    from continual.pretraining.config import parse

    with pytest.raises(ConfigError, match="no setting 'modell'"):
        parse("x", resolved | {"modell": {}})
