"""A run may be killed at any moment and goes on to the same numbers."""

import json
import multiprocessing
import shutil
import signal
import time
from pathlib import Path

import pytest
from kills import kill_at_random
from run_samples import work, write_config

from continual.config import compose
from continual.errors import Interrupted, PoolError, RunError
from continual.pool import PromptPool
from continual.progress import Progress
from continual.run import Run

_PRELOADED = ["run_samples", "continual.run", "continual.learner", "continual.assessment", "transformers", "datasets"]


@pytest.fixture(scope="module")
def workers():
    """Starts processes that have the heavy modules loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder):
    """An undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    config = compose(str(write_config(root / "small.yaml", tiny_folder("bert"))))
    run = Run.create(root / "run", config)
    started = time.monotonic()
    work(str(run.folder))
    return run, time.monotonic() - started


def numbers(folder: Path) -> dict:
    """All of a summary that must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text())
    tasks = [
        {key: value for key, value in task.items() if "seconds" not in key and key != "stages"}
        | {"stages": [{k: v for k, v in stage.items() if k != "seconds"} for stage in task["stages"]]}
        for task in summary["per_task"]
    ]
    return {"aware": summary["aware"], "routed": summary["routed"], "per_task": tasks, "finished": summary["finished"]}


def tensors(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(folder.glob("pool/prompts/*/tensors.safetensors"))}


def kill_often(workers, folder: Path, kills: int, longest: float, seed: int) -> int:
    """Kills the run `kills` times at random moments and lets it end; the number of kills that hit a living process."""
    hit = kill_at_random(lambda: workers.Process(target=work, args=(str(folder),)), kills, (0, longest), seed=seed)
    last = workers.Process(target=work, args=(str(folder),))
    last.start()
    last.join()
    assert last.exitcode == 0
    return hit


def test_killed_twenty_times_at_random_moments_ends_as_if_undisturbed(workers, finished, tmp_path):
    run, seconds = finished
    killed = Run.create(tmp_path / "run", run.config)
    hit = kill_often(workers, killed.folder, kills=20, longest=min(1.5, seconds), seed=0)
    assert hit >= 10
    assert numbers(killed.folder) == numbers(run.folder)
    assert tensors(killed.folder) == tensors(run.folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_a_hundred_times_ends_as_if_undisturbed(workers, finished, tmp_path, seed):
    run, seconds = finished
    killed = Run.create(tmp_path / "run", run.config)
    kill_often(workers, killed.folder, kills=20, longest=seconds, seed=seed)
    assert numbers(killed.folder) == numbers(run.folder)
    assert tensors(killed.folder) == tensors(run.folder)


def test_the_same_settings_give_the_same_bits_in_another_folder(finished, tmp_path):
    run, _ = finished
    again = Run.create(tmp_path / "again", run.config)
    work(str(again.folder))
    assert numbers(again.folder) == numbers(run.folder)
    assert tensors(again.folder) == tensors(run.folder)


class StopAfter(Progress):
    """Asks to stop after some steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def advance(self, steps: int) -> None:
        self.steps -= steps
        if self.steps <= 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("steps", [1, 4, 11])
def test_ctrl_c_stops_after_the_step_and_resume_gives_the_same_numbers(finished, tmp_path, steps):
    run, _ = finished
    stopped = Run.create(tmp_path / "run", run.config)
    with pytest.raises(Interrupted):
        stopped.execute(StopAfter(steps))
    work(str(stopped.folder))
    assert numbers(stopped.folder) == numbers(run.folder)


class StopOnceStored(Progress):
    """Asks to stop as soon as a prompt is in the pool: before anything else notes that its task is learned."""

    def __init__(self, prompt: Path) -> None:
        super().__init__()
        self.prompt = prompt

    def check(self) -> None:
        if self.prompt.exists():
            raise Interrupted("stop")


@pytest.mark.parametrize("prompt", ["kitchen-v1", "harbour-v1", "office-v1"])
def test_a_run_cut_off_between_storing_a_prompt_and_noting_it_uses_the_stored_prompt(finished, tmp_path, prompt):
    run, _ = finished
    stopped = Run.create(tmp_path / "run", run.config)
    with pytest.raises(Interrupted):
        stopped.execute(StopOnceStored(stopped.folder / "pool" / "prompts" / prompt))
    before = tensors(stopped.folder)
    assert prompt in before
    work(str(stopped.folder))
    assert {name: tensors(stopped.folder)[name] for name in before} == before
    assert numbers(stopped.folder) == numbers(run.folder)


def test_resuming_a_finished_run_changes_nothing(finished, tmp_path):
    run, _ = finished
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    work(str(copy))
    assert numbers(copy) == numbers(run.folder)


def test_a_second_process_on_the_same_run_is_refused(finished):
    run, _ = finished
    with run.locked(), pytest.raises(RunError, match="another process"):
        Run(run.folder).execute(Progress())


def test_a_damaged_state_is_refused_with_a_remedy(finished, tmp_path):
    run, _ = finished
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "state.json").write_text("{")
    with pytest.raises(RunError, match=r"state\.json is damaged .* start a new run"):
        Run(copy).execute(Progress())


def test_a_lost_state_is_refused_and_not_guessed(finished, tmp_path):
    run, _ = finished
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "state.json").unlink()
    with pytest.raises(RunError, match=r"state\.json"):
        Run(copy).execute(Progress())


def test_changed_test_texts_are_refused(tiny_folder, tmp_path):
    rows = [{"text": f"the {'hot' if i % 2 else 'cold'} soup number {i}", "label": "ab"[i % 2]} for i in range(60)]
    for part, chosen in (("train", rows[:40]), ("dev", rows[40:50]), ("test", rows[50:])):
        for task in ("one", "two"):
            (tmp_path / "tasks" / task).mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(row) + "\n" for row in chosen)
            (tmp_path / "tasks" / task / f"{part}.jsonl").write_text(text)
    stream = {"kind": "folders", "name": "mine", "path": str(tmp_path / "tasks")}
    run = Run.create(
        tmp_path / "run", compose(str(write_config(tmp_path / "c.yaml", tiny_folder("bert"), stream=stream)))
    )
    with pytest.raises(Interrupted):
        run.execute(StopOnceStored(run.folder / "pool" / "prompts" / "two-v1"))
    changed = tmp_path / "tasks" / "one" / "test.jsonl"
    changed.write_text(changed.read_text().replace('"label": "a"', '"label": "b"', 1))
    with pytest.raises(RunError, match="test texts of task 'one'"):
        Run(run.folder).execute(Progress())


def test_a_prompt_that_another_run_learned_is_not_taken_for_this_run_s_own(finished, tmp_path):
    run, _ = finished
    archive = PromptPool(run.folder / "pool", read_only=True).export(tmp_path / "all.zip")
    other = Run.create(tmp_path / "run", run.config)
    PromptPool(other.folder / "pool", PromptPool(run.folder / "pool", read_only=True).backbone).import_(archive)
    work(str(other.folder))
    ids = PromptPool(other.folder / "pool", read_only=True).ids()
    assert {"kitchen-v2", "harbour-v2", "office-v2"} <= set(ids)


def test_the_last_scores_come_from_what_is_on_disk(finished, tmp_path):
    run, _ = finished
    spoilt = Run.create(tmp_path / "run", run.config)

    class Spoil(Progress):
        """Damages the first prompt as soon as the last one is stored."""

        def check(self) -> None:
            prompts = spoilt.folder / "pool" / "prompts"
            if (prompts / "office-v1").exists():
                (prompts / "kitchen-v1" / "tensors.safetensors").write_bytes(b"spoilt")

    with pytest.raises(PoolError, match="kitchen-v1"):
        spoilt.execute(Spoil())


def test_results_are_as_readable_as_other_files(finished):
    run, _ = finished
    modes = {path.name: path.stat().st_mode & 0o777 for path in run.folder.iterdir() if path.is_file()}
    assert modes["predictions.safetensors"] == modes["summary.json"]


def test_nothing_is_forgotten_when_the_prompts_are_read_again_from_disk(finished):
    run, _ = finished
    aware = json.loads((run.folder / "summary.json").read_text())["aware"]
    assert aware["forgetting"] == 0
    assert aware["bwt"] == 0
