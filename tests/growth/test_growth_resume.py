"""A run may be killed in the middle of growth and ends as if undisturbed; no half-grown model is left behind."""

import json
import multiprocessing
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
from kills import kill_at_random
from run_samples import TASKS, needs, work, write_config

from continual.config import compose
from continual.errors import Interrupted, StorageError
from continual.growth.generations import generations
from continual.progress import Progress
from continual.run import Run

_GROWTH = {"steps": 24, "memory": 16}
_SCHEDULE = _GROWTH | {"when": "schedule", "at": [2]}


def growing_work(folder: str) -> None:
    """As `run_samples.work`, with a checkpoint after every step of growth."""
    import continual.growth.learning as learning

    learning._SECONDS_BETWEEN_CHECKPOINTS = 0.0
    work(folder)


def examined_work(folder: str) -> None:
    """As `growing_work`, where each test of capacity asks for growth."""
    import continual.growth.capacity as capacity

    judge = capacity.judge
    capacity.judge = lambda *given: (True, *judge(*given)[1:])
    try:
        growing_work(folder)
    finally:
        capacity.judge = judge


@pytest.fixture(scope="module")
def workers():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_samples", "continual.run", "continual.pooled", "transformers", "datasets"])
    return context


def config(root: Path, model: Path, **growth):
    return compose(str(write_config(root / "small.yaml", model, growth=_SCHEDULE | growth)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder):
    """An undisturbed run that grows after its second task."""
    root = tmp_path_factory.mktemp("grown")
    run = Run.create(root / "run", config(root, tiny_folder("bert")))
    started = time.monotonic()
    growing_work(str(run.folder))
    return run, time.monotonic() - started


def numbers(folder: Path) -> dict:
    """All of a summary that must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text())
    growth = [{key: value for key, value in entry.items() if key != "seconds"} for entry in summary["growth"]]
    return {key: summary[key] for key in ("aware", "routed", "finished")} | {"growth": growth}


def weights(folder: Path) -> dict[str, bytes]:
    """All tensors that the run has made, by their place."""
    paths = [*folder.glob("**/prompts/*/tensors.safetensors"), *folder.glob("growth/*/model/*.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def nothing_is_left_half_done(folder: Path) -> bool:
    return not any(path.name.endswith(".tmp") for path in folder.rglob("*"))


def test_a_run_that_grows_tells_why_and_what_it_became(finished):
    (entry,) = numbers(finished[0].folder)["growth"]
    assert (entry["task"], entry["reason"]) == ("harbour", "The schedule grows after task 2.")
    assert (entry["from"]["layers"], entry["to"]["layers"]) == (3, 5)
    assert entry["evidence"]["answers_kept_at_growth"] == 1.0
    assert entry["evidence"]["answers_kept"] >= 0.98


def test_killed_twenty_times_at_random_moments_ends_as_if_undisturbed(workers, finished, tmp_path):
    run, seconds = finished
    killed = Run.create(tmp_path / "run", run.config)
    hit = kill_at_random(
        lambda: workers.Process(target=growing_work, args=(str(killed.folder),)), 20, (0.2, min(2.5, seconds)), seed=0
    )
    growing_work(str(killed.folder))
    assert hit >= 8
    assert numbers(killed.folder) == numbers(run.folder)
    assert weights(killed.folder) == weights(run.folder)
    assert nothing_is_left_half_done(killed.folder)


def test_killed_in_tests_of_capacity_recovery_and_wider_models_ends_as_if_undisturbed(workers, tmp_path, tiny_folder):
    growth = {"when": "capacity", "most": 2, "how": "elle", "layers": 1, "width": 16, "recovery": 8, "probe_epochs": 2}
    settings = compose(
        str(write_config(tmp_path / "small.yaml", tiny_folder("bert"), growth=_GROWTH | growth, **needs("cpt_rd")))
    )
    run, killed = (Run.create(tmp_path / name, settings) for name in ("run", "killed"))
    started = time.monotonic()
    examined_work(str(run.folder))
    seconds = time.monotonic() - started
    hit = kill_at_random(
        lambda: workers.Process(target=examined_work, args=(str(killed.folder),)), 12, (0.2, min(4.0, seconds)), seed=1
    )
    examined_work(str(killed.folder))
    assert hit >= 4
    assert [entry["to"]["width"] for entry in numbers(run.folder)["growth"]] == [48, 64]
    assert numbers(killed.folder) == numbers(run.folder)
    assert weights(killed.folder) == weights(run.folder)
    assert nothing_is_left_half_done(killed.folder)


def stopped_by_a_full_disk(folder: str, size: int) -> None:
    """Works where no file may have more than `size` bytes; exits with 2 if that is said."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        work(folder)
    except StorageError as error:
        sys.exit(2 if "growth/.1." in str(error) and "File too large" in str(error) else 99)


def test_a_disk_that_is_full_when_the_grown_model_is_written_leaves_nothing_half_done(workers, tmp_path, tiny_folder):
    growth = {"when": "schedule", "at": [1], "steps": 0, "memory": 4}
    stream = {"kind": "simulated", "name": "small", "tasks": TASKS[:1], "train": 32, "dev": 16, "test": 16}
    settings = compose(str(write_config(tmp_path / "s.yaml", tiny_folder("bert"), growth=growth, stream=stream)))
    run, full = (Run.create(tmp_path / name, settings) for name in ("run", "full"))
    process = workers.Process(target=stopped_by_a_full_disk, args=(str(full.folder), 100_000))
    process.start()
    process.join()
    assert process.exitcode == 2
    assert generations(full.folder) == []
    assert nothing_is_left_half_done(full.folder)
    for folder in (run.folder, full.folder):
        work(str(folder))
    assert numbers(full.folder) == numbers(run.folder)
    assert weights(full.folder) == weights(run.folder)


class StopInGrowth(Progress):
    """Asks to stop at a step of the grown model's training."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.growing = steps, False

    def stage(self, task: str, stage: str, steps: int | None) -> None:
        self.growing = stage == "growth"

    def advance(self, steps: int) -> None:
        self.steps -= steps if self.growing else 0

    def check(self) -> None:
        if self.steps <= 0:
            raise Interrupted("stop")


@pytest.mark.parametrize("steps", [1, 13, 24])
def test_stopped_within_growth_shows_no_half_grown_model_and_goes_on_to_the_same_bits(
    finished, tmp_path, steps, monkeypatch
):
    monkeypatch.setattr("continual.growth.learning._SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    run, _ = finished
    stopped = Run.create(tmp_path / "run", run.config)
    with pytest.raises(Interrupted):
        stopped.execute(StopInGrowth(steps))
    assert generations(stopped.folder) == []
    work(str(stopped.folder))
    assert numbers(stopped.folder) == numbers(run.folder)
    assert weights(stopped.folder) == weights(run.folder)


class StopOnceThere(Progress):
    """Asks to stop as soon as a path exists."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def check(self) -> None:
        if self.path.exists():
            raise Interrupted("stop")


@pytest.mark.parametrize("path", ["pool/prompts/harbour-v1", "growth/1", "growth/1/pool/prompts/harbour-v2"])
def test_cut_off_between_the_steps_of_growth_goes_on_from_there(finished, tmp_path, path):
    run, _ = finished
    stopped = Run.create(tmp_path / "run", run.config)
    with pytest.raises(Interrupted):
        stopped.execute(StopOnceThere(stopped.folder / path))
    work(str(stopped.folder))
    assert numbers(stopped.folder) == numbers(run.folder)
    assert weights(stopped.folder) == weights(run.folder)


def test_the_old_pool_stays_as_it_was_and_opens_on_the_old_model(finished, tmp_path, tiny_folder):
    from continual import Learner, LearnerSettings
    from continual.backbone.catalog import hub
    from continual.pool import PromptPool

    run, _ = finished
    encoder = hub(path=str(tiny_folder("bert")), max_length=48)
    pool = PromptPool(run.folder / "pool", encoder.fingerprint, read_only=True)
    assert pool.ids() == ["kitchen-v1", "harbour-v1"]
    learner = Learner(pool, encoder, LearnerSettings(tuning=run.config.learner.tuning))
    assert len(learner.predict(["The soup was cold."], task="kitchen")) == 1
