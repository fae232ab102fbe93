"""`continual grow` is killed, meets itself and a full disk: its folder is whole or not there, and nothing is left."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
from command_line import call
from kills import kill_at_random

from continual.errors import BackboneError
from continual.growth import command
from continual.growth.command import grow_model
from continual.growth.exact import Exact
from continual.growth.sizes import Amount

_SAVE = command.save_model


def grow(model: str, out: str) -> None:
    """What `continual grow` does."""
    grow_model(model, Path(out), Exact(), Amount(layers=1), seed=0)


def grow_and_die(model: str, out: str) -> None:
    """Is killed when the model is written and its map is not."""

    def save_and_die(*given) -> None:
        _SAVE(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    command.save_model = save_and_die
    grow(model, out)


def grow_behind_a_gate(model: str, out: str, gate: str) -> None:
    """Goes on, when the model is to be written, as soon as a file is there."""

    def wait_and_save(*given) -> None:
        while not Path(gate).exists():
            time.sleep(0.01)
        _SAVE(*given)

    command.save_model = wait_and_save
    grow(model, out)


def grow_on_a_full_disk(model: str, out: str, size: int) -> None:
    """The command line where no file may have more than `size` bytes; exits with its code if it says why."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    code, _, error = call("grow", model, out, "--layers", "1")
    sys.exit(code if error.startswith("error: Could not write") and "Traceback" not in error else 99)


@pytest.fixture(scope="module")
def workers():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_samples", "continual.growth.command", "transformers", "datasets"])
    return context


@pytest.fixture
def paths(tiny_folder, tmp_path):
    """The model, and the folder of the larger one."""
    return str(tiny_folder("bert")), str(tmp_path / "larger")


def files_in(folder: Path) -> set[str]:
    """All that is there but locks."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def same_files(one: Path, other: Path) -> bool:
    """Whether two grown models are the same, however long it took to make them."""
    names = {path.name for path in one.iterdir()}
    telling = {"growth.json"}
    assert names == {path.name for path in other.iterdir()}
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names - telling)


def test_what_a_killed_command_left_is_removed_by_the_next_and_nothing_else(workers, paths, tmp_path):
    (tmp_path / ".larger2.abc.tmp").mkdir()
    process = workers.Process(target=grow_and_die, args=paths)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = files_in(tmp_path) - {".larger2.abc.tmp"}
    assert left.startswith(".larger.")
    assert left.endswith(".tmp")
    grow(*paths)
    assert files_in(tmp_path) == {"larger", ".larger2.abc.tmp"}


def test_killed_at_random_moments_its_folder_is_whole_or_not_there(workers, paths, tmp_path):
    whole, model, out = tmp_path / "whole", *paths
    grow(model, str(whole))
    for seed in range(4):
        kill_at_random(lambda: workers.Process(target=grow, args=paths), 1, (0.02, 0.4), seed)
        assert not Path(out).exists() or same_files(Path(out), whole)
    if not Path(out).exists():
        grow(*paths)
    assert same_files(Path(out), whole)
    assert files_in(tmp_path) == {"larger", "whole"}


def test_two_at_once_do_not_disturb_each_other(workers, paths, tmp_path):
    gate = tmp_path / "gate"
    first = workers.Process(target=grow_behind_a_gate, args=(*paths, str(gate)))
    first.start()
    try:
        while not any(tmp_path.glob(".larger.*.tmp")):
            assert first.is_alive()
            time.sleep(0.01)
        with pytest.raises(BackboneError, match="larger is being made by another process; wait for it, or give"):
            grow(*paths)
        assert any(tmp_path.glob(".larger.*.tmp")), "what the first one writes stays"
    finally:
        gate.touch()
        first.join()
    assert first.exitcode == 0
    assert files_in(tmp_path) == {"larger", "gate"}
    with pytest.raises(BackboneError, match="exists already; give a new folder"):
        grow(*paths)


def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing(workers, paths, tmp_path):
    process = workers.Process(target=grow_on_a_full_disk, args=(*paths, 50_000))
    process.start()
    process.join()
    assert process.exitcode == 2
    assert files_in(tmp_path) == set()
    grow(*paths)
    assert files_in(tmp_path) == {"larger"}
