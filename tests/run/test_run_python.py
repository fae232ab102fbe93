"""A run as a program uses it, without the command line."""

import pytest
import torch
from run_samples import TASKS, write_config

from continual.config import compose
from continual.errors import RunError
from continual.run import Run


@pytest.fixture
def run(tiny_folder, tmp_path) -> Run:
    stream = {"kind": "simulated", "name": "small", "tasks": TASKS[:1], "train": 16, "dev": 8, "test": 8}
    config = write_config(tmp_path / "c.yaml", tiny_folder("bert"), stream=stream, threads=2)
    return Run.create(str(tmp_path / "runs" / "first"), compose(str(config)))


def test_folders_are_given_as_texts_and_nothing_has_to_be_shown(run):
    with pytest.raises(RunError, match=r"There is no summary\.json in .*first"):
        run.summary()
    assert run.execute().learned == 1
    summary = Run(str(run.folder)).summary()
    assert (summary.run, summary.finished, len(summary.per_task)) == ("first", True, 1)


def test_the_threads_of_a_run_are_its_own(run):
    before = torch.get_num_threads()
    assert before != run.config.threads
    run.execute()
    assert torch.get_num_threads() == before
